/** `online-dpo`, `nash-md` and `xpo` with answers of their own. */

import assert from "node:assert/strict";
import { fixture } from "../data/fixture_files.ts";
import { devices } from "../devices.ts";
import { answersIn, rewards, smallOnlineRun } from "./online_runs.ts";
import { succeed, valuesOf } from "./preference_runs.ts";
import {
  digestOf,
  type Flags,
  namesIn,
  plumb,
  refusalOf,
  stateOf,
  temporary,
} from "./run_command.ts";

const commands = ["online-dpo", "nash-md", "xpo"] as const;

const prompts = fixture("gsm8k_small.jsonl");

/** A small run: two prompts with two answers each, a row per step. */
function small(outputDir: string, changes: Flags = {}): Flags {
  return smallOnlineRun(outputDir, {
    dataset_name: prompts,
    per_device_train_batch_size: 2,
    max_new_tokens: 10,
    ...changes,
  });
}

/** A row of the answers of a run with two rewards. */
interface Judged {
  readonly completion: string;
  readonly evenTokens: number;
  readonly sometimes: number | null;
  readonly score: number;
}

/** TRL's names of each command's metrics. */
const metrics: Readonly<Record<typeof commands[number], readonly string[]>> = {
  "online-dpo": [
    "objective/kl",
    "objective/entropy",
    "objective/non_score_reward",
    "objective/rlhf_reward",
    "objective/scores",
    "objective/scores_margin",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/accuracies",
    "rewards/margins",
    "logps/chosen",
    "logps/rejected",
    "val/contain_eos_token",
    "beta",
  ],
  "nash-md": [
    "loss/kl",
    "loss/score",
    "objective/entropy",
    "rewards/probabilities",
    "rewards/accuracies",
    "rewards/margins",
    "rewards/chosen",
    "rewards/rejected",
    "logps/chosen",
    "logps/rejected",
    "val/model_contain_eos_token",
    "val/ref_contain_eos_token",
    "beta",
    "mixture_coef",
  ],
  xpo: [
    "loss/dpo",
    "loss/xpo",
    "objective/kl",
    "objective/entropy",
    "objective/model_scores",
    "objective/ref_scores",
    "objective/scores_margin",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/accuracies",
    "rewards/margins",
    "logps/chosen",
    "logps/rejected",
    "val/model_contain_eos_token",
    "val/ref_contain_eos_token",
    "alpha",
    "beta",
  ],
};

for (const command of commands) {
  Deno.test(`${command} samples, judges and learns, with TRL's metrics`, async () => {
    using output = temporary();
    const { state, said } = await succeed(
      command,
      small(output.path, {
        reward_funcs: [rewards("evenTokens"), rewards("sometimes")],
        reward_weights: [1, 0.5],
        missing_eos_penalty: 0.5,
        log_completions: true,
        num_completions_to_print: 3,
        gradient_accumulation_steps: 2,
        max_steps: 2,
      }),
    );
    const rows = state.log_history.filter((row) => Object.hasOwn(row, "loss"));
    assert.equal(rows.length, 2);
    for (const row of rows) {
      for (const name of metrics[command]) assert.ok(Number.isFinite(row[name]), name);
    }
    const margins = command === "nash-md" ? "loss/kl" : "rewards/margins";
    assert.ok(Math.abs(rows[0]![margins]!) < 1e-5, "the policy begins as its reference");
    assert.notEqual(rows[1]![margins], 0);
    const answers = answersIn<Judged>(output.path);
    assert.equal(answers.length, 2 * 2 * 2 * 2);
    for (const { evenTokens, sometimes, score, completion } of answers) {
      assert.equal(typeof completion, "string");
      const reward = evenTokens + (sometimes ?? 0) / 2;
      assert.ok([0, 0.5].some((lost) => Math.abs(reward - lost - score) < 1e-6), `${score}`);
    }
    assert.notEqual(answers[0]!.completion, answers[1]!.completion);
    assert.match(said, /evenTokens .* score/);
  });

  Deno.test(`${command} trains an adapter of a quantised model on a GPU`, async () => {
    const kind = devices.at(-1)!.kind;
    using output = temporary();
    const { state } = await succeed(
      command,
      small(output.path, {
        device: kind,
        use_peft: true,
        lora_r: 4,
        lora_target_modules: "all-linear",
        load_in_4bit: true,
        max_steps: 2,
        gradient_checkpointing: true,
      }),
    );
    const [first] = valuesOf(state, command === "nash-md" ? "loss/kl" : "rewards/margins");
    assert.ok(Math.abs(first!) < 1e-5, "the reference is the model without its adapter");
    assert.ok(namesIn(output.path).includes("adapter_model.safetensors"));
  });

  Deno.test(`${command} goes on from a checkpoint as if it had not stopped`, async () => {
    using whole = temporary();
    using parts = temporary();
    const flags: Flags = {
      dataset_name: fixture("trl/dpo-sigmoid/dataset.jsonl"),
      per_device_train_batch_size: 3,
      save_strategy: "steps",
      save_steps: 3,
      max_steps: 6,
      beta: [0.1, 0.2],
    };
    await succeed(command, small(whole.path, flags));
    await succeed(command, small(parts.path, flags));
    for (const name of namesIn(parts.path)) {
      if (name !== "checkpoint-3") Deno.removeSync(`${parts.path}/${name}`, { recursive: true });
    }
    await succeed(command, small(parts.path, { ...flags, resume_from_checkpoint: true }));
    const [a, b] = [whole, parts].map(({ path }) => digestOf(`${path}/model.safetensors`));
    assert.equal(a, b);
    const histories = [whole, parts].map(({ path }) => valuesOf(stateOf(path), "loss"));
    assert.deepEqual(histories[0], histories[1]);
    // Of four prompts an epoch's second step has the one that is left; beta changes with the epoch.
    assert.deepEqual(valuesOf(stateOf(whole.path), "beta"), [0.1, 0.1, 0.2, 0.2, 0.2, 0.2]);
  });
}

Deno.test("online-dpo raises its rewards", async () => {
  using output = temporary();
  const { state } = await succeed(
    "online-dpo",
    small(output.path, {
      per_device_train_batch_size: 8,
      max_steps: 60,
      learning_rate: 5e-3,
      lr_scheduler_type: "constant",
    }),
  );
  const scores = valuesOf(state, "objective/scores");
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const [before, after] = [mean(scores.slice(0, 8)), mean(scores.slice(-8))];
  assert.ok(after > before + 0.15, `${before} to ${after}`);
});

Deno.test("evaluation samples and judges answers of the other split", async () => {
  using output = temporary();
  using data = temporary();
  const rows = Deno.readTextFileSync(prompts).trim().split("\n");
  Deno.writeTextFileSync(`${data.path}/train.jsonl`, rows.slice(0, 4).join("\n"));
  Deno.writeTextFileSync(`${data.path}/test.jsonl`, rows.slice(4, 7).join("\n"));
  const { state } = await succeed(
    "online-dpo",
    small(output.path, {
      dataset_name: data.path,
      eval_strategy: "steps",
      eval_steps: 2,
      per_device_eval_batch_size: 2,
    }),
  );
  assert.equal(valuesOf(state, "eval_objective/scores").length, 2);
  assert.ok(valuesOf(state, "eval_loss").every((loss) => loss > 0 && Number.isFinite(loss)));
});

Deno.test("answers may be given with their rewards, and another reference be named", async () => {
  using output = temporary();
  const path = `${output.path}/rollouts.json`;
  const answers = [{ ids: [5, 6, 7], rewards: [1] }, { ids: [8, 9], rewards: [0] }];
  const generation = Array.from({ length: 60 }, () => answers);
  Deno.writeTextFileSync(path, JSON.stringify({ generations: [generation, generation] }));
  const { state } = await succeed(
    "online-dpo",
    small(`${output.path}/run`, {
      reward_funcs: undefined,
      rollouts: path,
      ref_model_name_or_path: fixture("models/mistral"),
      max_steps: 2,
    }),
  );
  assert.deepEqual(valuesOf(state, "objective/scores_margin"), [1, 1]);
  const [loss] = valuesOf(state, "loss");
  assert.ok(Math.abs(loss! - Math.LN2) > 1e-3, "the policy is not that reference");
});

Deno.test("what does not go together is refused, and what has no effect is said", async () => {
  using output = temporary();
  const refused: readonly [string, Flags, RegExp][] = [
    ["online-dpo", { reward_funcs: undefined }, /Nothing judges the answers/],
    ["online-dpo", { beta: [0.1, 0] }, /--beta is 0\.1 0; expected numbers above 0/],
    ["nash-md", { mixture_coef: [0.5, 1.5] }, /--mixture_coef is 0\.5 1\.5; .* from 0 to 1/],
    ["xpo", { reward_weights: [1, 2] }, /--reward_weights has 2 numbers for 1/],
    ["xpo", { mixture_coef: [0.5] }, /--mixture_coef is an option of nash-md/],
  ];
  for (const [command, changes, expected] of refused) {
    assert.match(await refusalOf(command, small(output.path, changes)), expected);
  }
  const { stderr } = await plumb(
    "nash-md",
    small(output.path, { loss_type: "ipo", max_length: 99, dry_run: true }),
  );
  assert.match(stderr, /--loss_type.*Nash-MD has one loss/);
  assert.match(stderr, /--max_length.*prompts are taken whole/);
});

Deno.test("a reward model judges by either of its names", async () => {
  for (const name of ["reward_model_path", "reward_model_name_or_path"]) {
    using output = temporary();
    const { state } = await succeed(
      "online-dpo",
      small(output.path, {
        reward_funcs: undefined,
        [name]: fixture("models/llama_reward"),
        max_steps: 1,
      }),
    );
    assert.ok(Number.isFinite(valuesOf(state, "rewards/llama_reward/mean")[0]), name);
  }
});
