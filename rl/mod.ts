/**
 * Objectives: pure functions over log-probabilities.
 *
 * @example
 * ```ts
 * import { openDevice, tensor } from "@plumb/plumb/core";
 * import { dpo, lossOf } from "@plumb/plumb/rl";
 *
 * await openDevice("cpu");
 * const objective = dpo({
 *   chosen: tensor([-10, -12]),
 *   rejected: tensor([-11, -15]),
 *   refChosen: tensor([-10, -12]),
 *   refRejected: tensor([-11, -15]),
 * });
 * console.log(await lossOf(objective).item()); // log 2: the policy still equals its reference
 * ```
 *
 * @module
 */

export * from "./advantages.ts";
export * from "./bco.ts";
export * from "./controllers.ts";
export * from "./cpo.ts";
export * from "./dpo.ts";
export * from "./dpo_losses.ts";
export * from "./f_divergence.ts";
export * from "./gae.ts";
export * from "./gkd.ts";
export * from "./gmpo.ts";
export * from "./grpo.ts";
export * from "./grpo_losses.ts";
export * from "./importance.ts";
export * from "./kto.ts";
export * from "./labels.ts";
export * from "./margin_losses.ts";
export * from "./means.ts";
export * from "./metrics.ts";
export * from "./nash_md.ts";
export * from "./online_dpo.ts";
export * from "./orpo.ts";
export * from "./pairs.ts";
export * from "./policy.ts";
export * from "./ppo.ts";
export * from "./prm.ts";
export * from "./quantile.ts";
export * from "./reward.ts";
export * from "./rewards/mod.ts";
export * from "./rloo.ts";
export * from "./sequences.ts";
export * from "./sft.ts";
export * from "./sort.ts";
export * from "./token_metrics.ts";
export * from "./tpo.ts";
export type * from "./types.ts";
export * from "./variants.ts";
export * from "./window.ts";
export * from "./xpo.ts";
