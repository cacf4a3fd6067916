/**
 * Objectives: pure functions over log-probabilities.
 *
 * @example
 * ```ts
 * import { openDevice, tensor } from "@plumb/plumb/core";
 * import { nll } from "@plumb/plumb/rl";
 *
 * await openDevice("cpu");
 * const { loss } = nll({
 *   logProbs: tensor([-1, -3]),
 *   mask: tensor([1, 1]),
 *   segments: tensor([0, 0], { dtype: "i32" }),
 * });
 * console.log(await loss.item()); // 2
 * ```
 *
 * @module
 */

export * from "./sft.ts";
export type * from "./types.ts";
