/** From a kernel to its WebAssembly. @module */

import type { Kernel } from "../../kernel.ts";
import { emitAttention } from "./attention.ts";
import { emitAttentionGrad } from "./attention_grad.ts";
import type { EmitContext, KernelCode } from "./code.ts";
import { emitFused } from "./fused.ts";
import { emitMatmul } from "./matmul.ts";
import { emitScatter } from "./scatter.ts";

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
