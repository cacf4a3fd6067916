/** Losses of one's own: a step is the same however it is cut into batches. */

import assert from "node:assert/strict";
import { fixture } from "../data/fixture_files.ts";
import { rewards, smallOnlineRun } from "./online_runs.ts";
import {
  type PreferenceCommand,
  smallPreferenceRun,
  succeed,
  valuesOf,
} from "./preference_runs.ts";
import { type Flags, smallRun, temporary } from "./run_command.ts";

const sigmoid = "logSigmoid(x.chosen.sub(x.rejected).mul(0.1)).neg()";
const unpaired = "x.logProbs.sub(x.refLogProbs).mul(0.1).mul(x.labels.mul(-2).add(1)).sigmoid()";

/** The losses of an answer, a pair or a token, for each command. */
const losses: Readonly<Record<string, string>> = {
  sft: "x.logProbs.neg().exp().mul(0.01)",
  dpo: sigmoid,
  cpo: sigmoid,
  orpo: sigmoid,
  tpo: sigmoid,
  kto: unpaired,
  bco: unpaired,
  reward: sigmoid,
  prm: "logSoftmax(x.logits).sum(1).neg()",
};

/** What a run says, with its losses and norms. */
async function measured(
  command: string,
  flags: Flags,
): Promise<{ readonly numbers: number[]; readonly said: string }> {
  const { state, said } = await succeed(command, flags);
  return { numbers: [...valuesOf(state, "loss"), ...valuesOf(state, "grad_norm")], said };
}

function assertSame(found: readonly number[], expected: readonly number[], what: string): void {
  assert.equal(found.length, expected.length, what);
  found.forEach((x, i) => {
    const error = Math.abs(x - expected[i]!) / Math.max(1e-3, Math.abs(expected[i]!));
    assert.ok(error < 2e-4, `${what}: ${found}, not ${expected}`);
  });
}

function lossFile(directory: string, name: string, body: string): string {
  const path = `${directory}/${name}.ts`;
  const imports = 'import { logSigmoid, logSoftmax } from "@plumb/plumb/core";';
  Deno.writeTextFileSync(path, `${imports}\nexport default (x) => (${body});\n`);
  return path;
}

const cuts = [[4, 1], [2, 2], [1, 4]] as const;

Deno.test("a loss of one's own is the same however a step is cut, in every command of given answers", async () => {
  using place = temporary();
  for (const [command, formula] of Object.entries(losses)) {
    const loss = lossFile(place.path, command, `{ losses: ${formula} }`);
    const runs: number[][] = [];
    for (const [size, steps] of cuts) {
      const changes: Flags = {
        loss,
        max_steps: 2,
        per_device_train_batch_size: size,
        gradient_accumulation_steps: steps,
        learning_rate: 1e-4,
        train_sampling_strategy: "sequential",
        ...(command === "kto" ? { loss_type: "apo_zero_unpaired" } : {}),
      };
      const output = `${place.path}/out`;
      const flags = command === "sft"
        ? smallRun(output, changes)
        : smallPreferenceRun(command as PreferenceCommand, output, changes);
      const { numbers, said } = await measured(command, flags);
      assert.doesNotMatch(said, /single number for a batch/);
      runs.push(numbers);
    }
    assert.ok(runs[0]!.every((x) => Number.isFinite(x) && x > 0), `${command}: ${runs[0]}`);
    runs.forEach((run, i) => assertSame(run, runs[0]!, `${command} ${cuts[i]}`));
  }
});

Deno.test("a loss of one's own is the same in packed rows", async () => {
  using place = temporary();
  const loss = lossFile(place.path, "packed", `{ losses: ${losses["sft"]} }`);
  const run = async (size: number, steps: number) =>
    (await measured(
      "sft",
      smallRun(`${place.path}/out`, {
        loss,
        packing: true,
        max_length: 64,
        max_steps: 2,
        per_device_train_batch_size: size,
        gradient_accumulation_steps: steps,
        train_sampling_strategy: "sequential",
      }),
    )).numbers;
  const whole = await run(2, 1);
  assertSame(await run(1, 2), whole, "cut");
});

Deno.test("losses of answers and of tokens are the same however sampled groups are cut", async () => {
  using place = temporary();
  const bodies = {
    answers: "{ losses: x.advantages.mul(x.advantages).add(x.logProbs.sum().mul(0)) }",
    tokens: "{ losses: x.logProbs.neg() }",
  };
  for (const command of ["grpo", "rloo"]) {
    for (const [name, body] of Object.entries(bodies)) {
      const loss = lossFile(place.path, `${command}_${name}`, body);
      const run = async (size: number, steps: number) =>
        (await measured(
          command,
          smallOnlineRun(`${place.path}/out`, {
            dataset_name: fixture("trl/grpo/dataset.jsonl"),
            reward_funcs: rewards("evenTokens"),
            loss,
            per_device_train_batch_size: size,
            gradient_accumulation_steps: steps,
            num_generations: 2,
            max_completion_length: 6,
            max_steps: 1,
          }),
        )).numbers;
      const whole = await run(4, 1);
      assert.ok(whole[0]! > 0, `${whole}`);
      assertSame(await run(2, 2), whole, `${command} of ${name}`);
    }
  }
});

Deno.test("commands that prefer one of two sampled answers take a loss of one's own, and ppo too", async () => {
  using place = temporary();
  const bodies = {
    "online-dpo": "{ losses: x.logProbs.slice(0, x.rewards.size / 2).neg() }",
    xpo: "{ losses: x.policyOnModel.neg() }",
    "nash-md": "{ losses: x.modelScores.mul(0).add(2) }",
    ppo: "{ losses: x.logProbs.neg() }",
  };
  for (const [command, body] of Object.entries(bodies)) {
    const { numbers } = await measured(
      command,
      smallOnlineRun(`${place.path}/out`, {
        dataset_name: fixture("gsm8k_small.jsonl"),
        loss: lossFile(place.path, command, body),
        per_device_train_batch_size: 2,
        max_steps: 1,
        ...(command === "ppo" ? { response_length: 6, num_ppo_epochs: 1 } : { max_new_tokens: 6 }),
      }),
    );
    assert.ok(numbers[0]! > 1, `${command}: ${numbers}`);
    if (command === "nash-md") assert.equal(numbers[0], 2);
  }
});

Deno.test("a loss that gives a single number is a mean of its batch, which is told once if batches are accumulated", async () => {
  using place = temporary();
  const run = async (body: string, [size, steps]: readonly [number, number]) =>
    await measured(
      "dpo",
      smallPreferenceRun("dpo", `${place.path}/out`, {
        loss: lossFile(place.path, `single_${size}`, body),
        max_steps: 2,
        per_device_train_batch_size: size,
        gradient_accumulation_steps: steps,
        train_sampling_strategy: "sequential",
      }),
    );
  const body = `{ loss: ${sigmoid}.mean(), metrics: {} }`;
  const whole = await run(body, [4, 1]);
  assert.doesNotMatch(whole.said, /single number for a batch/);
  const cut = await run(body, [1, 4]);
  assertSame(cut.numbers, whole.numbers, "cut");
  assert.equal(cut.said.match(/single number for a batch/g)?.length, 1, cut.said);
});
