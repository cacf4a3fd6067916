import assert from "node:assert/strict";
import { combine, jit, leavesOf, mapTree, partition, type Tensor } from "../../core/mod.ts";
import { type DecoderParams, loraConfig } from "../../nn/mod.ts";
import {
  type AdapterValues,
  adaptModel,
  baseOfAdapter,
  loraOptionsOf,
  referenceOf,
  weightStorageOf,
} from "../../train/adapt.ts";
import { fixture } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";
import { readGoldenAdapter, readModel } from "../nn/adapters.ts";
import { logitsOf } from "../nn/streams.ts";

const defaults: AdapterValues = {
  use_peft: false,
  lora_r: 16,
  lora_alpha: 32,
  lora_dropout: 0.05,
  lora_task_type: "CAUSAL_LM",
  use_rslora: false,
  use_dora: false,
  load_in_4bit: false,
  load_in_8bit: false,
  bnb_4bit_quant_type: "nf4",
  use_bnb_nested_quant: false,
  dtype: "float32",
};

Deno.test("flags become LoRA's options as TRL makes them", () => {
  const { target_modules, r, lora_alpha, lora_dropout } = loraConfig(loraOptionsOf(defaults));
  assert.deepEqual([target_modules, r, lora_alpha, lora_dropout], [null, 16, 32, 0.05]);
  const targets = (...lora_target_modules: string[]) =>
    loraOptionsOf({ ...defaults, lora_target_modules }).target_modules;
  assert.equal(targets("all-linear"), "all-linear");
  assert.equal(targets(".*(q|v)_proj"), ".*(q|v)_proj");
  assert.deepEqual(targets("q_proj", "v_proj"), ["q_proj", "v_proj"]);
  assert.deepEqual(targets("q_proj"), ["q_proj"]);
});

Deno.test("flags say how weights are stored, and contradictions are refused", () => {
  const storage = (values: Partial<AdapterValues>, adapted = true) =>
    weightStorageOf({ ...defaults, ...values }, adapted);
  assert.deepEqual(storage({}, false), {});
  assert.deepEqual(storage({ dtype: "bfloat16" }), { dtype: "bf16", quantize: undefined });
  assert.deepEqual(storage({ load_in_8bit: true }).quantize, { format: "int8" });
  assert.deepEqual(
    storage({ load_in_4bit: true, bnb_4bit_quant_type: "fp4", use_bnb_nested_quant: true })
      .quantize,
    { format: "fp4", nested: true },
  );
  assert.throws(() => storage({ load_in_4bit: true, load_in_8bit: true }), /Both --load_in_4bit/);
  assert.throws(() => storage({ load_in_8bit: true }, false), /--load_in_8bit .* add --use_peft/);
});

eachDevice(
  "a fresh adapter is compared to its base, a continued one to its beginning",
  async () => {
    const { model, base, layout, columns, on, off } = await readGoldenAdapter("lora");
    const directory = fixture("adapters/llama_lora");
    assert.equal(await baseOfAdapter(directory), fixture("models/llama"));
    const fresh = await adaptModel(base, {
      ...defaults,
      use_peft: true,
      lora_r: 4,
      lora_alpha: 8,
      lora_target_modules: ["all-linear"],
      initial_adapter: directory,
    }, { modelType: "llama", seed: 1 });
    const continued = await adaptModel(base, defaults, {
      adapter: directory,
      modelType: "llama",
      seed: 1,
    });
    for (const [adapted, expected] of [[fresh, off], [continued, on]] as const) {
      const logits = async (params: DecoderParams) =>
        await logitsOf(model, params, layout.stream, { rotary: model.tables(columns) }).data();
      (await logits(adapted.params)).forEach((x, i) => assert.ok(Math.abs(x - on[i]!) < 2e-5));
      const reference = await referenceOf(adapted);
      const [trained, frozen] = partition(adapted.params, adapted.isTrained);
      assert.equal(leavesOf(trained).length, 28);
      const stepped = jit(
        (p: DecoderParams) => mapTree(p, (leaf) => (leaf as Tensor).mul(2)) as DecoderParams,
        { donate: [0] },
      )(trained);
      const changed = await logits(combine(stepped, frozen));
      assert.ok(changed.some((x, i) => Math.abs(x - on[i]!) > 0.01));
      (await logits(reference)).forEach((x, i) => assert.ok(Math.abs(x - expected[i]!) < 2e-5));
    }
  },
);

eachDevice("an adapter directory and a fresh adapter together are refused", async () => {
  const { params } = await readModel("llama");
  await assert.rejects(
    adaptModel(params, { ...defaults, use_peft: true }, {
      adapter: fixture("adapters/llama_lora"),
      seed: 1,
    }),
    /has an adapter to go on with; --use_peft asks for a fresh one/,
  );
});
