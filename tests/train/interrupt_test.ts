/** A run that is stopped while it samples. */

import assert from "node:assert/strict";
import { partition, type Tensor, tensor } from "../../core/mod.ts";
import { setDevice } from "../../core/device/current.ts";
import { train } from "../../train/loop/loop.ts";
import type { RolloutContext } from "../../train/sampling/rollout.ts";
import type { Snapshot, TrainResult } from "../../train/loop/run.ts";
import type { OnlineTask } from "../../train/loop/task.ts";
import { devices } from "../devices.ts";
import { plainOptions } from "./plain_options.ts";

type Params = { readonly x: Tensor };

/** Learns towards the numbers of its generations, of which an optimiser step takes two. */
function countingTask(onGenerate: (context: RolloutContext<Params>) => void): OnlineTask<Params> {
  return {
    examples: 12,
    rollout: {
      prompts: 1,
      microBatches: 1,
      shuffle: false,
      generate: (rows, context) => {
        onGenerate(context);
        const { number } = context;
        return Promise.resolve({
          generation: {
            prompts: rows.map((row) => ({ row, ids: [row] })),
            samples: [{ prompt: 0, ids: [number], values: { number }, tokenValues: {} }],
          },
          metrics: { number },
          tokens: 1,
          table: { number: [number] },
        });
      },
      batch: ({ samples }) => ({
        inputs: { goal: tensor(samples[0]!.values["number"]!) },
        items: 1,
        tokens: 1,
        examples: 1,
        rows: [0],
      }),
    },
    objective: ({ x }: Params, { goal }: { readonly goal: Tensor }) => ({
      loss: x.sub(goal).square().sum(),
      metrics: {},
    }),
  };
}

interface Ran {
  readonly result: TrainResult<Params>;
  readonly x: number;
  readonly tables: readonly unknown[];
  readonly saved: readonly Snapshot<Params>[];
  readonly sampled: readonly number[];
}

/** Runs, and is interrupted while a generation is sampled, if at all; perhaps goes on from what was saved. */
async function run(stopIn: number | null, from?: Snapshot<Params>): Promise<Ran> {
  const controller = new AbortController();
  const sampled: number[] = [];
  const task = countingTask(({ number, signal }) => {
    if (number === stopIn) controller.abort();
    signal?.throwIfAborted();
    sampled.push(number);
  });
  const saved: Snapshot<Params>[] = [];
  const tables: unknown[] = [];
  const [trainable, frozen] = partition(from?.trainable ?? { x: tensor([0.5]) }, () => true);
  const training = train<Params>({
    task,
    trainable,
    frozen,
    options: { ...plainOptions, gradientAccumulationSteps: 2, learningRate: 0.1 },
    checkpoints: {
      pathOf: (step) => `checkpoint-${step}`,
      save: (snapshot) => Promise.resolve(void saved.push(snapshot)),
      load: () => Promise.reject(new Error("nothing was the best")),
    },
    resume: from,
    signal: controller.signal,
  });
  for (;;) {
    const { done, value } = await training.next();
    if (done) return { result: value, x: await value.trainable.x.item(), tables, saved, sampled };
    if (value.kind === "answers") tables.push(value.table["number"]);
  }
}

for (const [stopIn, step] of [[0, 0], [1, 0], [4, 2], [5, 2]] as const) {
  Deno.test(`a run stopped in generation ${stopIn} ends after step ${step}, and goes on as if it had not`, async () => {
    setDevice(devices[0]!);
    const whole = await run(null);
    assert.deepEqual(whole.tables, Array.from({ length: 12 }, (_, number) => [number]));
    const cut = await run(stopIn);
    assert.equal(cut.result.interrupted, true);
    assert.equal(cut.result.state.step, step);
    assert.deepEqual(
      cut.tables,
      whole.tables.slice(0, 2 * step),
      "what is thrown away is not shown",
    );
    assert.equal(cut.saved.length, 1);
    assert.equal(cut.saved[0]!.state.generation?.number, step === 0 ? undefined : 2 * step - 1);
    const rest = await run(null, cut.saved[0]);
    assert.deepEqual(rest.sampled, whole.sampled.slice(2 * step));
    assert.equal(rest.x, whole.x);
    assert.deepEqual(rest.result.state.tokens, whole.result.state.tokens);
  });
}
