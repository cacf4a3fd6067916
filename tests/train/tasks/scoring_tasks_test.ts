/** Reward models against transformers' scores, losses and gradients. */

import assert from "node:assert/strict";
import { leavesOf, realize, type Tensor, tensor, valueAndGrad } from "../../../core/mod.ts";
import { type ClassifierParams, classify, type DecoderParams } from "../../../nn/mod.ts";
import { openModel } from "../../../train/files/model_directory.ts";
import { lossOf } from "../../../rl/mod.ts";
import { prmTask, rewardTask } from "../../../train/tasks/scoring_tasks.ts";
import type { Task } from "../../../train/loop/task.ts";
import { fixture, readFixture, readTensors } from "../../data/fixture_files.ts";
import { eachDevice } from "../../devices.ts";
import { layOut, type Piece } from "../../nn/streams.ts";

interface Golden {
  readonly floats: ReadonlyMap<string, Float32Array>;
  /** The rows of an integer tensor where the mask is 1. */
  readonly rows: (name: string, mask: string) => Int32Array[];
  readonly columns: number;
}

async function readGolden(name: string): Promise<Golden> {
  const { floats, integers, shapes } = await readTensors(`golden/${name}.safetensors`);
  const [count, columns] = shapes.get("input_ids") as [number, number];
  const rows = (key: string, mask: string) =>
    Array.from({ length: count }, (_, row) => {
      const [values, real] = [integers.get(key)!, integers.get(mask)!];
      const of = (a: Int32Array) => a.subarray(row * columns, (row + 1) * columns);
      return of(values).filter((_, i) => of(real)[i] === 1);
    });
  return { floats, rows, columns };
}

function relativeDistance(actual: Float32Array, expected: Float32Array): number {
  const norm = (x: Float32Array) => Math.hypot(...x);
  return norm(actual.map((value, i) => value - expected[i]!)) / norm(expected);
}

/** Loss and gradients of a task's one batch. */
async function compare(
  task: Task<DecoderParams>,
  params: DecoderParams,
  { floats }: Golden,
  expected: number,
): Promise<void> {
  const batch = task.batch(Array.from({ length: task.examples }, (_, i) => i));
  const context = { window: { normalizer: batch.items, share: 1 }, key: null, state: null };
  const [loss, gradients] = valueAndGrad((p: DecoderParams) =>
    lossOf(task.objective(p, batch.inputs as never, context))
  )(params);
  await realize([loss, gradients]);
  assert.ok(Math.abs(await loss.item() / expected - 1) < 2e-5, `${await loss.item()}, ${expected}`);
  for (const [path, leaf] of leavesOf(gradients)) {
    const gradient = await (leaf as Tensor).data() as Float32Array;
    const distance = relativeDistance(gradient, floats.get(`grad.${path}`)!);
    assert.ok(distance < 1e-4, `gradient of ${path}: off by ${distance}`);
  }
  assert.equal(
    leavesOf(gradients).length,
    [...floats.keys()].filter((k) => k.startsWith("grad.")).length,
  );
}

eachDevice("a reward model has transformers' loss and gradients", async () => {
  const golden = await readGolden("llama_reward");
  const { model, params } = await openModel({
    directory: fixture("models/llama_reward"),
    head: { kind: "sequence", labels: 1 },
    seed: 0,
  });
  const rows = golden.rows("input_ids", "attention_mask");
  const examples = [0, 1, 2].map((row) => ({
    chosenIds: rows[row]!,
    rejectedIds: rows[row + 3]!,
    row,
  }));
  const { loss } = await readFixture<{ loss: number }>("golden/llama_reward.json");
  await compare(rewardTask({ model, examples }), params, golden, loss);
});

eachDevice("scores are read at the last real token, wherever padding stands", async () => {
  const golden = await readGolden("llama_reward");
  const { model, params } = await openModel({
    directory: fixture("models/llama_reward"),
    head: { kind: "sequence", labels: 1 },
    seed: 0,
  });
  for (const side of ["", "left."]) {
    const rows = golden.rows(`${side}input_ids`, `${side}attention_mask`);
    const layout = layOut(rows.flatMap((ids, row): Piece[] => {
      const piece = { name: `${row}`, ids: [...ids], labels: [...ids] };
      const padding = golden.columns - ids.length;
      return side === "" ? [piece, padding] : [padding, piece];
    }));
    const lasts = rows.map((ids, row) => layout.starts.get(`${row}`)! + ids.length - 1);
    const hidden = model.hidden(params, layout.stream, { rotary: model.tables(golden.columns) });
    const scores = classify(
      params as ClassifierParams,
      hidden.gather(tensor(Int32Array.from(lasts))),
    );
    const actual = await scores.reshape(rows.length).data();
    golden.floats.get(`${side}scores`)!.forEach((score, i) =>
      assert.ok(Math.abs(actual[i]! - score) < 2e-5, `${side} ${i}: ${actual[i]}, ${score}`)
    );
  }
});

eachDevice("a process reward model has transformers' logits, loss and gradients", async () => {
  const golden = await readGolden("llama_prm");
  const { model, params } = await openModel({
    directory: fixture("models/llama_prm"),
    head: { kind: "token", labels: 2 },
    seed: 0,
  });
  const rows = golden.rows("input_ids", "attention_mask");
  const labels = golden.rows("labels", "attention_mask");
  const { loss } = await readFixture<{ loss: number }>("golden/llama_prm.json");
  const examples = rows.map((inputIds, row) => ({ inputIds, labels: labels[row]!, row }));
  await compare(prmTask({ model, examples, evaluation: false }), params, golden, loss);

  const layout = layOut(rows.flatMap((ids, row): Piece[] => [
    { name: `${row}`, ids: [...ids], labels: [...ids] },
    golden.columns - ids.length,
  ]));
  const hidden = model.hidden(params, layout.stream, { rotary: model.tables(golden.columns) });
  const logits = await classify(params as ClassifierParams, hidden).data();
  const expected = golden.floats.get("logits")!;
  rows.forEach((ids, row) => {
    for (let i = 2 * golden.columns * row; i < 2 * (golden.columns * row + ids.length); i++) {
      assert.ok(Math.abs(logits[i]! - expected[i]!) < 2e-5, `${i}: ${logits[i]}, ${expected[i]}`);
    }
  });
});
