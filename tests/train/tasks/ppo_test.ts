import assert from "node:assert/strict";
import { logSoftmax, mapTree, scope, type Tensor, tensor } from "../../../core/mod.ts";
import type { PromptExample } from "../../../data/prepare/prepare_prompts.ts";
import {
  headValues,
  scoreValues,
  type TokenStream,
  type ValueHeadParams,
} from "../../../nn/mod.ts";
import { type OpenModel, openModel } from "../../../train/files/model_directory.ts";
import { ppoTask, type PpoTaskOptions } from "../../../train/tasks/ppo.ts";
import { ppoPrompts } from "../../../train/sampling/ppo_rollout.ts";
import { lossOf } from "../../../rl/mod.ts";
import type { Generation, RolloutContext } from "../../../train/sampling/rollout.ts";
import { type ValueModelParams, withValueModel } from "../../../train/files/value_model.ts";
import type { DecoderParams } from "../../../nn/mod.ts";
import { assertClose } from "../../core/compare.ts";
import { fixture } from "../../data/fixture_files.ts";
import { devices, eachDevice } from "../../devices.ts";
import { setDevice } from "../../../core/device/current.ts";
import { rowsLayout } from "../../nn/adapters.ts";
import { logitsOf } from "../../nn/streams.ts";

const prompts = [[5, 90, 33], [17, 4, 250, 61, 8], [300, 2, 19], [44, 45, 46, 47]];
const answers = [[7, 200, 13], [99, 2], [120, 121, 122, 123], [350]];
const given = [0.5, -0.25, 1, 0.75];
const temperature = 0.7;

const examples = prompts.map((promptIds, row): PromptExample => ({
  row,
  prompt: `prompt ${row}`,
  promptIds,
  columns: {},
}));

async function openPolicy(kind: "head" | "model"): Promise<OpenModel> {
  const directory = fixture("models/llama");
  const head = { kind: "language", ...(kind === "head" ? { values: {} } : {}) } as const;
  const opened = await openModel({ directory, seed: 3, head });
  if (kind === "head") return opened;
  return withValueModel(
    opened,
    await openModel({
      directory: fixture("models/llama_reward"),
      seed: 3,
      head: { kind: "sequence", labels: 1 },
    }),
  );
}

/** The policy with other numbers. */
function moved<P>(params: P): P {
  return mapTree(
    params,
    (leaf, path) => /mlp/.test(path) ? (leaf as Tensor).mul(1.2) : leaf,
  ) as P;
}

function taskOf(
  opened: OpenModel,
  changes: {
    readonly rewards?: Partial<PpoTaskOptions["rewards"]>;
    readonly plan?: Partial<PpoTaskOptions["plan"]>;
    readonly reference?: DecoderParams;
    readonly loss?: PpoTaskOptions["loss"];
  } = {},
) {
  return ppoTask({
    answering: {
      model: opened.model,
      tokenizer: opened.tokenizer,
      examples,
      rewards: [],
      sampling: { temperature },
      maxCompletionLength: 4,
      eosTokenIds: [2],
      seed: 1,
    },
    reference: { kind: "fixed", params: changes.reference ?? opened.reference },
    values: opened.valueModel
      ? { kind: "model", model: opened.valueModel.model }
      : { kind: "head", dropout: 0 },
    plan: {
      batchSize: 2,
      gradientAccumulationSteps: 1,
      numMiniBatches: 2,
      numPpoEpochs: 3,
      scoringBatchSize: 3,
      shuffle: false,
      seed: 5,
      countEpisodes: true,
      ...changes.plan,
    },
    rewards: {
      klCoef: 0.05,
      klEstimator: "k1",
      whitenRewards: false,
      gamma: 1,
      lam: 0.95,
      ...changes.rewards,
    },
    ...(changes.loss ? { loss: changes.loss } : {}),
  });
}

function contextOf(
  params: DecoderParams,
  changes: Partial<RolloutContext<DecoderParams>> = {},
): RolloutContext<DecoderParams> {
  return {
    params,
    taskState: null,
    progress: { step: 0, totalSteps: 1, epoch: 0 },
    number: 0,
    carried: {},
    rollout: ({ rows }) => rows.map((row) => [{ ids: answers[row]!, rewards: [given[row]!] }]),
    ...changes,
  };
}

interface Scores {
  readonly logProbs: readonly number[];
  readonly values: readonly number[];
}

/** Log-probs and values of an answer's tokens from all logits and hidden states, one sequence at a time. */
async function scoresOf(opened: OpenModel, params: DecoderParams, row: number): Promise<Scores> {
  return await scope(async () => {
    const [prompt, answer] = [prompts[row]!, answers[row]!];
    const ids = Int32Array.from([...prompt, ...answer]);
    const stream: TokenStream = rowsLayout(ids, ids.length).stream;
    const rotary = opened.model.tables(ids.length);
    const logits = logitsOf(opened.model, params, stream, { rotary }).div(temperature);
    const all = await logSoftmax(logits).data();
    const [, vocabulary] = logits.shape;
    let values: Tensor;
    if (opened.valueModel && "value_model" in params) {
      const own = (params as ValueModelParams).value_model;
      values = scoreValues(own, opened.valueModel.model.hidden(own, stream, { rotary }));
    } else if ("v_head" in params) {
      values = headValues(
        params as ValueHeadParams,
        opened.model.hidden(params, stream, { rotary }),
      );
    } else values = tensor(new Float32Array(ids.length));
    const found = await values.data();
    const sources = answer.map((_, t) => prompt.length - 1 + t);
    return {
      logProbs: sources.map((source, t) => all[source * vocabulary! + answer[t]!]!),
      values: sources.map((source) => found[source]!),
    };
  });
}

const mean = (x: readonly number[]) => x.reduce((a, b) => a + b, 0) / x.length;

for (const kind of ["head", "model"] as const) {
  eachDevice(`a generation is valued as by hand, with a value ${kind}`, async () => {
    const opened = await openPolicy(kind);
    const reference = moved(opened.reference);
    const [klCoef, gamma, lam, penalty] = [0.3, 0.9, 0.8, 2];
    const task = taskOf(opened, {
      reference,
      rewards: {
        klCoef,
        klEstimator: "k3",
        gamma,
        lam,
        missingEosPenalty: penalty,
        adaptiveKl: { target: 0.01, horizon: 40 },
      },
    });
    const rollout = await task.rollout.generate([0, 1, 2, 3], contextOf(opened.params));
    const { samples, carried } = rollout.generation;

    const own = await Promise.all(prompts.map((_, row) => scoresOf(opened, opened.params, row)));
    const other = await Promise.all(prompts.map((_, row) => scoresOf(opened, reference, row)));
    const kl = own.map(({ logProbs }, i) =>
      logProbs.map((p, t) => {
        const r = other[i]!.logProbs[t]! - p;
        return Math.exp(r) - 1 - r;
      })
    );
    // Only the second answer has the end token.
    const scores = given.map((score, i) => i === 1 ? score : score - penalty);
    const raw = own.map(({ values }, i) => {
      const advantages: number[] = [];
      let next = 0;
      for (let t = values.length - 1; t >= 0; t--) {
        const last = t === values.length - 1;
        const reward = -klCoef * kl[i]![t]! + (last ? scores[i]! : 0);
        next = reward + gamma * (last ? 0 : values[t + 1]!) - values[t]! + gamma * lam * next;
        advantages[t] = next;
      }
      return advantages;
    });
    const flat = raw.flat();
    const variance = flat.reduce((sum, x) => sum + (x - mean(flat)) ** 2, 0) / (flat.length - 1);
    samples.forEach(({ ids, tokenValues }, i) => {
      assert.deepEqual(ids, answers[i]);
      assertClose(tokenValues["oldLogProbs"]!, own[i]!.logProbs, 1e-5, "log-probs");
      assertClose(tokenValues["oldValues"]!, own[i]!.values, 1e-5, "values", 1);
      const returns = raw[i]!.map((x, t) => x + own[i]!.values[t]!);
      assertClose(tokenValues["returns"]!, returns, 1e-5, "returns", 1);
      const whitened = raw[i]!.map((x) => (x - mean(flat)) / Math.sqrt(variance + 1e-8));
      assertClose(tokenValues["advantages"]!, whitened, 2e-5, "advantages", 1);
    });

    const divergence = mean(kl.map((row) => row.reduce((a, b) => a + b, 0)));
    assert.ok(divergence > 0.1);
    const { metrics } = rollout;
    const expected: Readonly<Record<string, number>> = {
      reward: mean(given),
      "objective/scores": mean(scores),
      "objective/kl": divergence,
      "objective/kl_coef": klCoef,
      "objective/non_score_reward": -klCoef * divergence,
      "objective/rlhf_reward": mean(scores) - klCoef * divergence,
      "objective/entropy": -mean(own.map(({ logProbs }) => logProbs.reduce((a, b) => a + b, 0))),
      "val/num_eos_tokens": 1,
      episode: 4,
    };
    for (const [name, value] of Object.entries(expected)) {
      assertClose([metrics[name]!], [value], 2e-5, name, 1);
    }
    assert.ok(metrics["eps"]! > 0);
    // Far above the target, the coefficient rises as much as it may: by 20 % in `horizon` answers.
    assertClose([carried!["klCoef"]!], [klCoef * (1 + 0.2 * 4 / 40)], 1e-12, "coefficient");
    const after = await task.rollout.generate([0, 1, 2, 3], {
      ...contextOf(opened.params),
      number: 1,
      carried: carried!,
    });
    assert.equal(after.metrics["objective/kl_coef"], carried!["klCoef"]);
    assert.equal(after.metrics["episode"], 8);
  });
}

Deno.test("whitened rewards keep their mean and change what tokens are worth", async () => {
  setDevice(devices[0]!);
  const opened = await openPolicy("head");
  const reference = moved(opened.reference);
  // Without values, λ = 1 and γ = 0, a return is the reward of its token.
  const params = mapTree(
    opened.params,
    (leaf, path) => path.startsWith("v_head") ? (leaf as Tensor).mul(0) : leaf,
  ) as DecoderParams;
  const rewardsOf = async (whitenRewards: boolean) => {
    const task = taskOf(opened, { reference, rewards: { whitenRewards, gamma: 0, lam: 1 } });
    const { generation } = await task.rollout.generate([0, 1, 2, 3], contextOf(params));
    return generation.samples.flatMap(({ tokenValues }) => [...tokenValues["returns"]!]);
  };
  const [plain, whitened] = [await rewardsOf(false), await rewardsOf(true)];
  const deviation = (x: readonly number[]) =>
    Math.sqrt(x.reduce((sum, y) => sum + (y - mean(x)) ** 2, 0) / (x.length - 1));
  assertClose([mean(whitened)], [mean(plain)], 1e-6, "mean", 1);
  assertClose([deviation(whitened)], [1], 1e-6, "deviation");
  assert.ok(Math.abs(deviation(plain) - 1) > 0.1);
});

Deno.test("each PPO epoch learns from every answer once, in an order of its own", async () => {
  setDevice(devices[0]!);
  const opened = await openPolicy("head");
  const plan = {
    batchSize: 2,
    gradientAccumulationSteps: 2,
    numMiniBatches: 3,
    numPpoEpochs: 4,
    scoringBatchSize: 1,
    shuffle: false,
    seed: 5,
    countEpisodes: true,
  };
  assert.equal(ppoPrompts(plan), 12);
  const { rollout } = taskOf(opened, { plan });
  assert.equal(rollout.prompts, 12);
  assert.equal(rollout.microBatches, 4 * 3 * 2);
  const generationOf = (number: number): Generation => ({
    prompts: Array.from({ length: 12 }, (_, row) => ({ row, ids: [row + 3] })),
    samples: Array.from({ length: 12 }, (_, prompt) => ({
      prompt,
      ids: [9],
      values: {},
      tokenValues: {},
    })),
    carried: { generations: number + 1 },
  });
  const ordersOf = (number: number) =>
    Array.from({ length: 4 }, (_, epoch) =>
      Array.from(
        { length: 6 },
        (_, k) => rollout.batch(generationOf(number), epoch * 6 + k).rows,
      ).flat());
  const orders = [...ordersOf(0), ...ordersOf(1)];
  const all = Array.from({ length: 12 }, (_, i) => i);
  for (const order of orders) assert.deepEqual([...order].sort((a, b) => a - b), all);
  assert.equal(new Set(orders.map(String)).size, 8);
  assert.deepEqual(ordersOf(0), orders.slice(0, 4));
});

eachDevice(
  "before its first step, the policy is its reference and no ratio is clipped",
  async () => {
    const opened = await openPolicy("head");
    const task = taskOf(opened);
    const { generation, metrics } = await task.rollout.generate(
      [0, 1, 2, 3],
      contextOf(opened.params),
    );
    assert.equal(metrics["objective/kl"], 0);
    const found = await scope(async () => {
      const { inputs, items } = task.rollout.batch(generation, 0);
      const objective = task.objective(opened.params, inputs as never, {
        key: null,
        window: { normalizer: items, share: 1 },
        state: null,
      });
      const numbers = Object.entries({ ...objective.metrics, loss: lossOf(objective) });
      return Object.fromEntries(
        await Promise.all(numbers.map(async ([name, x]) => [name, (await x.data())[0]!] as const)),
      );
    });
    assertClose([found["val/ratio"]!], [1], 1e-5, "ratio");
    for (const name of ["policy/approxkl", "policy/clipfrac_avg", "val/ratio_var"]) {
      assert.ok(found[name]! < 1e-9, `${name} is ${found[name]}`);
    }
    // The ratio is 1, the values are the old ones: −mean A + vf_coef/2 · mean (V − R)².
    const { rows } = task.rollout.batch(generation, 0);
    const chosen = rows.map((row) => generation.samples[row]!.tokenValues);
    const flat = (name: string) => chosen.flatMap((values) => [...values[name]!]);
    const [advantages, values, returns] = ["advantages", "oldValues", "returns"].map(flat);
    const squares = mean(values!.map((v, t) => (v - returns![t]!) ** 2));
    assertClose([found["loss/policy_avg"]!], [-mean(advantages!)], 1e-4, "policy loss", 1);
    assertClose([found["loss/value_avg"]!], [squares / 2], 1e-4, "value loss");
    assertClose([found["loss"]!], [-mean(advantages!) + 0.05 * squares], 1e-4, "loss", 1);
  },
);

Deno.test("a value model with another vocabulary is refused", async () => {
  setDevice(devices[0]!);
  const opened = await openPolicy("head");
  const { config } = opened.model;
  const other: OpenModel = {
    ...opened,
    model: { ...opened.model, config: { ...config, vocabularySize: 11 } },
  };
  assert.throws(() => withValueModel(opened, other), /vocabulary of 11 tokens, the policy one of/);
});
