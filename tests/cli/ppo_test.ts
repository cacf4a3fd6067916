/** `ppo` with answers of its own. */

import assert from "node:assert/strict";
import { ppoOptions } from "../../train/settings/ppo.ts";
import { fixture } from "../data/fixture_files.ts";
import { devices } from "../devices.ts";
import { answersIn, rewards, smallOnlineRun } from "./online_runs.ts";
import { succeed, valuesOf } from "./preference_runs.ts";
import {
  digestOf,
  type Flags,
  namesIn,
  refusalOf,
  stateOf,
  temporary,
  weightsOf,
} from "./run_command.ts";

const valueModel = fixture("models/llama_reward");

/** Prompts in a file of their own. */
function promptsIn(directory: string, count: number): string {
  const path = `${directory}/prompts-${count}.jsonl`;
  const rows = Array.from(
    { length: count },
    (_, i) => JSON.stringify({ prompt: `Number ${i} is` }),
  );
  Deno.writeTextFileSync(path, rows.join("\n"));
  return path;
}

/** A small run: generations of 8 prompts, learned from in two passes of two steps; a row per step. */
function small(outputDir: string, changes: Flags = {}): Flags {
  return smallOnlineRun(outputDir, {
    dataset_name: promptsIn(outputDir, 16),
    per_device_train_batch_size: 4,
    num_mini_batches: 2,
    num_ppo_epochs: 2,
    response_length: 10,
    stop_token: "eos",
    max_steps: 6,
    ...changes,
  });
}

for (const { kind } of devices) {
  Deno.test(`ppo samples, values and learns (${kind})`, async () => {
    using output = temporary();
    const { state, said } = await succeed(
      "ppo",
      small(output.path, { device: kind, log_completions: true, num_completions_to_print: 2 }),
    );
    assert.equal(state.log_history.length, 7);
    const [first] = state.log_history;
    const names = [
      ...["kl", "kl_coef", "entropy", "non_score_reward", "rlhf_reward", "scores"]
        .map((name) => `objective/${name}`),
      ...["policy/approxkl_avg", "policy/clipfrac_avg", "policy/entropy_avg"],
      ...["loss/policy_avg", "loss/value_avg"],
      ...["val/clipfrac_avg", "val/ratio", "val/ratio_var", "val/num_eos_tokens"],
      ...["eps", "episode", "reward", "rewards/evenTokens/mean", "completions/mean_length"],
    ];
    for (const name of names) assert.ok(Number.isFinite(first![name]), name);
    assert.ok(Math.abs(first!["objective/kl"]!) < 1e-4);
    assert.ok(Math.abs(first!["val/ratio"]! - 1) < 1e-4);
    // A generation lasts for four steps; what concerns its answers stands in the first one's row.
    assert.deepEqual(
      state.log_history.slice(0, 6).map((row) => row["episode"]),
      [8, undefined, undefined, undefined, 16, undefined],
    );
    assert.match(said, /reward [\d.-]+ .*objective\/kl/);
    const answers = answersIn(output.path);
    assert.equal(answers.length, 16);
    assert.deepEqual(
      Object.keys(answers[0]!),
      ["step", "prompt", "completion", "evenTokens", "score", "advantage"],
    );
    const head = (await weightsOf(output.path)).get("v_head.summary.weight")!;
    assert.ok(head.some((x) => x !== 0));
  });
}

Deno.test("a policy learns to say what it is rewarded for", async () => {
  using output = temporary();
  const module = `${output.path}/sevens.ts`;
  Deno.writeTextFileSync(
    module,
    "export default ({ completionIds }: { completionIds: readonly number[][] }) =>\n" +
      "  completionIds.map((ids) => ids.filter((id) => id === 7).length / ids.length);\n",
  );
  const { state } = await succeed(
    "ppo",
    small(output.path, {
      dataset_name: promptsIn(output.path, 64),
      reward_funcs: module,
      per_device_train_batch_size: 32,
      num_ppo_epochs: 4,
      response_length: 8,
      stop_token: undefined,
      temperature: 1,
      kl_coef: 0,
      vf_coef: 0.5,
      learning_rate: 3e-3,
      lr_scheduler_type: "constant",
      max_steps: 320,
    }),
  );
  const shares = valuesOf(state, "reward");
  const mean = (x: readonly number[]) => x.reduce((a, b) => a + b, 0) / x.length;
  // By chance, one token in 400 is a seven.
  assert.ok(mean(shares.slice(0, 3)) < 0.03, `${shares.slice(0, 3)}`);
  assert.ok(mean(shares.slice(-3)) > 0.3, `${shares.slice(-3)}`);
});

const variants: Readonly<Record<string, Flags>> = {
  "a value head": { adap_kl_ctrl: true, target: 0.05, horizon: 50 },
  "a value model": { value_model_name_or_path: valueModel },
  "an adapter": { use_peft: true },
  "an adapter over 4-bit weights": { use_peft: true, load_in_4bit: true },
  "an adapter over 4-bit weights, and a value model": {
    use_peft: true,
    load_in_4bit: true,
    value_model_name_or_path: valueModel,
  },
};

for (const [name, changes] of Object.entries(variants)) {
  Deno.test(`${name}: a run goes on in the middle of a generation as if it had never stopped`, async () => {
    using whole = temporary();
    using resumed = temporary();
    // A generation lasts for four steps; the checkpoint is taken after the sixth.
    const flags = { ...changes, max_steps: 11, save_strategy: "steps", save_steps: 6 };
    await succeed("ppo", small(whole.path, flags));
    const from = `${whole.path}/checkpoint-6`;
    const { generation } = JSON.parse(Deno.readTextFileSync(`${from}/plumb_state.json`));
    assert.equal(generation.number, 1);
    assert.equal(generation.generation.samples.length, 8);
    await succeed("ppo", small(resumed.path, { ...flags, resume_from_checkpoint: from }));
    const weights = filesIn(whole.path);
    assert.deepEqual(weights, filesIn(resumed.path));
    assert.equal(
      weights.some((path) => path.startsWith("value_model/")),
      "value_model_name_or_path" in changes,
    );
    for (const path of [...weights, "checkpoint-11/optimizer.safetensors"]) {
      assert.equal(digestOf(`${resumed.path}/${path}`), digestOf(`${whole.path}/${path}`), path);
    }
    const history = (directory: string) =>
      stateOf(directory).log_history.map((row) =>
        Object.entries(row).filter(([name]) => !/_runtime$|_per_second$|^eps$/.test(name))
      );
    assert.deepEqual(history(resumed.path), history(whole.path));
  });
}

/** The weights in a directory and in that of its value model. */
function filesIn(directory: string): string[] {
  const names = namesIn(directory);
  const inner = names.includes("value_model") ? namesIn(`${directory}/value_model`) : [];
  return [...names, ...inner.map((name) => `value_model/${name}`)]
    .filter((name) => name.endsWith(".safetensors"));
}

Deno.test("a value model is trained whole, and read again from what was saved", async () => {
  using output = temporary();
  using again = temporary();
  const flags = { max_steps: 4, value_model_name_or_path: valueModel, vf_coef: 1 };
  const { state } = await succeed("ppo", small(output.path, { ...flags, max_steps: 16 }));
  const before = await weightsOf(valueModel);
  const after = await weightsOf(`${output.path}/value_model`);
  assert.deepEqual([...after.keys()].sort(), [...before.keys()].sort());
  for (const name of ["score.weight", "model.layers.0.mlp.up_proj.weight"]) {
    assert.notDeepEqual(after.get(name), before.get(name), name);
  }
  assert.ok(![...(await weightsOf(output.path)).keys()].some((name) => /value|v_head/.test(name)));
  const errors = valuesOf(state, "loss/value_avg");
  assert.ok(errors.at(-1)! < errors[0]! / 2, `${errors}`);
  // It says what it has learned when it begins anew; the directory of the first run is written again.
  const next = await succeed(
    "ppo",
    small(again.path, { ...flags, value_model_name_or_path: `${output.path}/value_model` }),
  );
  assert.ok(valuesOf(next.state, "loss/value_avg")[0]! < errors[0]! / 2);
  await succeed("ppo", small(output.path, flags));
});

Deno.test("an adapter learns with a whole value head over frozen weights", async () => {
  using output = temporary();
  await succeed("ppo", small(output.path, { use_peft: true, load_in_4bit: true }));
  assert.deepEqual([...(await weightsOf(output.path)).keys()].sort(), [
    "v_head.summary.bias",
    "v_head.summary.weight",
  ]);
  const adapter = await weightsOf(output.path, "adapter_model.safetensors");
  assert.ok([...adapter].some(([name, x]) => /lora_B/.test(name) && x.some((v) => v !== 0)));
  // A run can be continued from the directory, head and all.
  using next = temporary();
  await succeed("ppo", small(next.path, { model_name_or_path: output.path, learning_rate: 0 }));
  for (const file of ["model.safetensors", "adapter_model.safetensors"]) {
    assert.equal(digestOf(`${next.path}/${file}`), digestOf(`${output.path}/${file}`), file);
  }
});

Deno.test("answers from a file take the place of sampled ones", async () => {
  using output = temporary();
  const ids = [[7, 9, 2], [8, 300, 12, 13], [5, 2], [77]];
  const rollouts = `${output.path}/rollouts.json`;
  const generation = Array.from(
    { length: 16 },
    (_, row) => [{ ids: ids[row % 4], rewards: [row % 4] }],
  );
  Deno.writeTextFileSync(rollouts, JSON.stringify({ generations: [generation, generation] }));
  const { state } = await succeed(
    "ppo",
    small(output.path, {
      rollouts,
      reward_funcs: undefined,
      missing_eos_penalty: 1,
      train_sampling_strategy: "sequential",
    }),
  );
  const [first] = state.log_history;
  assert.equal(first!["reward"], 1.5);
  assert.equal(first!["objective/scores"], 1);
  assert.equal(first!["val/num_eos_tokens"], 4);
  assert.equal(first!["completions/mean_length"], 2.5);
});

Deno.test("an evaluation answers and judges too, and leaves training as it is", async () => {
  using output = temporary();
  using plain = temporary();
  const data = `${output.path}/data`;
  Deno.mkdirSync(data);
  for (const split of ["train", "test"]) {
    Deno.renameSync(promptsIn(output.path, split === "test" ? 5 : 16), `${data}/${split}.jsonl`);
  }
  const flags = { dataset_name: data, max_steps: 4 };
  const { state } = await succeed(
    "ppo",
    small(output.path, {
      ...flags,
      eval_strategy: "steps",
      eval_steps: 2,
      per_device_eval_batch_size: 4,
    }),
  );
  assert.equal(valuesOf(state, "eval_reward").length, 2);
  assert.equal(valuesOf(state, "eval_objective/kl").length, 2);
  assert.deepEqual(valuesOf(state, "eval_episode"), []);
  await succeed("ppo", small(plain.path, flags));
  assert.equal(
    digestOf(`${plain.path}/model.safetensors`),
    digestOf(`${output.path}/model.safetensors`),
  );
});

const evenTokens = { reward_funcs: rewards("evenTokens") };

/** A value that is not the default, and where it shows. */
const effects: Readonly<
  Record<string, readonly [value: string | number | boolean, where?: Flags]>
> = {
  sft_model_path: [fixture("models/mistral")],
  ref_model_name_or_path: [fixture("models/mistral")],
  response_length: [5],
  stop_token: ["eos", { stop_token: undefined, response_length: 60 }],
  stop_token_id: [46, { stop_token: undefined, response_length: 60 }],
  temperature: [1.5],
  num_ppo_epochs: [1],
  num_mini_batches: [1],
  total_episodes: [9, { max_steps: -1 }],
  train_sampling_strategy: ["sequential"],
  reward_model_name_or_path: [valueModel],
  missing_eos_penalty: [1],
  whiten_rewards: [true],
  kl_coef: [0.5, { learning_rate: 0.01 }],
  kl_estimator: ["k3", { learning_rate: 0.01 }],
  adap_kl_ctrl: [true, { horizon: 20 }],
  init_kl_coef: [0.2],
  target: [0.01, { adap_kl_ctrl: true, horizon: 20, max_steps: 10 }],
  horizon: [20, { adap_kl_ctrl: true }],
  cliprange: [0.01, { learning_rate: 0.01 }],
  vf_coef: [1],
  cliprange_value: [0.001, { learning_rate: 0.01 }],
  gamma: [0.5],
  lam: [0.1],
  value_model_name_or_path: [valueModel],
  v_head_init_strategy: ["normal"],
  v_head_initializer_range: [0.9, { v_head_init_strategy: "normal" }],
  summary_dropout_prob: [0.5],
};

const observed = new Map<string, Promise<string>>();

/** What a run leaves: numbers and weights. */
function observe(flags: Flags): Promise<string> {
  const key = JSON.stringify(flags);
  const known = observed.get(key) ?? run(flags);
  observed.set(key, known);
  return known;
}

async function run(flags: Flags): Promise<string> {
  using output = temporary();
  const { state } = await succeed("ppo", small(output.path, { ...evenTokens, ...flags }));
  const log = state.log_history.map((row) =>
    Object.entries(row).filter(([name]) => !/_runtime$|_per_second$|^eps$/.test(name))
  );
  return JSON.stringify({ log, digest: digestOf(`${output.path}/model.safetensors`) });
}

for (const [name, [value, where = {}]] of Object.entries(effects)) {
  Deno.test(`${name} of ppo has an effect`, async () => {
    assert.notEqual(await observe({ ...where, [name]: value }), await observe(where));
  });
}

Deno.test("scoring fewer answers at once changes no number by more than rounding", async () => {
  const numbers = async (size: number) => {
    using output = temporary();
    const flags = { local_rollout_forward_batch_size: size };
    return valuesOf((await succeed("ppo", small(output.path, flags))).state, "loss/value_avg");
  };
  const [few, many] = [await numbers(3), await numbers(64)];
  few.forEach((x, i) => assert.ok(Math.abs(x - many[i]!) < 1e-4, `${few} ${many}`));
});

Deno.test("episodes set the length of a run in whole generations", async () => {
  using output = temporary();
  const { state } = await succeed(
    "ppo",
    small(output.path, { total_episodes: 17, max_steps: undefined }),
  );
  assert.equal(state.max_steps, 3 * 2 * 2);
  assert.deepEqual(valuesOf(state, "episode"), [8, 16, 24]);
});

Deno.test("TRL's example names the policy and the tokenizer apart", async () => {
  using output = temporary();
  const { said } = await succeed(
    "ppo",
    small(output.path, {
      sft_model_path: fixture("models/mistral"),
      reward_funcs: undefined,
      reward_model_path: valueModel,
      stop_token: undefined,
      missing_eos_penalty: 1,
    }),
  );
  const config = JSON.parse(Deno.readTextFileSync(`${output.path}/config.json`));
  assert.equal(config.model_type, "mistral");
  assert.match(said, /Answers do not end before 10 tokens\. .* add --stop_token eos/);
});

Deno.test("what other options leave idle is told", async () => {
  using output = temporary();
  const { said } = await succeed(
    "ppo",
    small(output.path, {
      target: 3,
      v_head_initializer_range: 0.3,
      num_sample_generations: 3,
      max_steps: 1,
    }),
  );
  assert.match(said, /--target has no effect: --adap_kl_ctrl is not given\./);
  assert.match(said, /--v_head_initializer_range has no effect: --v_head_init_strategy is not/);
  assert.match(said, /--num_sample_generations has no effect: --log_completions/);
});

const refused: readonly (readonly [Flags, RegExp])[] = [
  [{ reward_funcs: undefined }, /Nothing judges the answers/],
  [{ stop_token_id: 5 }, /--stop_token and --stop_token_id both say what ends/],
  [{ total_episodes: 8 }, /--total_episodes 8 and --max_steps 6 both say how long/],
  [{ whiten_rewards: true, per_device_train_batch_size: 1 }, /which has 2 answers .* at least 8/],
  [{ stop_token: undefined, stop_token_id: 5000 }, /--stop_token_id is 5000, but the vocabulary/],
  [{ kl_estimator: "full" }, /the divergence of whole distributions is not computed/],
  [{ ref_adapter_name: "other" }, /a model has one adapter here/],
  [{ per_device_train_batch_size: 64 }, /takes 128 prompts, but the data set has 16/],
  [{ value_model_name_or_path: "/nowhere/at/all" }, /nowhere/],
  [{ load_in_4bit: true }, /Add --use_peft/],
];

for (const [flags, message] of refused) {
  Deno.test(`ppo refuses ${JSON.stringify(flags)}`, async () => {
    using output = temporary();
    assert.match(await refusalOf("ppo", small(output.path, flags)), message);
  });
}

Deno.test("every field of TRL's PPOConfig is declared, with its default", () => {
  const fields: Readonly<Record<string, unknown>> = {
    learning_rate: 3e-6,
    logging_steps: 10,
    gradient_checkpointing: true,
    run_name: undefined,
    dataset_num_proc: undefined,
    num_mini_batches: 1,
    total_episodes: undefined,
    local_rollout_forward_batch_size: 64,
    num_sample_generations: 10,
    response_length: 53,
    stop_token: undefined,
    stop_token_id: undefined,
    temperature: 0.7,
    missing_eos_penalty: undefined,
    world_size: undefined,
    num_total_batches: undefined,
    micro_batch_size: undefined,
    local_batch_size: undefined,
    batch_size: undefined,
    local_mini_batch_size: undefined,
    mini_batch_size: undefined,
    push_to_hub: false,
    exp_name: "ppo_config",
    model_adapter_name: undefined,
    ref_adapter_name: undefined,
    num_ppo_epochs: 4,
    whiten_rewards: false,
    kl_coef: 0.05,
    kl_estimator: "k1",
    cliprange: 0.2,
    vf_coef: 0.1,
    cliprange_value: 0.2,
    gamma: 1,
    lam: 0.95,
    ds3_gather_for_generation: true,
    // TRL's are models of the Hub, which nothing is taken from here.
    sft_model_path: undefined,
    reward_model_name_or_path: undefined,
  };
  const options: Readonly<Record<string, { readonly default: unknown; readonly group: string }>> =
    ppoOptions;
  for (const [name, value] of Object.entries(fields)) {
    assert.ok(options[name], `${name} is not declared`);
    assert.equal(options[name].default, value, name);
  }
  for (const [name, { group }] of Object.entries(options)) assert.notEqual(group, "", name);
});
