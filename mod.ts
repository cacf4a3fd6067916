/**
 * plumb fine-tunes and aligns language models: tensors and automatic differentiation on WebGPU and WebAssembly,
 * layers and model families as functions, objectives as pure functions over log-probabilities, one training loop.
 *
 * @example
 * ```ts
 * import { core, rl } from "@plumb/plumb";
 *
 * await core.openDevice("cpu");
 * const objective = rl.nll({
 *   logProbs: core.tensor([-1, -3]),
 *   mask: core.tensor([1, 1]),
 *   segments: core.tensor([0, 0], { dtype: "i32" }),
 * });
 * console.log(await rl.lossOf(objective).item()); // 2
 * ```
 *
 * @module
 */

export * from "./train/library/mod.ts";
export * as core from "./core/mod.ts";
export * as data from "./data/mod.ts";
export * as nn from "./nn/mod.ts";
export * as rl from "./rl/mod.ts";
export * as train from "./train/mod.ts";
export { grad, jit, openDevice, realize, scope, Tensor, tensor, valueAndGrad } from "./core/mod.ts";
