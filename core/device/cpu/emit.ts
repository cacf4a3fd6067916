/** From a kernel to its WebAssembly. @module */

import type { Kernel } from "../../kernel.ts";
import type { KernelCode } from "./code.ts";
import { emitMatmul } from "./matmul.ts";
import type { FunctionBuilder } from "./wasm.ts";

/** What emitters may use of the module they emit into. */
export interface EmitContext {
  /** Adds a function to the module and returns its index, for calls. */
  readonly link: (body: FunctionBuilder) => number;
  /** Index of the imported `sgemm`, or null without a BLAS. */
  readonly sgemm: number | null;
}

/** Emits any kernel. */
export function emit(kernel: Kernel, context: EmitContext): KernelCode {
  switch (kernel.op) {
    case "matmul":
      return emitMatmul(kernel, context);
    default:
      throw new Error(`The CPU device cannot compile ${kernel.op} kernels.`);
  }
}
