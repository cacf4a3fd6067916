/** From a kernel to its WebAssembly. @module */

import type { Kernel } from "../../launch.ts";
import { emitAttention } from "./attention.ts";
import { emitAttentionGrad } from "./attention_grad.ts";
import type { EmitContext, KernelCode } from "./code.ts";
import { emitFused } from "./fused.ts";
import { emitMatmul } from "./matmul.ts";
import { emitScatter } from "./scatter.ts";

/** A kernel on this device. */
type Emitter<Op extends Kernel["op"]> = (
  kernel: Extract<Kernel, { readonly op: Op }>,
  context: EmitContext,
) => KernelCode;

const emitters: { readonly [Op in Kernel["op"]]: Emitter<Op> } = {
  attention: emitAttention,
  attentionGrad: emitAttentionGrad,
  fused: emitFused,
  matmul: emitMatmul,
  scatter: emitScatter,
};

/** Emits any kernel. */
export function emit(kernel: Kernel, context: EmitContext): KernelCode {
  const emitter: (kernel: never, context: EmitContext) => KernelCode = emitters[kernel.op];
  return emitter(kernel as never, context);
}
