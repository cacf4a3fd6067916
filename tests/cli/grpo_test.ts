/** `grpo` and `rloo` with answers of their own. */

import assert from "node:assert/strict";
import { setDevice } from "../../core/device/current.ts";
import { tensor } from "../../core/mod.ts";
import { loadTokenizer } from "../../data/tokenizer/tokenizer.ts";
import { sequenceClassifier } from "../../nn/mod.ts";
import { readParameters } from "../../train/mod.ts";
import { fixture } from "../data/fixture_files.ts";
import { devices } from "../devices.ts";
import { layOut } from "../nn/streams.ts";
import { answersIn, linesIn, rewards, smallOnlineRun } from "./online_runs.ts";
import { succeed, valuesOf } from "./preference_runs.ts";
import {
  digestOf,
  type Flags,
  interrupted,
  namesIn,
  plumb,
  refusalOf,
  stateOf,
  temporary,
} from "./run_command.ts";

const data = fixture("trl/grpo/dataset.jsonl");

/** A small run: two prompts, four answers each, a row per step. */
function small(outputDir: string, changes: Flags = {}): Flags {
  return smallOnlineRun(outputDir, {
    dataset_name: data,
    per_device_train_batch_size: 8,
    num_generations: 4,
    max_completion_length: 12,
    ...changes,
  });
}

for (const { kind } of devices) {
  Deno.test(`grpo samples, judges and learns (${kind})`, async () => {
    using output = temporary();
    const { state, said } = await succeed(
      "grpo",
      small(output.path, {
        device: kind,
        reward_funcs: [rewards("evenTokens"), rewards("sometimes")],
        reward_weights: [1, 0.5],
        log_completions: true,
        num_completions_to_print: 3,
        beta: 0.05,
        num_iterations: 2,
      }),
    );
    assert.equal(state.log_history.length, 5);
    const [first] = state.log_history;
    for (const name of ["reward", "rewards/evenTokens/mean", "rewards/sometimes/std", "kl"]) {
      assert.ok(Number.isFinite(first![name]), name);
    }
    assert.equal(first!["sometimes/answers"], 8);
    assert.equal(first!["kl"], 0);
    assert.ok(first!["completions/max_length"]! <= 12);
    // A generation is learned from twice: the metrics of sampling stand in every second row.
    assert.equal(state.log_history[1]!["reward"], undefined);
    const answers = answersIn(output.path);
    assert.equal(answers.length, 16);
    assert.deepEqual(
      Object.keys(answers[0]!),
      ["step", "prompt", "completion", "evenTokens", "sometimes", "tokens", "advantage"],
    );
    assert.match(said, /reward [\d.-]+ {2}reward_std .* kl 0 {2}entropy/);
    assert.match(said, /prompt +│ completion +│/);
  });
}

Deno.test("the same seed gives the same run, another seed another one", async () => {
  const run = async (seed: number) => {
    using output = temporary();
    await succeed("grpo", small(output.path, { seed }));
    return digestOf(`${output.path}/model.safetensors`);
  };
  const [a, b, c] = [await run(1), await run(1), await run(2)];
  assert.equal(a, b);
  assert.notEqual(a, c);
});

for (const command of ["grpo", "rloo"]) {
  Deno.test(`${command} goes on in the middle of a generation as if it had never stopped`, async () => {
    using whole = temporary();
    using resumed = temporary();
    // A generation lasts for four steps; the checkpoint is taken after the third.
    const flags = {
      per_device_train_batch_size: 4,
      steps_per_generation: 2,
      num_iterations: 2,
      max_steps: 7,
      save_strategy: "steps",
      save_steps: 3,
      beta: 0.1,
    };
    await succeed(command, small(whole.path, flags));
    const from = `${whole.path}/checkpoint-3`;
    const { generation } = JSON.parse(Deno.readTextFileSync(`${from}/plumb_state.json`));
    assert.equal(generation.generation.samples.length, 8);
    await succeed(command, small(resumed.path, { ...flags, resume_from_checkpoint: from }));
    for (const name of ["model.safetensors", "checkpoint-6/optimizer.safetensors"]) {
      assert.equal(digestOf(`${resumed.path}/${name}`), digestOf(`${whole.path}/${name}`), name);
    }
    const history = (directory: string) =>
      stateOf(directory).log_history.map((row) =>
        Object.entries(row).filter(([name]) => !/_runtime$|_per_second$/.test(name))
      );
    assert.deepEqual(history(resumed.path), history(whole.path));
  });
}

Deno.test("logs hold each step once, however often a run is resumed or begun anew", async () => {
  using output = temporary();
  const flags = small(output.path, {
    report_to: "jsonl",
    log_completions: true,
    max_steps: 3,
    save_strategy: "steps",
    save_steps: 2,
  });
  const steps = () =>
    linesIn(`${output.path}/log.jsonl`).flatMap(({ kind, step }) => kind === "train" ? [step] : []);
  await succeed("grpo", flags);
  const answers = answersIn(output.path);
  assert.deepEqual(answers.map(({ step }) => step), [1, 2, 3].flatMap((s) => Array(8).fill(s)));
  const changes: Flags[] = [{ resume_from_checkpoint: `${output.path}/checkpoint-2` }, {}];
  for (const change of changes) {
    await succeed("grpo", { ...flags, ...change });
    assert.deepEqual(steps(), [1, 2, 3]);
    assert.deepEqual(answersIn(output.path), answers);
  }
  await refusalOf("grpo", { ...flags, dataset_name: "absent.jsonl" });
  assert.deepEqual(steps(), [1, 2, 3], "a run that cannot begin takes nothing away");
});

Deno.test("Ctrl-C ends sampling at once; the run goes on with the bits of one that never stopped", async () => {
  using whole = temporary();
  using cut = temporary();
  // Answers long enough that the signal comes while they are sampled.
  const flags = {
    max_completion_length: 440,
    per_device_train_batch_size: 32,
    num_generations: 16,
    max_steps: 2,
  };
  const { code, said } = await interrupted("grpo", small(cut.path, flags), [
    { after: "step 1/2", send: "SIGINT" },
  ]);
  assert.equal(code, 130, said);
  assert.deepEqual(namesIn(cut.path), ["checkpoint-1"], "the second step was not waited for");
  await succeed("grpo", small(cut.path, { ...flags, resume_from_checkpoint: true }));
  await succeed("grpo", small(whole.path, flags));
  const [a, b] = [cut, whole].map(({ path }) => digestOf(`${path}/model.safetensors`));
  assert.equal(a, b);
});

Deno.test("a following reference is part of the checkpoint too", async () => {
  using whole = temporary();
  using resumed = temporary();
  const flags = {
    sync_ref_model: true,
    ref_model_sync_steps: 2,
    beta: 0.2,
    max_steps: 5,
    save_strategy: "steps",
    save_steps: 3,
    use_adaptive_entropy: true,
    entropy_target: 6,
    entropy_coef_delta: 0.1,
  };
  const { state } = await succeed("grpo", small(whole.path, flags));
  assert.ok(new Set(valuesOf(state, "entropy_coef")).size > 1);
  await succeed(
    "grpo",
    small(resumed.path, { ...flags, resume_from_checkpoint: `${whole.path}/checkpoint-3` }),
  );
  assert.equal(
    digestOf(`${resumed.path}/model.safetensors`),
    digestOf(`${whole.path}/model.safetensors`),
  );
});

Deno.test("every loss, level and scale of grpo trains", async () => {
  const cases: Flags[] = [
    ..."grpo dr_grpo bnpo cispo sapo luspo vespo gmpo".split(" ").map((loss_type) => ({
      loss_type,
    })),
    { importance_sampling_level: "sequence" },
    { importance_sampling_level: "sequence_token" },
    { scale_rewards: "none" },
    { scale_rewards: "batch", multi_objective_aggregation: "normalize_then_sum" },
    { top_entropy_quantile: 0.5, entropy_coef: 0.1 },
    { off_policy_mask_threshold: 0.5, delta: 1.5, mask_truncated_completions: true },
    { temperature: 0.7, top_k: 50, top_p: 0.9, min_p: 0.01, repetition_penalty: 1.1 },
  ];
  const seen = new Set<string>();
  for (const changes of cases) {
    using output = temporary();
    await succeed("grpo", small(output.path, { max_steps: 2, num_iterations: 2, ...changes }));
    const digest = digestOf(`${output.path}/model.safetensors`);
    assert.ok(!seen.has(digest), `${JSON.stringify(changes)} changes nothing`);
    seen.add(digest);
  }
});

for (const command of ["grpo", "rloo"]) {
  Deno.test(`adapters and quantised bases learn from their own answers by ${command}, and the base stays`, async () => {
    const bases: readonly Flags[] = [{}, { load_in_4bit: true }, { load_in_8bit: true }];
    for (const changes of bases) {
      using output = temporary();
      const { state } = await succeed(
        command,
        small(output.path, {
          use_peft: true,
          lora_r: 4,
          beta: 0.1,
          learning_rate: 1e-2,
          ...changes,
        }),
      );
      assert.equal(state.log_history[0]!["kl"], 0, "the reference is the base");
      assert.ok(valuesOf(state, "kl")[2]! > 0);
      assert.ok(namesIn(output.path).includes("adapter_model.safetensors"));
      assert.ok(!namesIn(output.path).includes("model.safetensors"));
    }
  });
}

Deno.test("evaluation samples answers to the test rows", async () => {
  using output = temporary();
  const { state } = await succeed(
    "grpo",
    small(output.path, {
      dataset_test_split: "train",
      eval_strategy: "steps",
      eval_steps: 2,
      per_device_eval_batch_size: 4,
      num_generations_eval: 2,
    }),
  );
  const evaluations = valuesOf(state, "eval_reward");
  assert.equal(evaluations.length, 2);
  assert.ok(evaluations.every((value) => value >= 0 && value <= 1));
});

Deno.test("a reward model is a reward, and so are built-in names and default exports", async () => {
  using output = temporary();
  const { state } = await succeed(
    "grpo",
    small(output.path, {
      reward_model_name_or_path: fixture("models/llama_reward"),
      reward_funcs: ["think_format_reward", fixture("rewards.ts")],
      reward_weights: [1, 2, 0.1],
    }),
  );
  const [first] = state.log_history;
  for (const name of ["llama_reward", "think_format_reward", "rewards"]) {
    assert.ok(Number.isFinite(first![`rewards/${name}/mean`]), name);
  }
});

for (const { kind } of devices) {
  Deno.test(`a label's score of a DistilBERT classifier is a reward (${kind})`, async () => {
    using output = temporary();
    const dataset_name = `${output.path}/openings.jsonl`;
    const rows = ["I loved it!", "What a film."].map((prompt) => JSON.stringify({ prompt }));
    Deno.writeTextFileSync(dataset_name, rows.join("\n"));
    const directory = fixture("models/distilbert");
    const { state } = await succeed(
      "grpo",
      small(output.path, {
        device: kind,
        dataset_name,
        reward_funcs: `${directory}:POSITIVE`,
        log_completions: true,
        max_steps: 2,
      }),
    );
    const config = JSON.parse(Deno.readTextFileSync(`${directory}/config.json`));
    const model = sequenceClassifier(config, 2);
    setDevice(devices[0]!);
    const params = await readParameters(model, directory);
    const tokenizer = await loadTokenizer(directory);
    const score = async (text: string): Promise<number> => {
      const ids = tokenizer.encode(text);
      const { stream } = layOut([{ name: text, ids, labels: ids }]);
      const lasts = tensor([ids.length - 1], { dtype: "i32" });
      return (await model.scores(params, stream, lasts, { rotary: [] }).data())[1]!;
    };
    const answers = answersIn<
      { prompt: string; completion: string; "distilbert:POSITIVE": number }
    >(
      output.path,
    );
    assert.equal(answers.length, 16);
    const scores: number[] = [];
    for (const { prompt, completion, ...rewards } of answers) {
      const expected = await score(prompt + completion);
      scores.push(expected);
      assert.ok(
        Math.abs(rewards["distilbert:POSITIVE"] - expected) < 1e-4,
        `${completion}: ${expected}`,
      );
    }
    assert.ok(new Set(scores).size > 8, "answers have scores of their own");
    const mean = scores.slice(0, 8).reduce((sum, value) => sum + value) / 8;
    assert.ok(Math.abs(state.log_history[0]!["rewards/distilbert:POSITIVE/mean"]! - mean) < 1e-4);
  });
}

Deno.test("answers that no reward applies to are learned nothing from, and that is said once", async () => {
  using output = temporary();
  const flags = { reward_funcs: rewards("nothing"), max_steps: 2 };
  const { state, said } = await succeed("grpo", small(output.path, flags));
  assert.equal(state.log_history[0]!["grad_norm"], 0);
  assert.equal(state.log_history[0]!["reward"], undefined);
  assert.equal(said.match(/No reward applies to any of the answers/g)?.length, 1);
  assert.match(said, /^The reward nothing applies to none of the first 8 answers .*\.$/m);
});

Deno.test("a reward that finds no solutions is named once, with the reason", async () => {
  using output = temporary();
  const dataset_name = `${output.path}/rows.jsonl`;
  const run = async (solutions: readonly string[]) => {
    const rows = solutions.map((solution) => JSON.stringify({ prompt: "What is it?", solution }));
    Deno.writeTextFileSync(dataset_name, rows.join("\n"));
    const { said } = await succeed(
      "grpo",
      small(`${output.path}/out`, {
        dataset_name,
        reward_funcs: ["accuracy_reward", rewards("evenTokens")],
        max_steps: 2,
        shuffle_dataset: false,
      }),
    );
    return said.split("\n").filter((line) => line.includes("applies to"));
  };
  const [line, ...rest] = await run(["unknown", "nobody can say"]);
  assert.match(line!, /reward accuracy_reward .* first 8 answers .*"solution".*\\boxed/);
  assert.deepEqual(rest, [], "the other reward applies, and the next step says it no more");
  assert.deepEqual(await run(["4", "nobody can say"]), []);
});

Deno.test("given answers with their sampler's log-probs are corrected for it", async () => {
  using directory = temporary();
  const { generations } = JSON.parse(Deno.readTextFileSync(fixture("trl/grpo/rollouts.json")));
  const path = `${directory.path}/rollouts.json`;
  const run = async (logProb: number | undefined, changes: Flags = {}) => {
    const given = generations.map((rows: { ids: number[] }[][]) =>
      rows.map((answers) =>
        answers.map((answer) => ({
          ...answer,
          ...(logProb === undefined ? {} : { log_probs: answer.ids.map(() => logProb) }),
        }))
      )
    );
    Deno.writeTextFileSync(path, JSON.stringify({ generations: given }));
    const { state } = await succeed(
      "grpo",
      small(`${directory.path}/out`, {
        rollouts: path,
        reward_funcs: undefined,
        max_steps: 1,
        ...changes,
      }),
    );
    return state.log_history[0]!["grad_norm"]!;
  };
  assert.ok(await run(undefined) > 0.1);
  // The sampler found each answer far less likely than the policy does: no ratio is within bounds.
  assert.equal(await run(-50), 0);
  assert.ok(await run(-50, { vllm_importance_sampling_correction: false }) > 0.1);
  assert.ok(await run(-50, { vllm_importance_sampling_mode: "token_truncate" }) > 0.1);
});

Deno.test("a loss of one's own sees tokens and advantages", async () => {
  using output = temporary();
  const loss = `${output.path}/loss.ts`;
  Deno.writeTextFileSync(
    loss,
    `export default (tokens) => ({
      losses: tokens.logProbs.mul(tokens.advantages.gather(tokens.segments)).neg(),
      metrics: { plain: tokens.mask.sum() },
    });`,
  );
  const { state } = await succeed("grpo", small(`${output.path}/out`, { loss }));
  assert.ok(valuesOf(state, "plain").every((value) => value > 0));
});

Deno.test("rewards that are not there are refused before model and data are read", async () => {
  using output = temporary();
  const classifier = fixture("models/distilbert");
  const refused: readonly [string, Flags, RegExp][] = [
    [
      "grpo",
      { reward_funcs: ["think_format_reward", "acuracy_reward"] },
      /has acuracy_reward.*accuracy_reward.*get_cosine_scaled_reward.*\.\/file\.ts:function/,
    ],
    ["rloo", { reward_funcs: rewards("nowhere") }, /no function nowhere.*evenTokens/],
    ["ppo", { reward_funcs: "./absent.ts:right" }, /reward in \.\/absent\.ts cannot be loaded/],
    ["xpo", { reward_funcs: "./judge.py:right" }, /judge\.py.*TypeScript/],
    ["grpo", { reward_funcs: output.path }, /is no reward model: .*config\.json/],
    ["online-dpo", { reward_model_path: `${output.path}/absent` }, /reward model .*absent/],
    ["grpo", { reward_model_name_or_path: `${output.path}/absent` }, /reward model .*absent/],
    ["grpo", { reward_funcs: classifier }, /tells 2 labels apart.*distilbert:POSITIVE/],
    ["ppo", { reward_funcs: `${classifier}:GOOD` }, /distilbert has no label "GOOD".*POSITIVE/],
    ["rloo", { reward_funcs: `${classifier}x:GOOD` }, /distilbertx:GOOD.*with :LABEL/],
    ["nash-md", { reward_model_path: `${classifier}x:GOOD` }, /reward model .*distilbertx"/],
  ];
  for (const [command, changes, expected] of refused) {
    const said = await refusalOf(command, {
      model_name_or_path: `${output.path}/no-model`,
      dataset_name: `${output.path}/no-data`,
      output_dir: `${output.path}/no-output`,
      ...changes,
    });
    assert.match(said, expected);
  }
  assert.deepEqual(namesIn(output.path), [], "nothing was written either");
});

Deno.test("what cannot work is refused by name", async () => {
  using output = temporary();
  const refused = async (changes: Flags, ...patterns: RegExp[]) => {
    const said = await refusalOf("grpo", small(output.path, changes));
    for (const pattern of patterns) assert.match(said, pattern);
  };
  await refused({ reward_funcs: undefined }, /Nothing judges/, /--reward_funcs/);
  await refused({ reward_funcs: rewards("failing") }, /"failing".* row 1: no judge today/);
  await refused({ reward_funcs: rewards("short") }, /"short" returned 7 rewards for 8/);
  await refused({ reward_funcs: rewards("notANumber") }, /"notANumber" returned NaN at row 1/);
  await refused({ reward_funcs: rewards("misplaced") }, /"misplaced" failed.*columns has nothing/);
  await refused({ reward_weights: [1, 2] }, /2 numbers for 1 rewards/);
  await refused({ num_generations: 3 }, /8 answers/, /--num_generations 3/);
  await refused({ generation_batch_size: 12 }, /12/, /no multiple/);
  await refused({ per_device_train_batch_size: 16 }, /takes 4 prompts.*2 usable rows/);
  await refused({ max_completion_length: 5000 }, /Row 1.*positions/);
  await refused({ rollouts: fixture("trl/grpo/flags.json") }, /generations/);
  await refused(
    { rollouts: fixture("trl/grpo/rollouts.json"), max_completion_length: 4 },
    /answers to row/,
    /at most 4 are allowed/,
  );
  const few = await plumb(
    "grpo",
    small(output.path, { rollouts: fixture("trl/grpo/rollouts.json"), max_steps: 50 }),
  );
  assert.equal(few.code, 1);
  assert.match(few.stderr, /has \d+ generations, but the run needs number \d+/);
});

Deno.test("a model without a score is no reward model", async () => {
  using output = temporary();
  const refused = await refusalOf("grpo", {
    model_name_or_path: fixture("models/llama"),
    dataset_name: fixture("trl/grpo/dataset.jsonl"),
    output_dir: output.path,
    reward_funcs: fixture("models/gpt2"),
  });
  assert.match(refused, /models\/gpt2 has no score\.weight: it is no classifier/);
});
