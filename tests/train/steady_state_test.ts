/** A steady run: rows of varying length, nothing new on the device, no memory that grows. */

import assert from "node:assert/strict";
import { type Device, type DeviceCounters, partition, realize, scope } from "../../core/mod.ts";
import { openCheckpointFiles } from "../../data/weights/checkpoint_files.ts";
import { prepareSft } from "../../data/prepare/prepare_sft.ts";
import { loadTokenizer } from "../../data/tokenizer/tokenizer.ts";
import { causalModel, type DecoderParams } from "../../nn/mod.ts";
import { sftObjectives } from "../../rl/mod.ts";
import { train } from "../../train/loop/loop.ts";
import { loadParameters } from "../../train/files/model_files.ts";
import type { TrainOptions } from "../../train/loop/options.ts";
import { sftTask } from "../../train/tasks/sft.ts";
import { fixture, readFixture, readRows } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";
import { plainOptions } from "./plain_options.ts";

/** The device's counters after each step, and the host's memory in bytes. */
async function watch(
  device: Device,
  rows: number,
  changes: Partial<TrainOptions>,
): Promise<
  { readonly counters: readonly DeviceCounters[]; readonly lengths: ReadonlySet<number> }
> {
  const model = causalModel(await readFixture("models/llama/config.json"));
  using files = await openCheckpointFiles(fixture("models/llama"));
  const tokenizer = await loadTokenizer(fixture("models/llama"));
  const texts = (await readRows("gsm8k_small.jsonl")).slice(0, rows);
  const { examples } = prepareSft(texts, tokenizer, { maxLength: null });
  const lengths = new Set<number>();
  const sft = sftTask({ model, examples, objective: sftObjectives.nll });
  const task: typeof sft = {
    ...sft,
    batch: (indices) => {
      const batch = sft.batch(indices);
      lengths.add(batch.tokens);
      return batch;
    },
  };
  const counters: DeviceCounters[] = [];
  // What is left of the run goes at its end, lest its buffers come back to the device in the middle of the next one.
  await scope(async () => {
    const params = await loadParameters<DecoderParams>(model.shapes(), files);
    const [trainable, frozen] = partition(await realize(params), () => true);
    const run = train({ task, trainable, frozen, options: { ...plainOptions, ...changes } });
    for await (const record of run) {
      if (record.kind === "progress" || record.kind === "train") counters.push(device.counters());
    }
  });
  return { counters, lengths };
}

eachDevice("a steady run creates no device object and its memory is flat", async (device) => {
  const cpu = device.kind === "cpu";
  // Sequential epochs repeat their batches, so that all buckets are seen in the first. Buffers of equal
  // shape may change places from step to step, hence some more before bindings have all been seen.
  const [rows, batchSize, steps] = cpu ? [60, 4, 1060] : [12, 4, 36];
  const { counters, lengths } = await watch(device, rows, {
    batchSize,
    maxSteps: steps,
    sampling: "sequential",
  });
  const perEpoch = Math.ceil(rows / batchSize);
  assert.equal(counters.length, steps);
  assert.ok(lengths.size > perEpoch / 2, `rows are of ${lengths.size} lengths`);
  const steady = counters.slice(4 * perEpoch);
  assert.ok(steady.length >= (cpu ? 1000 : 24));
  const [first, last] = [steady[0]!, steady.at(-1)!];
  assert.equal(last.objects, first.objects, "objects were created in steady steps");
  assert.equal(last.bytes, first.bytes, "memory grew");
  assert.equal(last.peakBytes, first.peakBytes);
  assert.equal(last.runs - first.runs, steady.length - 1, "one program a step");
});

eachDevice("so does one with shuffled rows, once each bucket was seen", async (device) => {
  const steps = device.kind === "cpu" ? 400 : 60;
  const { counters } = await watch(device, 6, { batchSize: 1, maxSteps: steps });
  const [first, last] = [counters.at(steps / 2)!, counters.at(-1)!];
  assert.equal(last.objects, first.objects);
  assert.equal(last.bytes, first.bytes);
});

eachDevice("and one that accumulates gradients", async (device) => {
  const steps = device.kind === "cpu" ? 100 : 16;
  const { counters } = await watch(device, 6, {
    batchSize: 2,
    gradientAccumulationSteps: 3,
    maxSteps: steps,
    sampling: "sequential",
  });
  const [first, last] = [counters.at(steps / 4)!, counters.at(-1)!];
  assert.equal(last.objects, first.objects);
  assert.equal(last.bytes, first.bytes);
});
