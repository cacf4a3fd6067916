/**
 * Reward functions: what completions are worth, as plain functions on the host.
 *
 * @example
 * ```ts
 * import { builtInReward, runRewards } from "@plumb/plumb/rl";
 *
 * const { table } = await runRewards(
 *   [builtInReward("accuracy_reward"), {
 *     name: "brevity",
 *     reward: ({ completionIds }) => completionIds.map((ids) => -ids.length / 100),
 *   }],
 *   {
 *     prompts: ["What is 1/4 + 1/4?"],
 *     completions: ["It is \\boxed{\\frac{1}{2}}."],
 *     completionIds: [[7, 8, 9]],
 *     columns: { solution: ["0.5"] },
 *   },
 * );
 * console.log(table); // [[1, -0.03]]
 * ```
 *
 * @module
 */

export { accuracyReward } from "./accuracy.ts";
export * from "./cosine_scaled.ts";
export * from "./math_answer.ts";
export type { Formula } from "./math_expression.ts";
export * from "./math_extract.ts";
export * from "./reasoning_accuracy.ts";
export * from "./registry.ts";
export * from "./repetition_penalty.ts";
export * from "./run.ts";
export * from "./soft_overlong.ts";
export * from "./think_format.ts";
export type * from "./types.ts";
