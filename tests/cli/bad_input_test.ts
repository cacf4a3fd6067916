/** What a user may get wrong: one paragraph on standard error, exit code 1, nothing lost. */

import assert from "node:assert/strict";
import { openSafetensors, writeSafetensors } from "../../data/weights/safetensors.ts";
import { fixture } from "../data/fixture_files.ts";
import {
  argumentsOf,
  digestOf,
  type Flags,
  namesIn,
  plumb,
  plumbProcess,
  refusalOf,
  rowsWith,
  smallRun,
  stateOf,
  temporary,
  trained,
} from "./run_command.ts";

/** Runs `sft`, which has to refuse; gives the paragraph. */
async function refusal(changes: Flags, output?: string): Promise<string> {
  using own = temporary();
  const message = await refusalOf("sft", smallRun(output ?? own.path, changes));
  if (output === undefined) assert.deepEqual(namesIn(own.path), []);
  return message;
}

/** A copy of the llama fixture to break. */
function brokenModel(): ReturnType<typeof temporary> {
  const copy = temporary();
  for (const name of namesIn(fixture("models/llama"))) {
    Deno.copyFileSync(fixture(`models/llama/${name}`), `${copy.path}/${name}`);
  }
  return copy;
}

Deno.test("truncated and corrupt weights are refused by file", async () => {
  using model = brokenModel();
  const path = `${model.path}/model.safetensors`;
  const whole = Deno.readFileSync(path);
  const header = new DataView(whole.buffer).getUint32(0, true);
  const damages: readonly Uint8Array[] = [
    whole.subarray(0, whole.length - 100),
    whole.subarray(0, 8 + header - 20),
    whole.subarray(0, 5),
    new Uint8Array(0),
    new Uint8Array(64).fill(255),
    whole.map((byte, i) => i >= 8 && i < 8 + header && byte === 0x7b ? 0x5b : byte),
  ];
  for (const damage of damages) {
    Deno.writeFileSync(path, damage);
    const message = await refusal({ model_name_or_path: model.path });
    assert.ok(message.includes(path), message);
  }
});

Deno.test("a missing tensor and a tensor of another shape are refused by name", async () => {
  using model = brokenModel();
  const path = `${model.path}/model.safetensors`;
  using file = await openSafetensors(fixture("models/llama/model.safetensors"));
  const stored = await Promise.all(
    Array.from(file.tensors.values(), async ({ name, dtype, shape, bytes }) => {
      const data = await bytes();
      return { name, dtype, shape, data: () => Promise.resolve(data) };
    }),
  );
  await writeSafetensors(path, stored.filter(({ name }) => name !== "model.norm.weight"));
  assert.match(
    await refusal({ model_name_or_path: model.path }),
    /^Error: The checkpoint in .* lacks model\.norm\.weight, which its config\.json calls for\./,
  );
  await writeSafetensors(
    path,
    stored.map((tensor) =>
      tensor.name === "lm_head.weight" ? { ...tensor, shape: tensor.shape.toReversed() } : tensor
    ),
  );
  assert.match(
    await refusal({ model_name_or_path: model.path }),
    /lm_head\.weight in .* has shape \[32, 400\], but config\.json calls for \[400, 32\]/,
  );
});

Deno.test("a model of another family is refused with the families there are", async () => {
  using model = brokenModel();
  const config = JSON.parse(Deno.readTextFileSync(`${model.path}/config.json`));
  Deno.writeTextFileSync(
    `${model.path}/config.json`,
    JSON.stringify({ ...config, model_type: "mamba" }),
  );
  const message = await refusal({ model_name_or_path: model.path });
  assert.match(message, /"?mamba"?/);
  for (const family of ["llama", "mistral", "qwen2", "qwen3"]) assert.ok(message.includes(family));
  Deno.writeTextFileSync(`${model.path}/config.json`, `{"model_type": "llama",`);
  assert.match(await refusal({ model_name_or_path: model.path }), /config\.json.*JSON/);
  Deno.removeSync(`${model.path}/config.json`);
  assert.match(await refusal({ model_name_or_path: model.path }), /There is no .*config\.json/);
});

Deno.test("rows that cannot be read are refused by file and line, or by what they hold", async () => {
  using data = temporary();
  const path = `${data.path}/rows.jsonl`;
  const cases: readonly [string, RegExp, Flags?][] = [
    ['{"text": "a b"}\n{"text": "c"\n', /rows\.jsonl.*line 2\b/],
    ['{"text": "a b"}\n\n{"text": "c"}\nnull\n', /rows\.jsonl.*line 4\b/],
    ["", /rows\.jsonl.*(empty|no rows)/],
    ["\n\n", /rows\.jsonl.*(empty|no rows)/],
    [
      '{"content": "a", "title": "b"}\n',
      /columns content, title,.*"text".*"messages".*"prompt" and "completion"/,
    ],
    ['{"text": "a b"}\n{"words": "c"}\n', /[Rr]ow 2\b.*text/],
    ['{"text": 5}\n', /[Rr]ow 1\b.*text|text.*\b5\b/],
    ['{"text": "a b"}\n', /columns text,.*"words" \(a text\)/, { dataset_text_field: "words" }],
    [
      '{"input_ids": [1, 2, 3]}\n{"input_ids": [1, 99999]}\n',
      /Row 2 .* token id 99999.* 0 to 399\./,
    ],
    ['{"input_ids": [1, -2, 3]}\n', /-2/],
    ['{"messages": [{"role": "user"}]}\n', /[Rr]ow 1\b.*content/],
  ];
  for (const [text, message, flags] of cases) {
    Deno.writeTextFileSync(path, text);
    assert.match(await refusal({ dataset_name: path, ...flags }), message, text);
  }
});

Deno.test("assistant_only_loss needs a template with generation markers", async () => {
  assert.match(
    await refusal({
      dataset_name: fixture("trl/sft-messages/dataset.jsonl"),
      assistant_only_loss: true,
    }),
    /\{% generation %\}/,
  );
  assert.match(await refusal({ assistant_only_loss: true }), /not conversations/);
});

Deno.test("a split that is missing is refused with the splits there are", async () => {
  const message = await refusal({
    dataset_name: fixture("trl/sft-eval/data"),
    eval_strategy: "epoch",
    dataset_test_split: "validation",
  });
  assert.match(message, /validation.*(train.*test|test.*train)/s);
  assert.match(await refusal({ eval_strategy: "epoch" }), /test/);
});

Deno.test("mistyped paths name what is near", async () => {
  assert.match(
    await refusal({ dataset_name: "no-such-dir/train.jsonl" }),
    /"no-such-dir" does not exist/,
  );
  assert.match(
    await refusal({ model_name_or_path: fixture("models/lama") }),
    /did you mean .*llama/,
  );
  assert.match(
    await refusal({ model_name_or_path: fixture("models/llama/config.json") }),
    /is a file; a model is a directory/,
  );
  assert.match(
    await refusal({ dataset_name: fixture("trl/sft-text/datset.jsonl") }),
    /did you mean .*dataset\.jsonl/,
  );
});

Deno.test("lengths that leave nothing to learn are refused", async () => {
  assert.match(await refusal({ max_length: 1 }), /No row .* has a token to learn/);
  assert.match(
    await refusal({
      dataset_name: fixture("trl/sft-prompt-completion/dataset.jsonl"),
      max_length: 3,
    }),
    /No row .* within max_length = 3/,
  );
});

Deno.test("a row longer than all others is learned in whole where max_length is none", async () => {
  using data = temporary();
  const long = "the quick brown fox jumps over the lazy dog. ".repeat(60);
  const path = `${data.path}/rows.jsonl`;
  const rows = [long, "short", "also short"];
  Deno.writeTextFileSync(path, rows.map((text) => JSON.stringify({ text })).join("\n"));
  const tokens = async (max_length: string | number) => {
    const flags = smallRun(`${data.path}/out`, { dataset_name: path, max_steps: 1, max_length });
    return rowsWith(await trained(flags), "loss")[0]!["num_tokens"]!;
  };
  const [all, cut] = [await tokens("none"), await tokens(64)];
  assert.ok(all > 1000 && cut < 100, `${all} ${cut}`);
});

Deno.test("an output_dir that cannot be written to is refused before the work", async () => {
  using place = temporary();
  const file = `${place.path}/file`;
  Deno.writeTextFileSync(file, "keep me");
  assert.match(await refusal({}, file), /^Error: --output_dir .* is a file\./);
  assert.match(
    await refusal({}, `${file}/below`),
    /^Error: --output_dir .*file\/below has a file in the place of a directory/,
  );
  assert.equal(Deno.readTextFileSync(file), "keep me");
  if (Deno.build.os === "linux") {
    // Where not even the superuser may write.
    assert.match(await refusal({}, "/proc"), /^Error: Cannot write \/proc/);
  }
});

Deno.test("a loss that is not a number stops the run and leaves the last checkpoint", async () => {
  using output = temporary();
  const flags = {
    save_strategy: "steps",
    save_steps: 1,
    max_steps: 8,
    per_device_train_batch_size: 2,
    train_sampling_strategy: "sequential",
    lr_scheduler_type: "constant",
    max_grad_norm: 0,
    save_total_limit: 1,
    learning_rate: 1e30,
  };
  const message = await refusal(flags, output.path);
  const step = Number(/of step (\d+) is (NaN|-?Infinity);/.exec(message)?.[1]);
  assert.ok(step > 1, message);
  const rows = `${2 * step - 1}, ${2 * step}`;
  assert.ok(message.includes(`batch held the data set's rows ${rows} (the first is 1)`), message);
  assert.match(message, /last checkpoint is untouched.*--learning_rate/);
  assert.deepEqual(namesIn(output.path), [`checkpoint-${step - 1}`], "no final model is written");
  assert.equal(stateOf(`${output.path}/checkpoint-${step - 1}`).global_step, step - 1);
});

Deno.test("what is wrong with a new run leaves the results of the one before", async () => {
  using output = temporary();
  await trained(smallRun(output.path, { max_steps: 2, save_strategy: "steps" }));
  const before = digestOf(`${output.path}/model.safetensors`);
  const names = namesIn(output.path);
  await refusal({ dataset_name: fixture("nothing.jsonl") }, output.path);
  await refusal({ learning_rate: 1e30, max_grad_norm: 0, logging_steps: 1 }, output.path);
  assert.deepEqual(namesIn(output.path), names);
  assert.equal(digestOf(`${output.path}/model.safetensors`), before);
});

Deno.test("a process of its own ends with code 1 and no stack trace, unless --debug asks", async () => {
  using output = temporary();
  const flags = smallRun(output.path, { dataset_name: fixture("trl/sft-text/datset.jsonl") });
  const brief = await plumbProcess(argumentsOf("sft", flags));
  assert.deepEqual([brief.code, brief.stdout], [1, ""]);
  assert.match(brief.stderr, /^CPU.*\nError: Cannot find the dataset .*\n$/);
  const long = await plumbProcess(argumentsOf("sft", { ...flags, debug: true }));
  assert.equal(long.code, 1);
  assert.match(long.stderr, /Error: Cannot find .*\n\s+at /);
});

Deno.test("debug in a settings file shows the stack trace too", async () => {
  using place = temporary();
  Deno.writeTextFileSync(`${place.path}/run.yaml`, "debug: true\n");
  const flags = smallRun(`${place.path}/out`, { dataset_name: fixture("nothing.jsonl") });
  const { code, stderr } = await plumb("sft", { ...flags, config: `${place.path}/run.yaml` });
  assert.equal(code, 1);
  assert.match(stderr, /\n\s+at /);
});
