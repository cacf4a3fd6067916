/** Tasks that prefer one of two answers, by answers that are given: losses against sums made by hand. */

import assert from "node:assert/strict";
import { leavesOf, logSoftmax, mapTree, realize, type Tensor } from "../../../core/mod.ts";
import { preparePrompts } from "../../../data/prepare/prepare_prompts.ts";
import type { DecoderParams } from "../../../nn/mod.ts";
import { type OpenModel, openModel } from "../../../train/files/model_directory.ts";
import { nashMdTask } from "../../../train/tasks/nash_md.ts";
import { onlineDpoTask } from "../../../train/tasks/online_dpo.ts";
import { atEpoch, type PreferenceSettings } from "../../../train/sampling/preference_rollout.ts";
import type { GivenAnswer } from "../../../train/sampling/rollout.ts";
import type { RolloutInputs } from "../../../train/sampling/rollout_batch.ts";
import type { OnlineTask } from "../../../train/loop/task.ts";
import { xpoTask } from "../../../train/tasks/xpo.ts";
import { fixture } from "../../data/fixture_files.ts";
import { eachDevice } from "../../devices.ts";
import { layOut, logitsOf } from "../../nn/streams.ts";
import { lossOf } from "../../../rl/mod.ts";

const open = () => openModel({ directory: fixture("models/llama"), seed: 0 });

/** A policy that is not its reference. */
async function moved(params: DecoderParams): Promise<DecoderParams> {
  return await realize(mapTree(params, (leaf) => (leaf as Tensor).mul(1.05)) as DecoderParams);
}

const eos = 2;
/** Two answers to each of two prompts, the second better for the first prompt, the first for the second. */
const given: readonly (readonly GivenAnswer[])[] = [
  [{ ids: [5, 9, 11], rewards: [0.5, 1] }, { ids: [7, eos], rewards: [0.75, 2] }],
  [{ ids: [20, 21, 22, eos], rewards: [1, null] }, { ids: [30, 31], rewards: [0.5, 1] }],
];
const weights = [1, 0.5];
/** Weighted sums of the rewards; an answer that is cut off loses a quarter. */
const scores = [[1 - 0.25, 1.75], [1, 1 - 0.25]] as const;

async function settings(opened: OpenModel): Promise<PreferenceSettings> {
  const { model, tokenizer } = opened;
  const rows = [{ prompt: "What is 1 plus 2?" }, { prompt: "Name a colour." }];
  const { examples } = preparePrompts(rows, tokenizer);
  const params = await realize(
    mapTree(opened.params, (x) => (x as Tensor).add(0)) as DecoderParams,
  );
  return {
    answering: {
      model,
      tokenizer,
      examples,
      rewards: [],
      rewardWeights: weights,
      sampling: { doSample: true, temperature: 0.7 },
      maxCompletionLength: 6,
      eosTokenIds: [eos],
      seed: 0,
    },
    reference: { kind: "fixed", params },
    batchSize: 2,
    beta: [0.1, 0.3],
    missingEosPenalty: 0.25,
  };
}

/** Metrics of a generation and of its micro-batch. */
async function measure(task: OnlineTask<DecoderParams>, params: DecoderParams, epoch = 0) {
  const { generation, metrics } = await task.rollout.generate([0, 1], {
    params,
    taskState: null,
    progress: { step: 0, totalSteps: 1, epoch },
    number: 0,
    carried: {},
    rollout: () => given,
  });
  const batch = task.rollout.batch(generation, 0);
  const context = { window: { normalizer: batch.items, share: 1 }, key: null, state: null };
  const objective = task.objective(params, batch.inputs as never, context);
  const loss = lossOf(objective);
  await realize([loss, objective.metrics]);
  const numbers: Record<string, number> = { ...metrics, loss: await loss.item() };
  for (const [name, value] of leavesOf(objective.metrics)) {
    numbers[name] = await (value as Tensor).item();
  }
  return { numbers, generation, batch, inputs: batch.inputs as RolloutInputs };
}

/** Σ log p of each given answer behind its prompt, each computed by itself. */
async function sums(
  { model }: OpenModel,
  params: DecoderParams,
  prompts: readonly (readonly number[])[],
): Promise<number[][]> {
  return await Promise.all(given.map((answers, p) =>
    Promise.all(answers.map(async ({ ids }) => {
      const whole = [...prompts[p]!, ...ids];
      const { stream } = layOut([{ name: "whole", ids: whole, labels: whole }]);
      const logits = logitsOf(model, params, stream, { rotary: model.tables(whole.length) });
      const values = await logSoftmax(logits).data();
      const width = model.config.vocabularySize;
      const start = prompts[p]!.length;
      return ids.reduce((sum, id, t) => sum + values[(start + t - 1) * width + id]!, 0);
    }))
  ));
}

const close = (found: number | undefined, expected: number, what: string, tolerance = 2e-5) =>
  assert.ok(
    Math.abs(found! - expected) <= tolerance * Math.max(1, Math.abs(expected)),
    `${what}: ${found}, expected ${expected}`,
  );

const logistic = (x: number) => -Math.log(1 / (1 + Math.exp(-x)));
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

eachDevice("online DPO prefers the better answer by the sums of their log-probs", async () => {
  const opened = await open();
  const base = await settings(opened);
  const policy = await moved(opened.params);
  const prompts = base.answering.examples.map(({ promptIds }) => promptIds);
  const [own, reference] = [
    await sums(opened, policy, prompts),
    await sums(opened, opened.params, prompts),
  ];
  const margins = scores.map(([a, b], p) => {
    const ratios = own[p]!.map((x, k) => x - reference[p]![k]!);
    return a >= b ? ratios[0]! - ratios[1]! : ratios[1]! - ratios[0]!;
  });
  for (const [epoch, beta] of [[0, 0.1], [1.5, 0.3], [7, 0.3]] as const) {
    const { numbers, batch } = await measure(onlineDpoTask(base), policy, epoch);
    close(numbers["loss"], mean(margins.map((m) => logistic(beta * m))), `loss at ${epoch}`);
    close(numbers["rewards/margins"], beta * mean(margins), "margins");
    assert.equal(numbers["beta"], beta);
    assert.equal(batch.items, 2);
  }
  const { numbers } = await measure(onlineDpoTask({ ...base, lossType: "ipo" }), policy);
  close(numbers["loss"], mean(margins.map((m) => (m - 5) ** 2)), "ipo");
  close(numbers["objective/scores"], mean(scores.flat()), "scores");
  close(numbers["objective/scores_margin"], mean([1, 0.25]), "margin of scores");
  close(numbers["logps/chosen"], mean([own[0]![1]!, own[1]![0]!]), "logps/chosen");
  assert.equal(numbers["val/contain_eos_token"], 0.5);
});

eachDevice("a policy that is its reference has no margin and a loss of log 2", async () => {
  const opened = await open();
  const base = await settings(opened);
  const tasks = { loss: onlineDpoTask(base), "loss/dpo": xpoTask(base) };
  for (const [name, task] of Object.entries(tasks)) {
    const { numbers } = await measure(task, opened.params);
    assert.equal(numbers["rewards/margins"], 0);
    close(numbers[name], Math.LN2, name, 1e-6);
  }
  const { numbers } = await measure(nashMdTask(base), opened.params);
  assert.deepEqual([numbers["loss/kl"], numbers["rewards/margins"]], [0, 0]);
});

eachDevice(
  "answers to a prompt share it, and those of Nash-MD's opponent are not learned from",
  async () => {
    const opened = await open();
    const base = await settings(opened);
    const prompt = base.answering.examples.reduce(
      (sum, { promptIds }) => sum + promptIds.length,
      0,
    );
    const { batch: pairs } = await measure(onlineDpoTask(base), opened.params);
    assert.equal(pairs.tokens, prompt + 3 + 2 + 4 + 2);
    const { batch: single, inputs } = await measure(nashMdTask(base), opened.params);
    assert.equal(single.tokens, prompt + 3 + 4);
    assert.deepEqual([...await inputs.values["score"]!.data()], [0.75, 1]);
    assert.deepEqual([...await inputs.values["opponentScore"]!.data()], [1.75, 0.75]);
  },
);

eachDevice("Nash-MD weighs the policy's answers by their chance to win", async () => {
  const opened = await open();
  const base = await settings(opened);
  const policy = await moved(opened.params);
  const prompts = base.answering.examples.map(({ promptIds }) => promptIds);
  const own = await sums(opened, policy, prompts);
  const task = nashMdTask({ ...base, mixtureCoef: [0.25] });
  const { numbers } = await measure(task, policy);
  const chances = scores.map(([a, b]) => 1 / (1 + Math.exp(b - a)));
  close(numbers["rewards/probabilities"], mean(chances), "probabilities");
  close(numbers["loss/score"], mean(chances.map((p, i) => (p - 0.5) * own[i]![0]!)), "score");
  close(numbers["logps/chosen"], mean(own.map(([first]) => first!)), "logps");
  assert.equal(numbers["mixture_coef"], 0.25);
  assert.equal(numbers["val/model_contain_eos_token"], 0.5);
  assert.equal(numbers["val/ref_contain_eos_token"], 0.5);
});

eachDevice("XPO adds the policy's log-probs of the reference's answers", async () => {
  const opened = await open();
  const base = await settings(opened);
  const policy = await moved(opened.params);
  const prompts = base.answering.examples.map(({ promptIds }) => promptIds);
  const own = await sums(opened, policy, prompts);
  const { numbers } = await measure(xpoTask({ ...base, alpha: [0.01] }), policy);
  const { numbers: dpo } = await measure(onlineDpoTask(base), policy);
  close(numbers["loss/dpo"], dpo["loss"]!, "loss/dpo");
  close(numbers["loss/xpo"], 0.01 * mean(own.map(([, second]) => second!)), "loss/xpo");
  close(numbers["loss"], numbers["loss/dpo"]! + numbers["loss/xpo"]!, "loss");
  assert.equal(numbers["alpha"], 0.01);
});

eachDevice("prompts lose their first tokens where they and the answer are too long", async () => {
  const opened = await open();
  const base = await settings(opened);
  const prompts = base.answering.examples.map(({ promptIds }) => promptIds);
  const { generation, numbers } = await measure(
    onlineDpoTask({ ...base, maxLength: 6 }),
    opened.params,
  );
  assert.deepEqual(generation.prompts.map(({ ids }) => ids), [
    prompts[0]!.slice(-3),
    prompts[1]!.slice(-2),
  ]);
  close(numbers["loss"], Math.LN2, "loss", 1e-6);
  const short = await measure(onlineDpoTask({ ...base, maxLength: 2 }), opened.params);
  assert.deepEqual(short.generation.prompts.map(({ ids }) => ids.length), [1, 1]);
});

Deno.test("a list of coefficients has one for each epoch, the last for all that follow", () => {
  assert.deepEqual([0, 0.9, 1, 1.5, 2, 9].map((epoch) => atEpoch([3, 2, 1], epoch)), [
    3,
    3,
    2,
    2,
    1,
    1,
  ]);
});
