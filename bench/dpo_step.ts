/** A whole step of direct preference optimisation, with prompts that pairs share and with copies of them. @module */

import {
  leavesOf,
  partition,
  randomKey,
  realize,
  setDevice,
  type Tensor,
  tensor,
} from "../core/mod.ts";
import type { PreferenceExample } from "../data/prepare/prepare_pairs.ts";
import { adamWOptimizer, causalModel, type DecoderParams, initParameters } from "../nn/mod.ts";
import { dpo } from "../rl/mod.ts";
import { dpoTask, pairSpec } from "../train/tasks/pair_tasks.ts";
import { referenceFor } from "../train/tasks/completion_task.ts";
import { trainSteps } from "../train/loop/steps.ts";
import type { Backend } from "./backend.ts";
import { profileSteps, timeSteady } from "./measure.ts";
import type { Piece, PieceOptions, Row } from "./piece.ts";
import { large, small } from "./sft_step.ts";

/** Time of a step against log-probs of a reference that were computed ahead. */
export const dpoStepPiece: Piece = {
  name: "dpo",
  title: "A step of DPO, f32, Llama, 4 pairs, prompts of 512 and answers of 64 tokens, AdamW",
  casesAre: "rows",
  run: async (backend, options) => [
    await measure(backend, options, true),
    await measure(backend, options, false),
  ],
};

/** Pairs whose tokens are the same every time. */
function pairsOf(prompt: number, answer: number, vocabulary: number): PreferenceExample[] {
  let state = 1;
  const tokens = (length: number) =>
    Int32Array.from({ length }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      // Low ids are frequent, as in text.
      return Math.floor((state / 2 ** 32) ** 2 * vocabulary);
    });
  return Array.from({ length: 4 }, (_, row) => {
    const promptIds = tokens(prompt);
    const [chosen, rejected] = [tokens(answer), tokens(answer)];
    return {
      chosen: { promptIds, completionIds: chosen },
      rejected: { promptIds, completionIds: rejected },
      row,
    };
  });
}

async function measure(
  { device, software }: Backend,
  { quick, onProfile }: PieceOptions,
  sharePrompts: boolean,
): Promise<Row> {
  setDevice(device);
  const reduced = quick || software;
  const model = causalModel(reduced ? small : large);
  const [prompt, answer] = quick ? [64, 8] : [512, 64];
  const examples = pairsOf(prompt, answer, model.config.vocabularySize);
  const params = await realize(initParameters(model, randomKey(0)));
  const size = leavesOf(params).reduce((sum, [, leaf]) => sum + (leaf as Tensor).size, 0);
  const reference = await referenceFor({ ...pairSpec(examples), model }, { params, batchSize: 4 });
  const task = dpoTask({ model, examples, reference, objective: dpo, sharePrompts });
  const optimizer = adamWOptimizer({ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 });
  const { whole } = trainSteps(task, { optimizer, maxGradNorm: 1 });
  const batch = task.batch([0, 1, 2, 3]);
  let [trainable, frozen] = partition(params, () => true) as [DecoderParams, DecoderParams];
  let moments = optimizer.init(trainable);
  const key = { run: randomKey(0), index: tensor(Uint32Array.of(0)) };
  await realize([moments, batch.inputs, key]);

  let steps = 0;
  let metrics: { readonly names: readonly string[]; readonly values: Tensor } | null = null;
  const once = () => {
    metrics?.values.dispose();
    const scalars = {
      normalizer: batch.items,
      share: 1,
      labels: batch.items,
      ...optimizer.scalars(1e-5, ++steps),
    };
    const next = whole(trainable, moments, null, frozen, batch.inputs, key, scalars);
    ({ trainable, optimizer: moments, metrics } = next);
  };
  const lossNow = async () => (await metrics!.values.data())[metrics!.names.indexOf("loss")]!;
  once();
  const firstLoss = await lossNow();
  const ms = await timeSteady(device, once, {
    samples: quick ? 2 : 7,
    budgetMs: quick ? 1000 : software ? 15_000 : 30_000,
    sampleMs: device.kind === "webgpu" ? 100 : 1,
  });
  if (onProfile) onProfile(await profileSteps(device, once));
  const lastLoss = await lossNow();
  if (!(lastLoss < firstLoss)) {
    throw new Error(`The loss went from ${firstLoss} to ${lastLoss} in ${steps} steps`);
  }
  const { completions } = batch.inputs as { completions: { stream: { ids: Tensor } } };
  return {
    ...(reduced ? { note: quick ? "quick: small model" : "small model: software adapter" } : {}),
    prompts: sharePrompts ? "shared" : "apart",
    parameters: `${(size / 1e6).toFixed(1)} M`,
    tokens: completions.stream.ids.size,
    "step ms": ms,
    "first loss": firstLoss,
    "last loss": `${lastLoss.toFixed(4)} (${steps} steps)`,
  };
}
