import type { AttentionGradKernel, Launch } from "../../kernel.ts";
import type { Dispatch, Traits } from "./shader.ts";
export function lowerAttentionGrad(
  _k: AttentionGradKernel,
  _launch: Launch,
  _traits: Traits,
): Dispatch[] {
  throw new Error("todo");
}
