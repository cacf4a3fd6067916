/** A function for each recipe. Written by `deno task options` from the declarations of the settings. @module */

import { bcoRecipe } from "../../recipes/bco.ts";
import { cpoRecipe } from "../../recipes/cpo.ts";
import { dpoRecipe } from "../../recipes/dpo.ts";
import { gkdRecipe } from "../../recipes/gkd.ts";
import { grpoRecipe } from "../../recipes/grpo.ts";
import { ktoRecipe } from "../../recipes/kto.ts";
import { nashMdRecipe } from "../../recipes/nash_md.ts";
import { onlineDpoRecipe } from "../../recipes/online_dpo.ts";
import { orpoRecipe } from "../../recipes/orpo.ts";
import { ppoRecipe } from "../../recipes/ppo.ts";
import { prmRecipe } from "../../recipes/prm.ts";
import { rewardRecipe } from "../../recipes/reward.ts";
import { rlooRecipe } from "../../recipes/rloo.ts";
import { sftRecipe } from "../../recipes/sft.ts";
import { tpoRecipe } from "../../recipes/tpo.ts";
import { xpoRecipe } from "../../recipes/xpo.ts";
import { runRecipe } from "../recipes.ts";
import type { Run } from "../run.ts";
import type { BcoOptions } from "./bco.ts";
import type { CpoOptions } from "./cpo.ts";
import type { DpoOptions } from "./dpo.ts";
import type { GkdOptions } from "./gkd.ts";
import type { GrpoOptions } from "./grpo.ts";
import type { KtoOptions } from "./kto.ts";
import type { NashMdOptions } from "./nash_md.ts";
import type { OnlineDpoOptions } from "./online_dpo.ts";
import type { OrpoOptions } from "./orpo.ts";
import type { PpoOptions } from "./ppo.ts";
import type { PrmOptions } from "./prm.ts";
import type { RewardOptions } from "./reward.ts";
import type { RlooOptions } from "./rloo.ts";
import type { SftOptions } from "./sft.ts";
import type { TpoOptions } from "./tpo.ts";
import type { XpoOptions } from "./xpo.ts";

/**
 * Binary classifier optimisation on single answers that are good or bad.
 *
 * @throws {UserError} On an option that is not there, wrong or missing.
 */
export function bco(options: BcoOptions): Run {
  return runRecipe(bcoRecipe, options);
}

/**
 * Preference optimisation without a reference model: CPO, SimPO, AlphaPO.
 *
 * @throws {UserError} On an option that is not there, wrong or missing.
 */
export function cpo(options: CpoOptions): Run {
  return runRecipe(cpoRecipe, options);
}

/**
 * Direct preference optimisation, and its variants, on pairs of answers.
 *
 * @throws {UserError} On an option that is not there, wrong or missing.
 */
export function dpo(options: DpoOptions): Run {
  return runRecipe(dpoRecipe, options);
}

/**
 * Generalised knowledge distillation: a student takes on its teacher's distributions.
 *
 * @throws {UserError} On an option that is not there, wrong or missing.
 */
export function gkd(options: GkdOptions): Run {
  return runRecipe(gkdRecipe, options);
}

/**
 * Group-relative policy optimisation: answers are compared with others to the prompt.
 *
 * @throws {UserError} On an option that is not there, wrong or missing.
 */
export function grpo(options: GrpoOptions): Run {
  return runRecipe(grpoRecipe, options);
}

/**
 * Kahneman–Tversky optimisation on single answers that are good or bad.
 *
 * @throws {UserError} On an option that is not there, wrong or missing.
 */
export function kto(options: KtoOptions): Run {
  return runRecipe(ktoRecipe, options);
}

/**
 * Nash-MD: answers that win against a mixture of the policy and its reference.
 *
 * @throws {UserError} On an option that is not there, wrong or missing.
 */
export function nashMd(options: NashMdOptions): Run {
  return runRecipe(nashMdRecipe, options);
}

/**
 * Online DPO: of two sampled answers to a prompt the better is preferred.
 *
 * @throws {UserError} On an option that is not there, wrong or missing.
 */
export function onlineDpo(options: OnlineDpoOptions): Run {
  return runRecipe(onlineDpoRecipe, options);
}

/**
 * Odds ratio preference optimisation: imitation and preference in one, without a reference model.
 *
 * @throws {UserError} On an option that is not there, wrong or missing.
 */
export function orpo(options: OrpoOptions): Run {
  return runRecipe(orpoRecipe, options);
}

/**
 * Proximal policy optimisation: a value function says what each token was worth.
 *
 * @throws {UserError} On an option that is not there, wrong or missing.
 */
export function ppo(options: PpoOptions): Run {
  return runRecipe(ppoRecipe, options);
}

/**
 * A process reward model: is each step of a solution right?
 *
 * @throws {UserError} On an option that is not there, wrong or missing.
 */
export function prm(options: PrmOptions): Run {
  return runRecipe(prmRecipe, options);
}

/**
 * A reward model: scores that put the better answer of each pair first.
 *
 * @throws {UserError} On an option that is not there, wrong or missing.
 */
export function reward(options: RewardOptions): Run {
  return runRecipe(rewardRecipe, options);
}

/**
 * REINFORCE leave-one-out: an answer's baseline is the mean of the others.
 *
 * @throws {UserError} On an option that is not there, wrong or missing.
 */
export function rloo(options: RlooOptions): Run {
  return runRecipe(rlooRecipe, options);
}

/**
 * Supervised fine-tuning of a causal language model on texts, prompt-completion pairs or conversations.
 *
 * @throws {UserError} On an option that is not there, wrong or missing.
 */
export function sft(options: SftOptions): Run {
  return runRecipe(sftRecipe, options);
}

/**
 * Triple preference optimisation: a pair to compare and a gold answer to imitate.
 *
 * @throws {UserError} On an option that is not there, wrong or missing.
 */
export function tpo(options: TpoOptions): Run {
  return runRecipe(tpoRecipe, options);
}

/**
 * XPO: online DPO against the reference's answers, with a bonus for leaving them.
 *
 * @throws {UserError} On an option that is not there, wrong or missing.
 */
export function xpo(options: XpoOptions): Run {
  return runRecipe(xpoRecipe, options);
}
