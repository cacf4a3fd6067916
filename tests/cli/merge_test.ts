/** `merge`: what it writes, and what it refuses. */

import assert from "node:assert/strict";
import { fixture } from "../data/fixture_files.ts";
import { openSafetensors } from "../../data/weights/safetensors.ts";
import { smallAdapterRun } from "./lora_runs.ts";
import {
  namesIn,
  plumb,
  refusalOf,
  smallRun,
  temporary,
  trained,
  weightsOf,
} from "./run_command.ts";

const adapter = fixture("adapters/llama_lora");

Deno.test("merge writes a whole model that trains", async () => {
  using place = temporary();
  const merged = `${place.path}/merged`;
  const { code, stdout } = await plumb("merge", {
    model_name_or_path: adapter,
    output_dir: merged,
    device: "cpu",
  });
  assert.equal(code, 0);
  assert.match(stdout, /merged model is in/);
  const names = namesIn(merged);
  for (const name of ["config.json", "model.safetensors", "tokenizer.json"]) {
    assert.ok(names.includes(name), name);
  }
  assert.ok(!names.some((name) => name.startsWith("adapter_")), `${names}`);
  // Training the merged model begins where training the adapter does.
  const run = async (from: string, to: string) =>
    (await trained(smallRun(`${place.path}/${to}`, { model_name_or_path: from, max_steps: 1 })))
      .log_history[0]!["loss"]!;
  const [whole, parts] = [await run(merged, "whole"), await run(adapter, "parts")];
  assert.ok(Math.abs(whole - parts) < 1e-5 * parts, `${whole}, ${parts}`);
});

Deno.test("merge folds an adapter that was trained over 4 bits into full precision", async () => {
  using place = temporary();
  const [trainedOver, merged] = [`${place.path}/adapter`, `${place.path}/merged`];
  await trained(smallAdapterRun(trainedOver, { load_in_4bit: true, lora_dropout: 0 }));
  const flags = { model_name_or_path: trainedOver, output_dir: merged, device: "cpu" };
  assert.equal((await plumb("merge", flags)).code, 0);
  const [base, update, whole] = [
    await weightsOf(fixture("models/llama")),
    await weightsOf(trainedOver, "adapter_model.safetensors"),
    await weightsOf(merged),
  ];
  assert.deepEqual([...whole.keys()].sort(), [...base.keys()].sort());
  const module = "model.layers.1.mlp.down_proj";
  const [a, b] = ["A", "B"].map((part) =>
    update.get(`base_model.model.${module}.lora_${part}.weight`)!
  ) as [Float32Array, Float32Array];
  const [from, to] = [base.get(`${module}.weight`)!, whole.get(`${module}.weight`)!];
  const inputs = a.length / 4;
  // W + (α / r)·BA, of the weights as they are in the checkpoint.
  to.forEach((value, at) => {
    const [row, column] = [Math.floor(at / inputs), at % inputs];
    let sum = from[at]!;
    for (let k = 0; k < 4; k++) sum += 2 * b[row * 4 + k]! * a[k * inputs + column]!;
    assert.ok(Math.abs(value - sum) < 1e-6, `${at}: ${value}, ${sum}`);
  });
});

Deno.test("merge saves in the type asked for", async () => {
  using place = temporary();
  const flags = { model_name_or_path: adapter, output_dir: place.path, device: "cpu" };
  assert.equal((await plumb("merge", { ...flags, dtype: "bfloat16" })).code, 0);
  using file = await openSafetensors(`${place.path}/model.safetensors`);
  assert.deepEqual(
    new Set([...file.tensors.values()].map(({ dtype }) => dtype)),
    new Set(["BF16"]),
  );
});

Deno.test("merge says what is wrong with what it is given", async () => {
  using place = temporary();
  const refusal = (from: string) =>
    refusalOf("merge", {
      model_name_or_path: from,
      output_dir: `${place.path}/out`,
      device: "cpu",
    });
  assert.match(await refusal(fixture("models/llama")), /not an adapter.*adapter_config\.json/);
  assert.match(await refusal(`${place.path}/nowhere`), /find the adapter ".*nowhere"/);
  assert.match(await refusal("./nowhere/at/all"), /find the adapter|no local file/);
  const broken = `${place.path}/broken`;
  Deno.mkdirSync(broken);
  Deno.copyFileSync(`${adapter}/adapter_config.json`, `${broken}/adapter_config.json`);
  // Its base is named by what leads nowhere from here, and might be a name.
  Deno.env.set("HF_HUB_OFFLINE", "1");
  assert.match(
    await refusal(broken),
    /belongs to the model models\/llama, which was not found.*not in the cache/,
  );
  Deno.env.delete("HF_HUB_OFFLINE");
  const config = JSON.parse(Deno.readTextFileSync(`${broken}/adapter_config.json`));
  const base = fixture("models/llama");
  Deno.writeTextFileSync(
    `${broken}/adapter_config.json`,
    JSON.stringify({ ...config, base_model_name_or_path: base }),
  );
  assert.match(await refusal(broken), /safetensors/);
  const whole = { model_name_or_path: adapter, output_dir: `${adapter}/adapter_config.json` };
  assert.match(await refusalOf("merge", { ...whole, device: "cpu" }), /adapter_config\.json/);
});
