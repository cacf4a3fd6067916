/** The task of proximal policy optimisation: a policy and a value function learn from sampled answers. @module */

import { foldKey, stopGradient, type Tensor } from "../../core/mod.ts";
import type { DecoderParams } from "../../nn/mod.ts";
import {
  boundedExp,
  logRatios,
  maskedMean,
  type Objective,
  ppo,
  type PpoOptions,
  type PpoTokens,
  type PpoValues,
  withLossesFor,
} from "../../rl/mod.ts";
import { answering, type AnsweringOptions } from "../sampling/answers.ts";
import { type OnlineReference, onlineScorers, referenceState } from "./online.ts";
import { type PpoPlan, type PpoRewardOptions, ppoRollout } from "../sampling/ppo_rollout.ts";
import { scoreWithValues, type ValueFunction, valueScorer, valueTables } from "./ppo_values.ts";
import type { RolloutInputs } from "../sampling/rollout_batch.ts";
import type { ObjectiveContext, OnlineTask } from "../loop/task.ts";

/** Settings of {@link ppoTask}. */
export interface PpoTaskOptions {
  /** How prompts are answered and answers judged. */
  readonly answering: AnsweringOptions;
  /** The model that the policy is held near. */
  readonly reference: OnlineReference;
  /** What says how much is to be expected before a token. */
  readonly values: ValueFunction;
  /** How a generation is cut and used. */
  readonly plan: PpoPlan;
  /** From scores of answers to advantages of tokens. */
  readonly rewards: PpoRewardOptions;
  /** Of the loss. */
  readonly loss?: Pick<PpoOptions, "cliprange" | "cliprangeValue" | "vfCoef">;
  /** A loss of your own, instead: losses of tokens [N], or one number for the batch. */
  readonly objective?: ((tokens: PpoTokens, values: PpoValues) => Objective) | undefined;
  /** Recompute layers in the backward pass. */
  readonly gradientCheckpointing?: boolean;
}

/** Sets the value head's dropout apart from the adapters'. */
const valueStream = 7;

/**
 * Proximal policy optimisation (Schulman et al., 2017) of answers that are judged as a whole, held near a reference by
 * its divergence in the reward (Ouyang et al., 2022).
 *
 * A generation is learned from in num_ppo_epochs × num_mini_batches optimiser steps. Each of them is a step of the run,
 * for logging, saving and the learning rate; in TRL all of them together are one. What concerns the answers
 * (`objective/…`, `rewards/…`) is in the row of the step that has sampled them. Metrics have TRL's names; averages leave
 * out padding, and `val/ratio_var` is the variance over a micro-batch's tokens, where TRL takes that of the micro-batches'
 * means.
 */
export function ppoTask(options: PpoTaskOptions): OnlineTask<DecoderParams> {
  const { answering: settings, values, gradientCheckpointing = false } = options;
  const { model, tokenizer, eosTokenIds, examples, maxCompletionLength } = settings;
  const scoring = { model, values, temperature: settings.sampling.temperature ?? 1 };
  const longest = examples.reduce((most, { promptIds }) => Math.max(most, promptIds.length), 0);
  const tables = valueTables(scoring, longest + maxCompletionLength);
  const own = tokenizer.eosTokenId;
  return {
    examples: examples.length,
    normalize: "batch",
    ...referenceState(options.reference),
    rollout: ppoRollout({
      answer: answering(settings),
      plan: options.plan,
      rewards: options.rewards,
      score: valueScorer(scoring, tables),
      reference: onlineScorers(options).reference!,
      endTokenIds: own === undefined ? eosTokenIds : [...new Set([own, ...eosTokenIds])],
    }),
    objective: (
      params: DecoderParams,
      inputs: RolloutInputs,
      { key }: ObjectiveContext,
    ) => {
      const scored = scoreWithValues(params, inputs.completions, tables, {
        ...scoring,
        gradientCheckpointing: gradientCheckpointing && key !== null,
        key: key && foldKey(key, valueStream),
      });
      const { oldLogProbs, oldValues, advantages, returns } = inputs.tokenValues;
      const tokens: PpoTokens = {
        ...scored.tokens,
        oldLogProbs: oldLogProbs!,
        tokenAdvantages: advantages!,
      };
      const { mask } = tokens;
      const ofValues: PpoValues = {
        values: scored.values,
        oldValues: oldValues!,
        returns: returns!,
        mask,
      };
      const own = options.objective?.(tokens, ofValues);
      const objective = own
        ? { mask, ofTokens: true, ...withLossesFor({ token: mask.size }, own) }
        : ppo(tokens, ofValues, options.loss);
      return {
        ...objective,
        metrics: { ...objective.metrics, "val/ratio_var": ratioVariance(tokens) },
      };
    },
  };
}

function ratioVariance(tokens: PpoTokens): Tensor {
  const ratio = boundedExp(stopGradient(logRatios(tokens)));
  const mean = maskedMean(ratio, tokens.mask);
  return maskedMean(ratio.sub(mean).square(), tokens.mask);
}
