/** Tasks over completions: whether prompts are shared must not show in the numbers. */

import assert from "node:assert/strict";
import { leavesOf, mapTree, realize, type Tensor, valueAndGradWithAux } from "../../../core/mod.ts";
import {
  type PreferenceExample,
  prepareCpo,
  prepareDpo,
  prepareOrpo,
  prepareTpo,
} from "../../../data/prepare/prepare_pairs.ts";
import type { DatasetRow } from "../../../data/prepare/formats.ts";
import type { Tokenizer } from "../../../data/tokenizer/tokenizer.ts";
import type { CausalModel, DecoderParams } from "../../../nn/mod.ts";
import { cpo, dpo, lossOf, orpo, tpo } from "../../../rl/mod.ts";
import { referenceFor } from "../../../train/tasks/completion_task.ts";
import { prepareGkd } from "../../../data/prepare/prepare_gkd.ts";
import type { CompletionInputs } from "../../../train/tasks/completions.ts";
import { gkdTask } from "../../../train/tasks/gkd.ts";
import { openModel } from "../../../train/files/model_directory.ts";
import {
  cpoTask,
  dpoTask,
  orpoTask,
  pairSpec,
  type PairTaskOptions,
  tpoTask,
} from "../../../train/tasks/pair_tasks.ts";
import type { Task } from "../../../train/loop/task.ts";
import { assertClose } from "../../core/compare.ts";
import { fixture, readRows } from "../../data/fixture_files.ts";
import { eachDevice } from "../../devices.ts";
import { logitsOf } from "../../nn/streams.ts";
import { onCpu } from "../../rl/cases.ts";

const open = (name = "llama") => openModel({ directory: fixture(`models/${name}`), seed: 0 });

interface Measured {
  /** Loss and metrics. */
  readonly numbers: Readonly<Record<string, number>>;
  readonly gradients: ReadonlyMap<string, Float32Array>;
  /** Tokens in the stream, padding included. */
  readonly length: number;
}

/** Loss, metrics and gradients of one batch of all examples. */
async function measure(task: Task<DecoderParams>, params: DecoderParams): Promise<Measured> {
  const batch = task.batch(Array.from({ length: task.examples }, (_, i) => i));
  const context = {
    window: { normalizer: batch.items, share: 1 },
    key: null,
    state: task.initialState?.() ?? null,
  };
  const [[loss, metrics], gradients] = valueAndGradWithAux((p: DecoderParams) => {
    const objective = task.objective(p, batch.inputs as never, context);
    return [lossOf(objective), objective.metrics];
  })(params);
  await realize([loss, metrics, gradients]);
  const numbers: Record<string, number> = { loss: await loss.item() as number };
  for (const [name, value] of Object.entries(metrics)) numbers[name] = await value.item() as number;
  const found = new Map<string, Float32Array>();
  for (const [path, leaf] of leavesOf(gradients)) {
    found.set(path, await (leaf as Tensor).data() as Float32Array);
  }
  const { completions } = batch.inputs as { completions: { stream: { ids: Tensor } } };
  return { numbers, gradients: found, length: completions?.stream.ids.size ?? 0 };
}

/** A policy that is not its reference. */
async function moved(params: DecoderParams): Promise<DecoderParams> {
  return await realize(mapTree(params, (leaf) => (leaf as Tensor).mul(1.05)) as DecoderParams);
}

type Shared = Pick<PairTaskOptions<unknown>, "model" | "examples" | "sharePrompts">;

/** A task of each command, from rows and whether prompts are shared. */
const commands: Readonly<
  Record<string, {
    readonly rows: string;
    readonly prepare: (
      rows: readonly DatasetRow[],
      tokenizer: Tokenizer,
    ) => { readonly examples: readonly PreferenceExample[] };
    readonly task: (shared: Shared, params: DecoderParams) => Promise<Task<DecoderParams>>;
  }>
> = {
  dpo: {
    rows: "dpo-sigmoid",
    prepare: prepareDpo,
    task: async (shared, params) =>
      dpoTask({
        ...shared,
        reference: await referenceFor({ ...pairSpec(shared.examples), model: shared.model }, {
          params,
          batchSize: 2,
        }),
        objective: (pairs) => dpo(pairs, { lossType: ["sigmoid", "sft"] }),
        ldAlpha: 0.5,
        useWeighting: true,
      }),
  },
  orpo: {
    rows: "orpo",
    prepare: prepareOrpo,
    task: (shared) => Promise.resolve(orpoTask({ ...shared, objective: orpo, padTokenId: 0 })),
  },
  cpo: {
    rows: "cpo",
    prepare: prepareCpo,
    task: (shared) => Promise.resolve(cpoTask({ ...shared, objective: cpo, padTokenId: 0 })),
  },
  tpo: {
    rows: "tpo",
    prepare: prepareTpo,
    task: (shared) => Promise.resolve(tpoTask({ ...shared, objective: tpo })),
  },
};

for (const [name, { rows, prepare, task }] of Object.entries(commands)) {
  // Each distinct kernel costs a compilation on a software adapter.
  const test = name === "dpo" ? eachDevice : onCpu;
  test(`a pair that shares its prompt has the numbers of one that does not: ${name}`, async () => {
    const { model, params, tokenizer } = await open();
    const { examples } = prepare(await readRows(`trl/${rows}/dataset.jsonl`), tokenizer);
    const policy = await moved(params);
    const of = async (sharePrompts: boolean) =>
      await measure(await task({ model, examples, sharePrompts }, params), policy);
    const [shared, apart] = [await of(true), await of(false)];
    assert.ok(shared.length < apart.length, `${shared.length} tokens, ${apart.length} apart`);
    assert.deepEqual(Object.keys(shared.numbers), Object.keys(apart.numbers));
    for (const [metric, value] of Object.entries(apart.numbers)) {
      const distance = Math.abs(shared.numbers[metric]! - value);
      assert.ok(
        distance <= 2e-5 * Math.max(1, Math.abs(value)),
        `${metric}: ${shared.numbers[metric]} ${value}`,
      );
    }
    for (const [path, gradient] of apart.gradients) {
      assertClose(shared.gradients.get(path)!, gradient, 2e-5, path);
    }
  });
}

eachDevice(
  "a student that is its teacher has no divergence, another has some",
  async ({ kind }) => {
    const { model, params, tokenizer } = await open();
    const { examples } = prepareGkd(await readRows("trl/sft-messages/dataset.jsonl"), tokenizer);
    const policy = await moved(params);
    for (const beta of kind === "cpu" ? [0, 0.3, 1] : [0.3]) {
      const task = gkdTask({ model, examples, teacher: { model, params }, divergence: { beta } });
      const same = await measure(task, params);
      assert.ok(Math.abs(same.numbers["loss"]!) < 1e-6, `${same.numbers["loss"]}`);
      for (const [path, gradient] of same.gradients) {
        assert.ok(Math.hypot(...gradient) < 1e-5, path);
      }
      const other = await measure(task, policy);
      const expected = await divergence(task, model, policy, params, beta);
      assert.ok(expected > 1e-3, `${expected}`);
      assert.ok(Math.abs(other.numbers["loss"]! / expected - 1) < 1e-4, `${other.numbers["loss"]}`);
    }
  },
);

/** The mean divergence from whole logits, in float64. */
async function divergence(
  task: Task<DecoderParams>,
  model: CausalModel,
  student: DecoderParams,
  teacher: DecoderParams,
  beta: number,
): Promise<number> {
  const inputs = task.batch(Array.from({ length: task.examples }, (_, i) => i))
    .inputs as CompletionInputs;
  const numbers = await inputs.numbers.data();
  const distributions = async (params: DecoderParams) => {
    const logits = logitsOf(model, params, inputs.stream, { rotary: model.tables(400) });
    const data = await logits.gather(inputs.sources).data();
    const size = model.config.vocabularySize;
    return Array.from(numbers, (_, i) => {
      const row = Array.from(data.subarray(i * size, (i + 1) * size) as Float32Array);
      const total = row.reduce((sum, x) => sum + Math.exp(x), 0);
      return row.map((x) => Math.exp(x) / total);
    });
  };
  const [ss, ts] = [await distributions(student), await distributions(teacher)];
  const kl = (p: readonly number[], q: readonly number[]) =>
    p.reduce((sum, x, i) => sum + x * Math.log(x / q[i]!), 0);
  const rows = ss.flatMap((s, i) => {
    if (numbers[i]! < 0) return [];
    const t = ts[i]!;
    if (beta === 0) return [kl(t, s)];
    if (beta === 1) return [kl(s, t)];
    const m = t.map((x, j) => beta * x + (1 - beta) * s[j]!);
    return [beta * kl(t, m) + (1 - beta) * kl(s, m)];
  });
  return rows.reduce((sum, x) => sum + x, 0) / rows.length;
}
