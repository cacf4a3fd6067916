/** Options of `online-dpo`, `nash-md` and `xpo`: TRL's configurations over the shared blocks. @module */

import { UserError } from "../../core/errors.ts";
import { choice, float, floats, int, model } from "./builders.ts";
import { checkJudges } from "./grpo_checks.ts";
import { type Options, section, type Values } from "./option.ts";
import { checkPreference } from "./preference_base.ts";
import { onlineBase, rolloutOptions } from "./sampling.ts";
import { trainingOptions } from "./training.ts";
import { ownLoss } from "./own_loss.ts";
import { onlyWithout } from "./when.ts";

const { reward_model_name_or_path: _, ...blocks } = onlineBase;

/** What the three commands take. */
const base = {
  ...section("Sampling", {
    max_new_tokens: int({ default: 64, min: 1, help: "The most tokens of an answer." }),
  }),
  ...blocks,
  ...rolloutOptions,
  ...section("Rewards", {
    reward_model_path: model({
      names: "reward model",
      aliases: ["reward_model_name_or_path", "reward_model"],
      help: "A reward model (or MODEL:LABEL), the first reward.",
    }),
    missing_eos_penalty: float({ min: 0, help: "What an answer loses that is cut off." }),
  }),
  ...section("Reference", {
    ref_model_name_or_path: model({
      aliases: ["ref_model", "ref_model_path"],
      help: "The reference; unset: the policy as it begins. Not in TRL's command.",
    }),
  }),
  ...section("Loss", {
    beta: floats({
      when: onlyWithout("loss"),
      default: [0.1],
      help: "Pull to the reference; several: one for each epoch.",
    }),
  }),
  ...section("Without effect here", {
    vllm_gpu_memory_utilization: float({
      default: 0.55,
      help: "vLLM.",
      notice: "the sampler and the trainer are one engine here",
    }),
  }),
  temperature: { ...onlineBase.temperature, default: 0.9 },
  disable_dropout: { ...onlineBase.disable_dropout, default: true },
  learning_rate: { ...trainingOptions.learning_rate, default: 5e-7 },
} satisfies Options;

const lossTypes = ["sigmoid", "ipo"] as const;

const lossType = section("Loss", {
  loss_type: choice({
    when: onlyWithout("loss"),
    choices: lossTypes,
    default: "sigmoid",
    help: "The variant.",
  }),
});

const wholePrompts = section("Without effect here", {
  max_length: int({
    default: 512,
    help: "Tokens in a row.",
    notice: "prompts are taken whole, in TRL's trainer too",
  }),
});

/** Every option of `online-dpo`. */
export const onlineDpoOptions = {
  ...base,
  ...lossType,
  ...section("Data", {
    max_length: int({
      default: 512,
      min: 2,
      help: "Tokens of prompt and answer that are learned from; the first ones are cut off.",
    }),
  }),
  ...ownLoss("answers' log-probs and rewards", "(answers: AnswerLogProbs) => OwnObjective"),
} satisfies Options;

/** Every option of `nash-md`. */
export const nashMdOptions = {
  ...base,
  ...wholePrompts,
  ...section("Loss", {
    mixture_coef: floats({
      default: [0.5],
      help: "The reference's share in the opponent, 0 to 1; several: one for each epoch.",
    }),
  }),
  ...section("Without effect here", {
    loss_type: choice({
      choices: lossTypes,
      default: "sigmoid",
      help: "The variant.",
      notice: "Nash-MD has one loss, in TRL's trainer too",
    }),
  }),
  ...ownLoss(
    "answers' tokens and both answerers' scores",
    "(tokens: NashMdTokens) => OwnObjective",
  ),
} satisfies Options;

/** Every option of `xpo`. */
export const xpoOptions = {
  ...base,
  ...wholePrompts,
  ...lossType,
  ...section("Loss", {
    alpha: floats({
      when: onlyWithout("loss"),
      default: [1e-5],
      help: "Bonus for leaving the reference's answers; several: one for each epoch.",
    }),
  }),
  ...ownLoss("both answerers' log-probs and scores", "(logProbs: XpoLogProbs) => OwnObjective"),
} satisfies Options;

/** What the three commands have. */
export type OnlineDpoValues = Values<typeof base>;

/**
 * Checks what no single option can.
 *
 * @throws {UserError} When nothing judges the answers, or a coefficient is out of range.
 */
export function checkOnlineDpo(values: OnlineDpoValues): void {
  checkPreference(values);
  checkJudges(withRewardModel(values));
  const evaluates = values.eval_strategy !== "no" || values.eval_on_start;
  const judged = values.reward_funcs !== undefined || values.reward_model_path !== undefined;
  if (evaluates && !judged) {
    throw new UserError(
      "Evaluation samples answers, which --rollouts has none of: name what judges them with --reward_funcs, or leave " +
        "--eval_strategy out.",
    );
  }
  checkCoefficients("beta", values.beta, { above: 0 });
}

/** Checks a coefficient's numbers. @throws {UserError} If one is out of range. */
export function checkCoefficients(
  name: string,
  list: readonly number[],
  { above, max = Infinity }: { readonly above?: number; readonly max?: number },
): void {
  const wrong = list.find((x) => (above === undefined ? x < 0 : x <= above) || x > max);
  if (wrong === undefined) return;
  const range = above === undefined ? `from 0 to ${max}` : `above ${above}`;
  throw new UserError(`--${name} is ${list.join(" ")}; expected numbers ${range}.`);
}

/** The reward model by the name that all online commands know it by. */
export function withRewardModel<V extends Pick<OnlineDpoValues, "reward_model_path">>(
  values: V,
): V & { readonly reward_model_name_or_path: string | undefined } {
  return { ...values, reward_model_name_or_path: values.reward_model_path };
}
