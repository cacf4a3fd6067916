/** From a kernel to its WebAssembly. @module */

import type { Kernel } from "../../kernel.ts";
import { emitAttention } from "./attention.ts";
import { emitAttentionGrad } from "./attention_grad.ts";
import type { KernelCode } from "./code.ts";
import { emitFused } from "./fused.ts";
import { emitMatmul } from "./matmul.ts";
import { emitScatter } from "./scatter.ts";
import type { FunctionBuilder } from "./wasm_function.ts";

/** What emitters may use of the module they emit into. */
export interface EmitContext {
  /** Adds a function to the module and returns its index, for calls. */
  readonly link: (body: FunctionBuilder) => number;
  /** Index of the imported `sgemm`, or null without a BLAS. */
  readonly sgemm: number | null;
  /** Whether `sgemm` does small products without copying operands. */
  readonly smallProducts: boolean;
}

/** Emits any kernel. */
export function emit(kernel: Kernel, context: EmitContext): KernelCode {
  switch (kernel.op) {
    case "matmul":
      return emitMatmul(kernel, context);
    case "fused":
      return emitFused(kernel);
    case "attention":
      return emitAttention(kernel);
    case "attentionGrad":
      return emitAttentionGrad(kernel);
    case "scatter":
      return emitScatter(kernel);
  }
}
