/** What commands do with every family: adapters over quantised weights, merging, scores, sampling, limits. */

import assert from "node:assert/strict";
import { setDevice } from "../../core/device/current.ts";
import {
  openSafetensors,
  type TensorToStore,
  writeSafetensors,
} from "../../data/weights/safetensors.ts";
import { openModel } from "../../train/files/model_directory.ts";
import { assertClose } from "../core/compare.ts";
import { fixture } from "../data/fixture_files.ts";
import { devices } from "../devices.ts";
import { rowsLayout } from "../nn/adapters.ts";
import { logitsOf } from "../nn/streams.ts";
import { namesOf, saysOf, smallAdapterRun } from "./lora_runs.ts";
import { plumb, refusalOf, smallRun, stateOf, temporary, trained } from "./run_command.ts";

const families = ["phi3", "gemma3_text", "gpt2", "gptj", "gpt_neox", "opt"] as const;

async function logitsIn(directory: string, storage = {}): Promise<ArrayLike<number>> {
  setDevice(devices.find(({ kind }) => kind === "cpu")!);
  const { model, params } = await openModel({ directory, seed: 0, storage });
  const { stream } = rowsLayout(Int32Array.from({ length: 12 }, (_, i) => 5 + 7 * i), 12);
  return await logitsOf(model, params, stream, { rotary: model.tables(12) }).data();
}

function copyFiles(from: string, to: string): void {
  for (const { name } of Deno.readDirSync(from)) {
    Deno.copyFileSync(`${from}/${name}`, `${to}/${name}`);
  }
}

async function storedIn(path: string): Promise<TensorToStore[]> {
  using file = await openSafetensors(path);
  return await Promise.all(
    [...file.tensors.values()].map(async ({ name, dtype, shape, bytes }) => ({
      ...{ name, dtype, shape },
      data: await bytes(),
    })),
  );
}

for (const family of families) {
  Deno.test(`${family}: an adapter over 4 bits trains, merges to its logits and answers`, async () => {
    using place = temporary();
    const [adapter, merged] = [`${place.path}/adapter`, `${place.path}/merged`];
    const model_name_or_path = fixture(`models/${family}`);
    const run = {
      model_name_or_path,
      dataset_name: fixture("trl/sft-text/dataset.jsonl"),
      load_in_4bit: true,
      max_length: 100,
    };
    const state = await trained(smallAdapterRun(adapter, run));
    const [first, last] = [0, 3].map((i) => state.log_history[i]!["loss"]!);
    assert.ok(last! < first!, `${first}, ${last}`);
    assert.equal(saysOf(adapter, "fan_in_fan_out"), family === "gpt2");

    const flags = { output_dir: merged, device: "cpu" };
    const { code, stderr } = await plumb("merge", { model_name_or_path: adapter, ...flags });
    assert.equal(code, 0, stderr);
    assert.deepEqual(
      await namesOf(`${merged}/model.safetensors`),
      await namesOf(`${model_name_or_path}/model.safetensors`),
    );
    assertClose(await logitsIn(merged), await logitsIn(adapter), 2e-5, "logits");

    const prompts = `${place.path}/prompts.jsonl`;
    await Deno.writeTextFile(prompts, '{"prompt": "She has 3 apples and"}\n');
    const answers = await plumb("generate", {
      model_name_or_path: merged,
      dataset_name: prompts,
      max_new_tokens: 4,
      do_sample: false,
      device: "cpu",
    });
    assert.equal(answers.code, 0, answers.stderr);
    assert.equal(answers.stdout.trim().split("\n").length, 1, answers.stdout);
  });
}

Deno.test("a reward model of GPT-2 is written as transformers names it", async () => {
  using place = temporary();
  const rows = {
    reward: { prompt: "How many?", chosen: " Three.", rejected: " No." },
    prm: { prompt: "How many?", completions: ["One and two.", "Three."], labels: [false, true] },
  };
  const flags = {
    model_name_or_path: fixture("models/gpt2"),
    output_dir: place.path,
    max_steps: 1,
    device: "cpu",
  };
  for (
    const [command, head] of [["reward", ["score.weight"]], ["prm", [
      "classifier.bias",
      "classifier.weight",
    ]]] as const
  ) {
    const dataset_name = `${place.path}/${command}.jsonl`;
    await Deno.writeTextFile(dataset_name, JSON.stringify(rows[command]) + "\n");
    const outcome = await plumb(command, { ...flags, dataset_name });
    assert.equal(outcome.code, 0, outcome.stderr);
    using file = await openSafetensors(`${place.path}/model.safetensors`);
    const names = [...file.tensors.keys()].filter((name) => !name.startsWith("transformer."));
    assert.deepEqual(names.sort(), head);
    assert.deepEqual(file.tensors.get("transformer.h.0.mlp.c_fc.weight")!.shape, [32, 128]);
    // What was written opens again.
    const again = await plumb(command, {
      ...flags,
      dataset_name,
      model_name_or_path: place.path,
      output_dir: `${place.path}/again`,
    });
    assert.equal(again.code, 0, again.stderr);
  }
});

Deno.test("GPT-2 learns from answers it samples, with a value head beside it", async () => {
  using place = temporary();
  const outcome = await plumb("ppo", {
    model_name_or_path: fixture("models/gpt2"),
    dataset_name: fixture("trl/grpo/dataset.jsonl"),
    output_dir: place.path,
    reward_funcs: fixture("rewards.ts") + ":evenTokens",
    max_steps: 2,
    response_length: 8,
    logging_steps: 1,
    per_device_train_batch_size: 2,
    device: "cpu",
  });
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.ok(stateOf(place.path).log_history.some((row) => Number.isFinite(row["loss"])));
  assert.ok((await namesOf(`${place.path}/model.safetensors`)).includes("v_head.summary.weight"));
});

Deno.test("rows longer than learned positions are refused, with the flags that shorten them", async () => {
  using place = temporary();
  const long = smallRun(place.path, {
    model_name_or_path: fixture("models/gpt2"),
    dataset_name: fixture("trl/sft-text/dataset.jsonl"),
    max_steps: 1,
  });
  assert.match(await refusalOf("sft", long), /row of 150 tokens.*128 positions.*max_length/);
});

Deno.test("weights without the name of the root are read, as GPT-2's on the Hub are", async () => {
  using place = temporary();
  const source = fixture("models/gpt2");
  copyFiles(source, place.path);
  const path = `${place.path}/model.safetensors`;
  const stored = await storedIn(`${source}/model.safetensors`);
  await writeSafetensors(
    path,
    stored.map((tensor) => ({ ...tensor, name: tensor.name.replace("transformer.", "") })),
  );
  assert.ok((await namesOf(path)).includes("wte.weight"));
  assert.deepEqual(await logitsIn(place.path), await logitsIn(source));
});

Deno.test("dropout that a config asks for is told", async () => {
  using place = temporary();
  const config = `${place.path}/config.json`;
  const source = fixture("models/gpt2");
  copyFiles(source, place.path);
  const given = JSON.parse(await Deno.readTextFile(config));
  await Deno.writeTextFile(config, JSON.stringify({ ...given, attn_pdrop: 0.1 }));
  const run = smallRun(`${place.path}/out`, {
    model_name_or_path: place.path,
    max_length: 64,
    max_steps: 1,
  });
  assert.match((await plumb("sft", run)).stderr, /without dropout.*attn_pdrop 0\.1/);
});

/** GPT-2's fixture in a directory, with other values in one of its JSON files; undefined takes a key out. */
async function variantOfGpt2(
  directory: string,
  file: string,
  changes: Readonly<Record<string, unknown>>,
): Promise<void> {
  copyFiles(fixture("models/gpt2"), directory);
  const all = { ...JSON.parse(await Deno.readTextFile(`${directory}/${file}`)), ...changes };
  await Deno.writeTextFile(`${directory}/${file}`, JSON.stringify(all));
}

Deno.test("a head that an adapter parted from the embeddings stays apart where the config says nothing of it", async () => {
  using place = temporary();
  const [base, adapter, merged] = ["base", "adapter", "merged"].map((name) => {
    const path = `${place.path}/${name}`;
    Deno.mkdirSync(path);
    return path;
  }) as [string, string, string];
  await variantOfGpt2(base, "config.json", { tie_word_embeddings: undefined });
  await trained(smallAdapterRun(adapter, {
    model_name_or_path: base,
    dataset_name: fixture("trl/sft-text/dataset.jsonl"),
    lora_target_modules: "c_attn",
    lora_modules_to_save: "lm_head",
    max_length: 100,
  }));
  const merge = await plumb("merge", {
    model_name_or_path: adapter,
    output_dir: merged,
    device: "cpu",
  });
  assert.equal(merge.code, 0, merge.stderr);
  assertClose(await logitsIn(merged), await logitsIn(adapter), 2e-5, "logits");
  const config = JSON.parse(await Deno.readTextFile(`${merged}/config.json`));
  assert.equal(config.tie_word_embeddings, false);
  assert.deepEqual(config.architectures, ["GPT2LMHeadModel"]);
});

Deno.test("GPT-NeoX's head is lm_head to adapters, as in transformers 5, and embed_out in files", async () => {
  using place = temporary();
  await trained(smallAdapterRun(place.path, {
    model_name_or_path: fixture("models/gpt_neox"),
    dataset_name: fixture("trl/sft-text/dataset.jsonl"),
    lora_target_modules: "query_key_value",
    lora_modules_to_save: "lm_head",
    max_length: 100,
  }));
  const names = await namesOf(`${place.path}/adapter_model.safetensors`);
  assert.ok(names.includes("base_model.model.lm_head.weight"), `${names}`);
});

Deno.test("the end of a text is the config's where the tokenizer names none, as on the Hub's GPT-2", async () => {
  using place = temporary();
  await variantOfGpt2(place.path, "tokenizer_config.json", {
    eos_token: undefined,
    pad_token: undefined,
  });
  const out = `${place.path}/out`;
  await trained(smallRun(out, {
    model_name_or_path: place.path,
    max_length: 64,
    max_steps: 1,
  }));
  const written = JSON.parse(await Deno.readTextFile(`${out}/tokenizer_config.json`));
  assert.equal(written.eos_token, "<|im_end|>");
});

Deno.test("a token beyond the vocabulary is refused where it occurs, not where it could", async () => {
  using place = temporary();
  const id = 400;
  const { added_tokens } = JSON.parse(
    await Deno.readTextFile(fixture("models/gpt2/tokenizer.json")),
  );
  const token = { ...added_tokens[0], id, content: "<image>" };
  await variantOfGpt2(place.path, "tokenizer.json", { added_tokens: [...added_tokens, token] });
  const rows = `${place.path}/rows.jsonl`;
  const run = (text: string) => {
    Deno.writeTextFileSync(rows, JSON.stringify({ text }) + "\n");
    return smallRun(`${place.path}/out`, {
      model_name_or_path: place.path,
      dataset_name: rows,
      max_steps: 1,
    });
  };
  await trained(run("one and two"));
  assert.match(
    await refusalOf("sft", run("one <image> two")),
    /the token <image> \(400\), which the tokenizer .* knows and the model does not: it has 400/,
  );
});

Deno.test("token classification is refused for families that transformers has none of", async () => {
  using place = temporary();
  const refused = await refusalOf("prm", {
    model_name_or_path: fixture("models/opt"),
    dataset_name: fixture("trl/prm/dataset.jsonl"),
    output_dir: place.path,
  });
  assert.match(refused, /no token classification/);
});
