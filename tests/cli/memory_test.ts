/** What a run says about memory before its first step and after its last. */

import assert from "node:assert/strict";
import { memoryAdvice } from "../../train/report/memory_advice.ts";
import { setDevice } from "../../core/device/current.ts";
import { sftOptions } from "../../train/settings/sft.ts";
import { parse } from "../../cli/parse.ts";
import { openModel, trainableOf } from "../../train/files/model_directory.ts";
import { totalBytes } from "../../train/loop/memory.ts";
import { fixture } from "../data/fixture_files.ts";
import { devices } from "../devices.ts";
import { smallAdapter } from "./lora_runs.ts";
import {
  argumentsOf,
  type Flags,
  namesIn,
  plumb,
  refusalOf,
  smallRun,
  temporary,
} from "./run_command.ts";

const estimate =
  /weights ([\d.]+) (\wiB), optimiser ([\d.]+) (\wiB), gradients and activations ([\d.]+) (\wiB); together ([\d.]+) (\wiB)\./;
const units: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** The bytes that a dry run tells: weights, optimiser, temporaries, together. */
async function told(changes: Flags): Promise<[number, number, number, number]> {
  using place = temporary();
  const path = `${place.path}/out`;
  const flags = smallRun(path, {
    report_to: "jsonl",
    max_steps: 2,
    dry_run: true,
    per_device_train_batch_size: 2,
    ...changes,
  });
  const { code, stderr } = await plumb("sft", flags);
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /step \d/, "no step is made");
  assert.deepEqual(namesIn(place.path), [], "nothing is written");
  const words = estimate.exec(stderr)!.slice(1);
  const bytes = [0, 2, 4, 6].map((i) => Number(words[i]) * units[words[i + 1]!]!);
  return bytes as [number, number, number, number];
}

/** Parameters of the fixture model. */
const parameters = 44192;

Deno.test("a dry run tells the memory of a step and writes nothing", async () => {
  const [weights, optimizer, temporaries, together] = await told({});
  const near = (a: number, b: number) => Math.abs(a / b - 1) < 0.05;
  assert.ok(near(weights, 4 * parameters), `${weights}`);
  assert.ok(near(optimizer, 8 * parameters), `${optimizer}`);
  assert.ok(temporaries > 4 * parameters);
  assert.ok(near(together, weights + optimizer + temporaries));
});

Deno.test("the estimate follows the flags that make a step smaller", async () => {
  const [weights, optimizer, temporaries] = await told({});
  const adapter = await told(smallAdapter);
  assert.ok(adapter[1] < optimizer / 4, "an adapter's moments");
  const quantised = await told({ ...smallAdapter, load_in_4bit: true });
  assert.ok(quantised[0] < adapter[0], "4-bit weights");
  const checkpointed = await told({ gradient_checkpointing: true });
  assert.ok(checkpointed[2] < temporaries, "activations computed anew");
  const halved = await told({ per_device_train_batch_size: 1, gradient_accumulation_steps: 2 });
  assert.ok(halved[2] < temporaries, "a batch in two halves");
  assert.equal(halved[0], weights);
});

Deno.test("a dry run tells what the run tells, for all that is trained", async () => {
  const variants: readonly Flags[] = [
    {},
    smallAdapter,
    { ...smallAdapter, init_lora_weights: "pissa" },
    { ...smallAdapter, load_in_4bit: true, use_bnb_nested_quant: true },
    { ...smallAdapter, load_in_8bit: true },
    { ...smallAdapter, dtype: "bfloat16" },
    { gradient_accumulation_steps: 2 },
  ];
  for (const changes of variants) {
    using output = temporary();
    const flags = smallRun(output.path, {
      max_steps: 1,
      per_device_train_batch_size: 2,
      ...changes,
    });
    const { code, stderr } = await plumb("sft", flags);
    assert.equal(code, 0, stderr);
    const plan = estimate.exec(stderr)![0];
    using place = temporary();
    const dry = await plumb("sft", { ...flags, output_dir: `${place.path}/out`, dry_run: true });
    assert.equal(dry.code, 0, dry.stderr);
    assert.equal(estimate.exec(dry.stderr)![0], plan, JSON.stringify(changes));
  }
});

Deno.test("a dry run reads no weight", async () => {
  using place = temporary();
  const model = `${place.path}/model`;
  await Deno.mkdir(model);
  for (const name of namesIn(fixture("models/llama"))) {
    await Deno.copyFile(`${fixture("models/llama")}/${name}`, `${model}/${name}`);
  }
  using file = await Deno.open(`${model}/model.safetensors`, { read: true, write: true });
  await file.seek(-4, Deno.SeekMode.End);
  await file.write(new Uint8Array(new Float32Array([NaN]).buffer));
  const flags = smallRun(`${place.path}/out`, { model_name_or_path: model, max_steps: 1 });
  assert.match(await refusalOf("sft", flags), /finite/);
  const { code, stderr } = await plumb("sft", { ...flags, dry_run: true });
  assert.equal(code, 0, stderr);
  assert.match(stderr, estimate);
});

Deno.test("a dry run of a model of billions of weights takes neither their memory nor their time", async () => {
  using place = temporary();
  const config = JSON.parse(await Deno.readTextFile(`${fixture("models/llama")}/config.json`));
  for (const name of namesIn(fixture("models/llama"))) {
    if (!name.endsWith("safetensors")) {
      await Deno.copyFile(`${fixture("models/llama")}/${name}`, `${place.path}/${name}`);
    }
  }
  const large = {
    hidden_size: 8192,
    intermediate_size: 28672,
    head_dim: 128,
    num_hidden_layers: 2,
  };
  const heads = { num_attention_heads: 64, num_key_value_heads: 8, vocab_size: 128256 };
  const text = JSON.stringify({ ...config, ...large, ...heads });
  await Deno.writeTextFile(`${place.path}/config.json`, text);
  for (const changes of [{}, smallAdapter]) {
    const { code, stderr } = await plumb("sft", {
      ...smallRun(`${place.path}/out`, { max_steps: 1, ...changes }),
      model_name_or_path: undefined,
      init_from_config: `${place.path}/config.json`,
      dry_run: true,
    });
    assert.equal(code, 0, stderr);
    assert.match(estimate.exec(stderr)![0], /weights 14\.\d GiB/);
  }
});

Deno.test("a run tells what it planned before the first step and what it took after the last", async () => {
  using output = temporary();
  const { code, stderr } = await plumb("sft", smallRun(output.path, { max_steps: 1 }));
  assert.equal(code, 0, stderr);
  const lines = stderr.split("\n");
  const at = (pattern: RegExp) => lines.findIndex((line) => pattern.test(line));
  assert.ok(at(estimate) >= 0 && at(estimate) < at(/^step/), stderr);
  const used = /Memory used: ([\d.]+) MiB at most/;
  assert.ok(at(used) > at(/^step/), stderr);
  // Beside the step: the kernels' scratch memory and the batch before.
  const planned = Number(estimate.exec(stderr)![7]);
  const most = Number(used.exec(stderr)![1]);
  assert.ok(most > 0.9 * planned && most < planned + 4, `${planned} MiB by plan, ${most} used`);
});

/** The advice to a run that has so much memory. */
async function advised(changes: Flags, available: number): Promise<string | null> {
  setDevice(devices[0]!);
  const { values } = parse(argumentsOf("sft", smallRun("out", changes)).slice(1), sftOptions);
  const opened = await openModel({
    directory: fixture("models/llama"),
    seed: 0,
    lora: values.use_peft ? { target_modules: "all-linear" } : undefined,
  });
  const memory = { weights: 4 * parameters, optimizer: 8 * parameters, temporaries: 2 ** 20 };
  const isTrainable = trainableOf(opened);
  const advice = memoryAdvice({ values, opened, isTrainable, memory }, available);
  assert.equal(advice === null, totalBytes(memory) <= available);
  return advice;
}

Deno.test("a run that does not fit is told which flags save how much", async () => {
  assert.equal(await advised({}, 2 ** 30), null);
  const advice = (await advised({}, 2 ** 20))!;
  assert.match(advice, /more than the 1\.00 MiB there are/);
  assert.match(advice, /--gradient_checkpointing true/);
  assert.match(advice, /--per_device_train_batch_size 2 --gradient_accumulation_steps 2/);
  // Moments of 8 bits where a tensor has 4096 elements or more, and no gradients and moments of the base.
  assert.match(advice, /--optim adamw_8bit \(about \d+ KiB less\)/);
  assert.match(advice, /--use_peft true \(about 518 KiB less\)/);
  assert.match(advice, /--use_peft true --load_in_4bit true \(about \d+ KiB less\)/);
  const adapted = (await advised({ ...smallAdapter, gradient_checkpointing: true }, 2 ** 20))!;
  assert.doesNotMatch(adapted, /--use_peft|--gradient_checkpointing/);
  assert.match(adapted, /--load_in_4bit true/);
  assert.doesNotMatch((await advised({ per_device_train_batch_size: 1 }, 2 ** 20))!, /batch_size/);
});
