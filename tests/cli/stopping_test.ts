/** Runs that are told to stop while they wait for somebody else's code. */

import assert from "node:assert/strict";
import { fixture } from "../data/fixture_files.ts";
import { type Flags, interrupted, namesIn, plumb, stateOf, temporary } from "./run_command.ts";
import { smallOnlineRun } from "./online_runs.ts";

/** Rewards that never come back from the third generation, or from an evaluation, until there is a file "go". */
const rewards = `
let calls = 0;
const stuck = () => {
  const waits = !Deno.readTextFileSync(import.meta.dirname + "/go").startsWith("go");
  if (waits) console.error("waiting for a reward");
  return waits;
};
const lengths = (ids) => ids.map((list) => list.length % 3 + list[0] % 5);
const forever = async () => { for (;;) await new Promise((resolve) => setTimeout(resolve, 1)); };
export async function never({ completionIds }) {
  if (calls++ === 2 && stuck()) await new Promise(() => setInterval(() => {}, 1000));
  return lengths(completionIds);
}
export async function looping({ completionIds }) {
  if (calls++ === 2 && stuck()) await forever();
  return lengths(completionIds);
}
export async function inEvaluation({ completionIds }) {
  if (completionIds.length === 8 && stuck()) await forever();
  return lengths(completionIds);
}
`;

function flagsOf(directory: string, changes: Flags): Flags {
  Deno.writeTextFileSync(`${directory}/rewards.ts`, rewards);
  Deno.writeTextFileSync(`${directory}/go`, "wait");
  return smallOnlineRun(`${directory}/out`, {
    dataset_name: fixture("trl/grpo/dataset.jsonl"),
    per_device_train_batch_size: 4,
    num_generations: 2,
    max_completion_length: 4,
    max_steps: 4,
    logging_steps: 1,
    save_strategy: "steps",
    save_steps: 100,
    ...changes,
  });
}

const signals = [["SIGTERM", 143], ["SIGINT", 130]] as const;

for (const [send, expected] of signals) {
  for (const reward of ["never", "looping"]) {
    Deno.test(`${send} ends a run whose reward is ${reward} done, with a checkpoint`, async () => {
      using place = temporary();
      const flags = flagsOf(place.path, { reward_funcs: `${place.path}/rewards.ts:${reward}` });
      const began = performance.now();
      const { code, said } = await interrupted("grpo", flags, [
        { after: "waiting for a reward", send },
      ]);
      assert.equal(code, expected, said);
      assert.ok(performance.now() - began < 20_000);
      assert.deepEqual(namesIn(`${place.path}/out`), ["checkpoint-2"]);
      assert.match(said, /stopped early[^]*--resume_from_checkpoint \S+checkpoint-2/);

      const losses = async (run: Flags) => {
        Deno.writeTextFileSync(`${place.path}/go`, "go");
        assert.equal((await plumb("grpo", run)).code, 0);
        const { log_history } = stateOf(String(run["output_dir"]));
        return log_history.slice(0, 4).map((
          { loss, grad_norm, reward },
        ) => [loss, grad_norm, reward]);
      };
      assert.deepEqual(
        await losses({ ...flags, resume_from_checkpoint: true }),
        await losses({ ...flags, output_dir: `${place.path}/whole` }),
      );
    });
  }
}

Deno.test("SIGTERM ends a run that waits for a reward in an evaluation", async () => {
  using place = temporary();
  const { code, said } = await interrupted(
    "grpo",
    flagsOf(place.path, {
      reward_funcs: `${place.path}/rewards.ts:inEvaluation`,
      dataset_test_split: "train",
      eval_strategy: "steps",
      eval_steps: 1,
      per_device_eval_batch_size: 8,
      num_generations_eval: 4,
    }),
    [{ after: "waiting for a reward", send: "SIGTERM" }],
  );
  assert.equal(code, 143, said);
  assert.match(said, /the evaluation did not end: it is left out/);
  assert.deepEqual(namesIn(`${place.path}/out`), ["checkpoint-1"]);
});

Deno.test("a second SIGTERM ends a run at once", async () => {
  using place = temporary();
  const { code, said } = await interrupted(
    "grpo",
    flagsOf(place.path, {
      reward_funcs: `${place.path}/rewards.ts:inEvaluation`,
      dataset_test_split: "train",
      eval_strategy: "steps",
      eval_steps: 1,
      per_device_eval_batch_size: 8,
      num_generations_eval: 4,
    }),
    [
      { after: "waiting for a reward", send: "SIGTERM" },
      { after: "Stopping after this step", send: "SIGTERM" },
    ],
  );
  assert.equal(code, 143, said);
  assert.deepEqual(namesIn(`${place.path}/out`), []);
});
