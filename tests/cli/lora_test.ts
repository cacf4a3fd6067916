/** Adapters on the command line: every objective, every storage of the base, every option. */

import assert from "node:assert/strict";
import { quantizationConfig, quantizedTensorsToStore } from "../../train/files/quantized_files.ts";
import { setDevice } from "../../core/device/current.ts";
import { writeSafetensors } from "../../data/weights/safetensors.ts";
import { openModel } from "../../train/files/model_directory.ts";
import { fixture } from "../data/fixture_files.ts";
import { devices } from "../devices.ts";
import { namesOf, saysOf, smallAdapter, smallAdapterRun } from "./lora_runs.ts";
import { smallPreferenceRun, succeed, valuesOf } from "./preference_runs.ts";
import {
  type Flags,
  namesIn,
  refusalOf,
  smallRun,
  temporary,
  trained,
  weightsOf,
} from "./run_command.ts";

const adapterFile = "adapter_model.safetensors";

/** The losses of a small run. */
async function lossesOf(changes: Flags): Promise<number[]> {
  using output = temporary();
  return valuesOf(await trained(smallAdapterRun(output.path, changes)), "loss");
}

for (
  const command of ["dpo", "kto", "bco", "orpo", "cpo", "tpo", "gkd", "reward", "prm"] as const
) {
  Deno.test(`${command} trains an adapter over a 4-bit base and writes it alone`, async () => {
    using output = temporary();
    const { state } = await succeed(
      command,
      smallPreferenceRun(command, output.path, {
        ...smallAdapter,
        lora_dropout: 0,
        load_in_4bit: true,
        learning_rate: 0.01,
        max_steps: 2,
      }),
    );
    const losses = valuesOf(state, "loss");
    assert.ok(losses.length === 2 && losses[0] !== losses[1], `${losses}`);
    assert.ok(!namesIn(output.path).includes("model.safetensors"));
    const adapter = await weightsOf(output.path, adapterFile);
    for (const [name, values] of adapter) {
      assert.match(name, /\.lora_[AB]\.weight$|score/);
      // B begins with zeros: it was trained.
      assert.ok(values.some((x) => x !== 0), name);
    }
    const task = { reward: "SEQ_CLS", prm: "TOKEN_CLS" }[command as string] ?? "CAUSAL_LM";
    assert.equal(saysOf(output.path, "task_type"), task);
  });
}

Deno.test("a base in 4 or 8 bits or in 16 trains like one in full precision, but not just so", async () => {
  const full = await lossesOf({});
  assert.ok(full.at(-1)! < full[0]!, `${full}`);
  const storages: readonly [what: string, flags: Flags, tolerance: number][] = [
    ["nf4", { load_in_4bit: true }, 0.1],
    ["nf4 nested", { load_in_4bit: true, use_bnb_nested_quant: true }, 0.1],
    ["fp4", { load_in_4bit: true, bnb_4bit_quant_type: "fp4" }, 0.1],
    ["int8", { load_in_8bit: true }, 0.01],
    ["bf16", { dtype: "bfloat16" }, 0.01],
    ["f16", { dtype: "float16" }, 0.002],
  ];
  const seen = new Set([full.join()]);
  for (const [what, flags, tolerance] of storages) {
    const losses = await lossesOf(flags);
    losses.forEach((loss, i) => {
      const apart = Math.abs(loss / full[i]! - 1);
      assert.ok(apart < tolerance, `${what}, step ${i}: ${loss}, ${full[i]} in full precision`);
    });
    assert.ok(losses.at(-1)! < losses[0]!, `${what}: ${losses}`);
    assert.ok(!seen.has(losses.join()), `${what} changes nothing`);
    seen.add(losses.join());
  }
});

Deno.test("every option of adapters changes the run", async () => {
  const plain = (await lossesOf({ lora_dropout: 0 })).join();
  const options: Flags = {
    lora_r: 8,
    lora_alpha: 16,
    lora_dropout: 0.5,
    lora_target_modules: ["q_proj", "v_proj"],
    lora_modules_to_save: "lm_head",
    lora_exclude_modules: ["q_proj", "k_proj"],
    init_lora_weights: "gaussian",
    use_rslora: true,
    use_dora: true,
    initial_adapter: fixture("adapters/llama_lora"),
  };
  for (const [name, value] of Object.entries(options)) {
    const losses = await lossesOf({ lora_dropout: 0, [name]: value });
    assert.notEqual(losses.join(), plain, name);
    assert.ok(losses.at(-1)! < losses[0]!, `${name}: ${losses}`);
  }
});

Deno.test("excluded layers have no update, biases are trained, and beginnings are as flags say", async () => {
  using output = temporary();
  await trained(smallAdapterRun(output.path, {
    model_name_or_path: fixture("models/qwen2"),
    lora_exclude_modules: [".*\\.mlp\\..*"],
    lora_bias: "lora_only",
    init_lora_weights: "false",
    max_steps: 1,
  }));
  assert.equal(saysOf(output.path, "bias"), "lora_only");
  assert.equal(saysOf(output.path, "init_lora_weights"), false);
  assert.equal(saysOf(output.path, "exclude_modules"), ".*\\.mlp\\..*");
  const names = await namesOf(`${output.path}/${adapterFile}`);
  assert.equal(names.filter((name) => name.includes(".mlp.")).length, 0);
  assert.equal(names.filter((name) => name.endsWith("q_proj.base_layer.bias")).length, 2);
});

Deno.test("DoRA and rank-stabilised adapters are saved as such", async () => {
  using output = temporary();
  await trained(smallAdapterRun(output.path, { use_dora: true, use_rslora: true, max_steps: 1 }));
  assert.equal(saysOf(output.path, "use_dora"), true);
  assert.equal(saysOf(output.path, "use_rslora"), true);
  const names = await namesOf(`${output.path}/${adapterFile}`);
  // Seven linear layers in each of two blocks.
  assert.equal(names.filter((name) => name.endsWith(".lora_magnitude_vector")).length, 14);
});

for (const flag of ["load_in_4bit", "load_in_8bit"]) {
  Deno.test(`${flag} without an adapter is refused`, async () => {
    using output = temporary();
    const flags = smallRun(output.path, { [flag]: true });
    assert.match(await refusalOf("sft", flags), /Quantised weights.*--use_peft/);
    assert.deepEqual(namesIn(output.path), []);
  });
}

Deno.test("a model begun at random is not quantised", async () => {
  using output = temporary();
  const flags = smallAdapterRun(output.path, {
    model_name_or_path: undefined,
    init_from_config: fixture("models/llama/config.json"),
    load_in_4bit: true,
  });
  assert.match(await refusalOf("sft", flags), /begins a model at random, which is not quantised/);
});

Deno.test("a fresh adapter over a model that has one is refused", async () => {
  using output = temporary();
  const flags = smallAdapterRun(output.path, {
    model_name_or_path: fixture("adapters/llama_lora"),
  });
  assert.match(await refusalOf("sft", flags), /adapter.*--use_peft/);
});

for (const nested of [false, true]) {
  Deno.test(`an adapter is trained over a checkpoint in bitsandbytes' nf4${nested ? ", nested" : ""}`, async () => {
    using place = temporary();
    const base = `${place.path}/base`;
    await writeQuantized(base, nested);
    const run = async (name: string, flags: Flags) =>
      valuesOf(await trained(smallAdapterRun(`${place.path}/${name}`, flags)), "loss");
    const read = await run("read", { model_name_or_path: base });
    const made = await run("made", { load_in_4bit: true, use_bnb_nested_quant: nested });
    assert.deepEqual(read, made, "reading codes is quantising while reading");
    assert.equal(saysOf(`${place.path}/read`, "base_model_name_or_path"), base);
    assert.match(
      await refusalOf("sft", smallRun(`${place.path}/whole`, { model_name_or_path: base })),
      /Quantised weights.*--use_peft/,
    );
  });
}

/** Writes the fixture model as transformers saves it after loading it in 4 bits. */
async function writeQuantized(directory: string, nested: boolean): Promise<void> {
  setDevice(devices[0]!);
  const source = fixture("models/llama");
  const quantize = { format: "nf4", nested } as const;
  const { params, config } = await openModel({ directory: source, seed: 0, storage: { quantize } });
  Deno.mkdirSync(directory);
  await writeSafetensors(
    `${directory}/model.safetensors`,
    await quantizedTensorsToStore(params),
    { format: "pt" },
  );
  Deno.writeTextFileSync(
    `${directory}/config.json`,
    JSON.stringify({ ...config, quantization_config: quantizationConfig(quantize) }),
  );
  for (const name of namesIn(source).filter((name) => /^(tokenizer|chat_template)/.test(name))) {
    Deno.copyFileSync(`${source}/${name}`, `${directory}/${name}`);
  }
}
