/** The task of online DPO. @module */

import type { DecoderParams } from "../nn/mod.ts";
import { onlineDpo, type OnlineDpoLossType, sequenceSums } from "../rl/mod.ts";
import { type PreferenceSettings, preferenceTask } from "./preference_rollout.ts";
import type { OnlineTask } from "./task.ts";

/** Settings of {@link onlineDpoTask}. */
export interface OnlineDpoTaskOptions extends PreferenceSettings {
  /** The variant; `sigmoid` by default. */
  readonly lossType?: OnlineDpoLossType;
  /** The most tokens of prompt and answer that log-probs are computed of; no limit by default. */
  readonly maxLength?: number | undefined;
}

/** Online DPO: of two sampled answers to a prompt the better is preferred. Both share the prompt's computation. */
export function onlineDpoTask(options: OnlineDpoTaskOptions): OnlineTask<DecoderParams> {
  const { lossType = "sigmoid" } = options;
  return preferenceTask({
    ...options,
    learned: "both",
    objective: ({ tokens, values }, { normalizer }) => {
      const rewards = values["score"]!;
      return onlineDpo({
        logProbs: sequenceSums(tokens.logProbs, tokens, rewards.size),
        refLogProbs: sequenceSums(tokens.refLogProbs, tokens, rewards.size),
        rewards,
      }, { lossType, beta: values["beta"]!.mean(), normalizer });
    },
  });
}
