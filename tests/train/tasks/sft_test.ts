/** The task of supervised fine-tuning: how rows are put together must not show in loss or gradients. */

import assert from "node:assert/strict";
import {
  type Device,
  leavesOf,
  logitStats,
  partition,
  randomKey,
  realize,
  type Tensor,
  tensor,
  UserError,
  valueAndGrad,
} from "../../../core/mod.ts";
import { openCheckpointFiles } from "../../../data/weights/checkpoint_files.ts";
import { type Example, packExamples } from "../../../data/batches/packing.ts";
import { prepareSft } from "../../../data/prepare/prepare_sft.ts";
import { loadTokenizer } from "../../../data/tokenizer/tokenizer.ts";
import { buildStream, type Sequence } from "../../../data/batches/token_stream.ts";
import {
  adamWOptimizer,
  type CausalModel,
  causalModel,
  type DecoderParams,
} from "../../../nn/mod.ts";
import { sftObjectives } from "../../../rl/mod.ts";
import { loadParameters } from "../../../train/files/model_files.ts";
import { sftTask, type SftTaskOptions } from "../../../train/tasks/sft.ts";
import { trainSteps } from "../../../train/loop/steps.ts";
import { windowShare } from "../../../train/loop/windows.ts";
import { assertClose } from "../../core/compare.ts";
import { fixture, readFixture, readRows } from "../../data/fixture_files.ts";
import { eachDevice } from "../../devices.ts";

const llamaModel = async () => causalModel(await readFixture("models/llama/config.json"));

async function llama(): Promise<{ readonly model: CausalModel; readonly params: DecoderParams }> {
  const model = await llamaModel();
  using files = await openCheckpointFiles(fixture("models/llama"));
  const params = await loadParameters<DecoderParams>(model.shapes(), files);
  return { model, params: await realize(params) };
}

/** Texts of 20 to 120 tokens. */
async function documents(count: number): Promise<readonly Example[]> {
  const tokenizer = await loadTokenizer(fixture("models/llama"));
  const rows = await readRows("trl/sft-packing-bfd/dataset.jsonl");
  return prepareSft(rows.slice(0, count), tokenizer, { maxLength: 120 }).examples;
}

interface Measured {
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

/** Loss and gradients over a window of batches, divided by all of its supervised tokens. */
async function measure(
  { model, params }: { readonly model: CausalModel; readonly params: DecoderParams },
  examples: readonly Example[],
  batchSize: number,
  changes: Partial<SftTaskOptions> = {},
): Promise<Measured> {
  const task = sftTask({ model, examples, objective: sftObjectives.nll, ...changes });
  const [trainable, frozen] = partition(params, () => true);
  const steps = trainSteps(task, { optimizer, maxGradNorm: 0 });
  const numbers = examples.map((_, i) => i);
  const batches = numbers.filter((i) => i % batchSize === 0)
    .map((start) => task.batch(numbers.slice(start, start + batchSize)));
  let sum: DecoderParams | null = null;
  let loss = 0;
  const key = { run: randomKey(0), index: tensor(Uint32Array.of(0)) };
  for (const batch of batches) {
    const result: ReturnType<typeof steps.accumulate> = steps
      .accumulate(sum, null, trainable, frozen, batch.inputs, key, windowShare(batch, batches));
    sum = result.sum;
    const { names, values } = result.metrics;
    loss += (await values.data())[names.indexOf("loss")]!;
  }
  return { loss, gradients: await floats(sum) };
}

const optimizer = adamWOptimizer({
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  decays: () => false,
});

async function floats(tree: unknown): Promise<ReadonlyMap<string, Float32Array>> {
  const read = new Map<string, Float32Array>();
  for (const [path, leaf] of leavesOf(tree)) {
    read.set(path, Float32Array.from(await (leaf as Tensor).data()));
  }
  return read;
}

function assertSame(actual: Measured, expected: Measured, what: string): void {
  const error = Math.abs(actual.loss / expected.loss - 1);
  assert.ok(error < 1e-6, `${what}: loss ${actual.loss}, not ${expected.loss}`);
  assert.deepEqual([...actual.gradients.keys()], [...expected.gradients.keys()]);
  for (const [path, gradient] of expected.gradients) {
    assert.ok(gradient.some((g) => g !== 0), path);
    assertClose(actual.gradients.get(path)!, gradient, 1e-5, `${what}: gradient of ${path}`);
  }
}

eachDevice(
  "packed, batched and accumulated rows give the same loss and gradients",
  async (device: Device) => {
    const start = await llama();
    const rows = await documents(device.kind === "cpu" ? 14 : 5);
    const one = await measure(start, rows, rows.length);
    assertSame(await measure(start, rows, 1), one, "row by row");
    assertSame(await measure(start, rows, 3), one, "three rows a batch");
    const packed = packExamples(rows, { maxLength: 160 });
    assert.ok(packed.length < rows.length && packed.some(({ segments }) => segments!.length > 1));
    assertSame(await measure(start, packed, packed.length), one, "packed");
    assertSame(await measure(start, packed, 1), one, "packed, pack by pack");
  },
);

eachDevice("gradient checkpointing computes more and gets the same", async (device) => {
  const start = await llama();
  const rows = await documents(2);
  const count = async (gradientCheckpointing: boolean) => {
    const before = device.counters().launches;
    const measured = await measure(start, rows, 2, { gradientCheckpointing });
    return { measured, launches: device.counters().launches - before };
  };
  const [kept, recomputed] = [await count(false), await count(true)];
  assert.ok(recomputed.launches > kept.launches);
  assertSame(recomputed.measured, kept.measured, "recomputed");
});

eachDevice("continuations of one prompt equal rows that repeat it", async () => {
  const { model, params } = await llama();
  const [prompt, ...answers] = (await documents(4)).map(({ inputIds }) => inputIds);
  const family: Sequence[] = [
    { ids: prompt! },
    ...answers.map((ids) => ({ ids, labels: ids, parent: 0 })),
  ];
  const alone = answers.map((ids): Sequence => ({
    ids: [...prompt!, ...ids],
    labels: [...prompt!.map(() => -100), ...ids],
  }));
  const [shared, repeated] = [buildStream(family), buildStream(alone)];
  assert.equal(shared.labels, answers.reduce((sum, ids) => sum + ids.length, 0));
  assert.equal(shared.labels, repeated.labels);
  assert.ok(shared.tokens < repeated.tokens);

  const evaluate = async (stream: typeof shared) => {
    const logProbs = (p: DecoderParams) => {
      const segments = tensor(stream.segments, { shape: [5, stream.length] });
      const rotary = model.tables(512);
      const hidden = model.hidden(p, { ids: tensor(stream.ids), segments }, { rotary });
      const targets = tensor(stream.targets);
      const { logProb } = logitStats(hidden.gather(tensor(stream.sources)), model.head(p), targets);
      return logProb.mul(targets.ge(0).cast("f32"));
    };
    const each = Float32Array.from(await logProbs(params).data()).subarray(0, stream.labels);
    const [loss, gradients] = valueAndGrad((p: DecoderParams) => logProbs(p).sum().mul(-1e-2))(
      params,
    );
    await realize([loss, gradients]);
    return { each, loss: await loss.item(), gradients: await floats(gradients) };
  };
  const [own, other] = [await evaluate(shared), await evaluate(repeated)];
  assertClose(own.each, other.each, 1e-6, "log-probs");
  assertSame(own, other, "family");
});

async function refusal(changes: Partial<SftTaskOptions>): Promise<string> {
  const model = await llamaModel();
  try {
    sftTask({ model, examples: [], objective: sftObjectives.nll, ...changes });
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  throw new Error("It was not refused.");
}

const example = (ids: readonly number[], labels: readonly number[], row: number): Example => ({
  inputIds: Int32Array.from(ids),
  labels: Int32Array.from(labels),
  rows: [row],
});

Deno.test("token ids that the model does not know are refused with the row", async () => {
  const fine = example([1, 2], [1, 2], 0);
  for (const id of [400, -1]) {
    const message = await refusal({ examples: [fine, example([1, id], [1, -100], 6)] });
    assert.match(
      message,
      new RegExp(`^Row 7 of the data set has the token id ${id},.* 0 to 399\\.`),
    );
  }
  const label = await refusal({ examples: [fine, example([1, 2], [-100, 4000], 2)] });
  assert.match(label, /^Row 3 .* token id 4000,/);
});

Deno.test("rows without a token to learn are refused", async () => {
  assert.match(
    await refusal({ examples: [example([1], [1], 0), example([1, 2], [1, -100], 1)] }),
    /^No row of the data set has a token to learn/,
  );
});

Deno.test("NEFTune's length is that of the rectangle that TRL would feed the model", async () => {
  const model = await llamaModel();
  const lengthOf = (examples: readonly Example[], padToMultipleOf?: number) => {
    const task = sftTask({ model, examples, objective: sftObjectives.nll, padToMultipleOf });
    const { inputs } = task.batch(examples.map((_, i) => i));
    return (inputs as { readonly noiseLength: number }).noiseLength;
  };
  const rows = [example([1, 2, 3], [1, 2, 3], 0), example([1, 2], [1, 2], 1)];
  assert.equal(lengthOf(rows), 3, "rows are padded to the longest");
  assert.equal(lengthOf(rows, 8), 8);
  const packs = rows.map((row) => ({ ...row, segments: [row.inputIds.length] }));
  assert.equal(lengthOf(packs), 5, "packs lie end to end");
});
