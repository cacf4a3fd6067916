/** The task of exploratory preference optimisation. @module */

import type { Tensor } from "../../core/mod.ts";
import { type DecoderParams, generator } from "../../nn/mod.ts";
import {
  type Objective,
  type OnlineDpoLossType,
  sequenceSums,
  withLossesFor,
  xpo,
  type XpoLogProbs,
} from "../../rl/mod.ts";
import { generateOptionsOf, samplerWith } from "../sampling/answers.ts";
import {
  opponentSeed,
  type PerEpoch,
  type PreferenceSettings,
  preferenceTask,
  withOpponent,
} from "../sampling/preference_rollout.ts";
import type { OnlineTask } from "../loop/task.ts";

/** Settings of {@link xpoTask}. */
export interface XpoTaskOptions extends PreferenceSettings {
  /** The variant; `sigmoid` by default. */
  readonly lossType?: OnlineDpoLossType;
  /** Weight of the bonus for leaving the reference's answers; 1e-5 by default. */
  readonly alpha?: PerEpoch;
  /** A loss of your own, instead. */
  readonly objective?: ((logProbs: XpoLogProbs) => Objective) | undefined;
}

/** XPO: the policy's answers and the reference's are compared, and leaving the reference's is rewarded. */
export function xpoTask(options: XpoTaskOptions): OnlineTask<DecoderParams> {
  const { answering, reference, lossType = "sigmoid", alpha = [1e-5], objective } = options;
  const settings = generateOptionsOf(answering);
  const own = generator(answering.model, settings);
  const other = reference.model ? generator(reference.model, settings) : own;
  const ofReference = samplerWith(other, opponentSeed(answering));
  return preferenceTask({
    ...options,
    sample: withOpponent(
      samplerWith(own, answering.seed),
      (context, prompts) => ofReference(reference.params, prompts, 1, context),
    ),
    answerers: ["policy", "reference"],
    learned: "both",
    coefficients: { alpha },
    objective: ({ tokens, values }) => {
      const scores = values["score"]!;
      const size = scores.size / 2;
      const split = (x: Tensor) => [x.slice(0, size), x.slice(size)] as const;
      const sums = (x: Tensor) => split(sequenceSums(x, tokens, scores.size));
      const [policyOnModel, policyOnReference] = sums(tokens.logProbs);
      const [referenceOnModel, referenceOnReference] = sums(tokens.refLogProbs);
      const [modelScores, referenceScores] = split(scores);
      const logProbs: XpoLogProbs = {
        policyOnModel,
        policyOnReference,
        referenceOnModel,
        referenceOnReference,
        modelScores,
        referenceScores,
      };
      return objective ? withLossesFor({ prompt: size }, objective(logProbs)) : xpo(logProbs, {
        lossType,
        beta: values["beta"]!.mean(),
        alpha: values["alpha"]!.mean(),
      });
    },
  });
}
