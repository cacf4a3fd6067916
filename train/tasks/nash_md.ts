/** The task of Nash mirror descent. @module */

import { tensor } from "../../core/mod.ts";
import { type DecoderParams, mixtureGenerator, type MixtureParams } from "../../nn/mod.ts";
import { nashMd, type NashMdTokens, type Objective, withLossesFor } from "../../rl/mod.ts";
import {
  type AnswerSampler,
  answerSampler,
  generateOptionsOf,
  samplerWith,
} from "../sampling/answers.ts";
import {
  atEpoch,
  opponentSeed,
  type PerEpoch,
  type PreferenceSettings,
  preferenceTask,
  withOpponent,
} from "../sampling/preference_rollout.ts";
import type { OnlineTask } from "../loop/task.ts";

/** Settings of {@link nashMdTask}. */
export interface NashMdTaskOptions extends PreferenceSettings {
  /** The reference's share in the mixture that the policy plays against; 0.5 by default. */
  readonly mixtureCoef?: PerEpoch;
  /** A loss of your own, instead. */
  readonly objective?: ((tokens: NashMdTokens) => Objective) | undefined;
}

/** Nash-MD: the policy's answers are to win against those of its mixture with the reference. */
export function nashMdTask(options: NashMdTaskOptions): OnlineTask<DecoderParams> {
  const { answering, reference, mixtureCoef = [0.5], objective } = options;
  const models = { policy: answering.model, reference: reference.model ?? answering.model };
  const mixture: AnswerSampler<MixtureParams> = samplerWith(
    mixtureGenerator(models, generateOptionsOf(answering)),
    opponentSeed(answering),
  );
  return preferenceTask({
    ...options,
    sample: withOpponent(answerSampler(answering), (context, prompts) => {
      const { params: policy, progress } = context;
      const share = tensor(atEpoch(mixtureCoef, progress.epoch));
      return mixture({ policy, reference: reference.params, share }, prompts, 1, context);
    }),
    answerers: ["policy", "mixture"],
    learned: "first",
    coefficients: { mixture_coef: mixtureCoef },
    objective: ({ tokens, values }) => {
      const answers: NashMdTokens = {
        ...tokens,
        modelScores: values["score"]!,
        mixtureScores: values["opponentScore"]!,
      };
      return objective
        ? withLossesFor({ prompt: answers.modelScores.size }, objective(answers))
        : nashMd(answers, { beta: values["beta"]!.mean() });
    },
  });
}
