/** Two answers that are the same have the same log-probs and scores to the last digit, wherever they lie in a batch. */

import assert from "node:assert/strict";
import { realize, type Tensor, zeros } from "../../../core/mod.ts";
import { firstOfSame } from "../../../data/batches/same.ts";
import type { PreferenceExample } from "../../../data/prepare/prepare_pairs.ts";
import type { DecoderParams } from "../../../nn/mod.ts";
import type { Objective, PairLogProbs } from "../../../rl/mod.ts";
import { openModel } from "../../../train/files/model_directory.ts";
import type { Task } from "../../../train/loop/task.ts";
import { referenceFor } from "../../../train/tasks/completion_task.ts";
import {
  cpoTask,
  dpoTask,
  orpoTask,
  pairSpec,
  type PairTaskOptions,
  tpoTask,
} from "../../../train/tasks/pair_tasks.ts";
import { rewardTask } from "../../../train/tasks/scoring_tasks.ts";
import { fixture } from "../../data/fixture_files.ts";
import { eachDevice } from "../../devices.ts";

/** Token ids that look random, the same each time. */
function idsOf(length: number, seed: number): Int32Array {
  return Int32Array.from({ length }, (_, i) => 3 + (seed * 7919 + i * 104729 + i * i * 31) % 200);
}

/** Pairs of lengths that fall everywhere in a vector; every other one a tie, also of other arrays with the same ids. */
const examples: readonly PreferenceExample[] = Array.from({ length: 9 }, (_, row) => {
  const promptIds = idsOf(2 + row, row);
  const chosen = idsOf(5 + 3 * row, 100 + row);
  const same = row % 2 === 0;
  const answer = (completionIds: Int32Array, ids = promptIds) => ({
    promptIds: ids,
    completionIds,
  });
  return {
    row,
    chosen: answer(chosen),
    rejected: same
      ? answer(chosen.slice(), row % 4 === 0 ? promptIds : promptIds.slice())
      : answer(idsOf(4 + row, 200 + row)),
    reference: answer(idsOf(6, 300 + row)),
  };
});

type Shared = Pick<PairTaskOptions<unknown>, "model" | "examples" | "sharePrompts">;

/** Reports each pair's margin, and that of the reference. */
function margins({ chosen, rejected, refChosen, refRejected }: PairLogProbs): Objective {
  const each = (name: string, values: Tensor) =>
    Array.from({ length: values.size }, (_, i) => [`${name}${i}`, values.slice(i, i + 1)]);
  return {
    losses: chosen.sub(rejected),
    metrics: Object.fromEntries([
      ...each("margin", chosen.sub(rejected)),
      ...(refChosen && refRejected ? each("refMargin", refChosen.sub(refRejected)) : []),
    ]),
  };
}

const withoutGold = examples.map(({ reference: _, ...pair }) => pair);

const commands: Readonly<
  Record<string, (shared: Shared, params: DecoderParams) => Promise<Task<DecoderParams>>>
> = {
  dpo: async (shared, params) =>
    dpoTask({
      ...shared,
      objective: margins,
      reference: await referenceFor({ ...pairSpec(shared.examples), model: shared.model }, {
        params,
        batchSize: 4,
      }),
      ldAlpha: 0.5,
    }),
  cpo: (shared) => Promise.resolve(cpoTask({ ...shared, objective: margins, padTokenId: 0 })),
  orpo: (shared) => Promise.resolve(orpoTask({ ...shared, objective: margins, padTokenId: 0 })),
  tpo: (shared) =>
    Promise.resolve(tpoTask({ ...shared, examples, objective: (pairs) => margins(pairs) })),
};

/** The metrics of a batch. */
async function measured(
  task: Task<DecoderParams>,
  params: DecoderParams,
  rows: readonly number[],
): Promise<Readonly<Record<string, number>>> {
  const batch = task.batch(rows);
  const window = { normalizer: rows.length, share: 1, labels: 1 };
  const { metrics } = task.objective(params, batch.inputs as never, {
    window,
    key: null,
    state: null,
  });
  await realize(metrics);
  return Object.fromEntries(
    await Promise.all(
      Object.entries(metrics).map(async ([name, value]) => [name, (await value.data())[0]!]),
    ),
  );
}

const batches = [[0], [1, 2], [4, 3, 2, 1, 0], [8, 7, 6, 5, 4, 3, 2, 1, 0]];

for (const [name, taskOf] of Object.entries(commands)) {
  eachDevice(`equal answers tie in every batch: ${name}`, async () => {
    const { model, params } = await openModel({ directory: fixture("models/llama"), seed: 0 });
    for (const sharePrompts of [true, false]) {
      const task = await taskOf({ model, examples: withoutGold, sharePrompts }, params);
      for (const rows of batches) {
        const found = await measured(task, params, rows);
        rows.forEach((row, i) => {
          const ties = row % 2 === 0;
          const [margin, reference] = [found[`margin${i}`], found[`refMargin${i}`]];
          assert.equal(margin === 0, ties, `row ${row} of ${rows}: ${margin}`);
          if (name === "dpo") assert.equal(reference === 0, ties, `row ${row}: ${reference}`);
        });
      }
    }
  });
}

eachDevice("equal sequences have equal scores in every batch", async () => {
  const { model, params } = await openModel({
    directory: fixture("models/llama_reward"),
    head: { kind: "sequence", labels: 1 },
    seed: 0,
  });
  const task = rewardTask({
    model,
    examples: examples.map(({ row, chosen, rejected }) => ({
      row,
      chosenIds: chosen.completionIds,
      rejectedIds: rejected.completionIds,
    })),
    objective: ({ chosen, rejected }) =>
      margins({ chosen, rejected, chosenLengths: zeros([1]), rejectedLengths: zeros([1]) }),
  });
  for (const rows of batches) {
    const found = await measured(task, params, rows);
    rows.forEach((row, i) =>
      assert.equal(found[`margin${i}`] === 0, row % 2 === 0, `row ${row} of ${rows}`)
    );
  }
});

Deno.test("an answer is the same as the first of its example that has its tokens and its prompt", () => {
  const answer = (promptIds: number[], completionIds: number[]) => ({ promptIds, completionIds });
  const [a, b, other] = [answer([1], [2, 3]), answer([1], [2, 3]), answer([4], [2, 3])];
  assert.deepEqual(firstOfSame([a, a, b, other], 2), Int32Array.of(0, 1, 0, 3));
  assert.deepEqual(firstOfSame([a, other, b, b], 1), Int32Array.of(0, 1, 0, 0));
  assert.equal(firstOfSame([a, b], 2), null);
  assert.equal(firstOfSame([], 0), null);
});
