/** The task of online DPO. @module */

import type { Tensor } from "../../core/mod.ts";
import type { DecoderParams } from "../../nn/mod.ts";
import {
  type AnswerLogProbs,
  masked,
  type Objective,
  onlineDpo,
  type OnlineDpoLossType,
  tyingSums,
  withLossesFor,
} from "../../rl/mod.ts";
import { type PreferenceSettings, preferenceTask } from "../sampling/preference_rollout.ts";
import type { OnlineTask } from "../loop/task.ts";

/** Settings of {@link onlineDpoTask}. */
export interface OnlineDpoTaskOptions extends PreferenceSettings {
  /** The variant; `sigmoid` by default. */
  readonly lossType?: OnlineDpoLossType;
  /** The most tokens of prompt and answer that log-probs are computed of; no limit by default. */
  readonly maxLength?: number | undefined;
  /** A loss of your own, instead. */
  readonly objective?: ((answers: AnswerLogProbs) => Objective) | undefined;
}

/** Online DPO: of two sampled answers to a prompt the better is preferred. Both share the prompt's computation. */
export function onlineDpoTask(options: OnlineDpoTaskOptions): OnlineTask<DecoderParams> {
  const { lossType = "sigmoid", objective: own } = options;
  return preferenceTask({
    ...options,
    learned: "both",
    objective: ({ tokens, values }) => {
      const rewards = values["score"]!;
      const sums = (x: Tensor) => tyingSums(masked(x, tokens.mask), tokens, rewards.size);
      const answers: AnswerLogProbs = {
        logProbs: sums(tokens.logProbs),
        refLogProbs: sums(tokens.refLogProbs),
        rewards,
      };
      return own
        ? withLossesFor({ prompt: rewards.size / 2 }, own(answers))
        : onlineDpo(answers, { lossType, beta: values["beta"]!.mean() });
    },
  });
}
