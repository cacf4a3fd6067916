import assert from "node:assert/strict";
import { randomKey, Tensor } from "../../../core/mod.ts";
import {
  applyLora,
  type DecoderParams,
  headIsTied,
  initParameters,
  isRetrained,
  type LoraConfig,
  loraConfig,
  mapParameters,
  mergeAdapters,
  parametersOf,
  transposedIn,
  withoutAdapters,
} from "../../../nn/mod.ts";
import { adapterConfigJson, parseAdapterConfig } from "../../../train/files/adapter_config.ts";
import {
  adapterTensors,
  fillAdapter,
  isAdapterDirectory,
  loadAdapter,
  readAdapterConfig,
  resolveBaseModel,
  updatesTransposed,
  writeAdapter,
} from "../../../train/files/adapter_files.ts";
import { hubSettings } from "../../../data/hub/settings.ts";
import { fixture } from "../../data/fixture_files.ts";
import { eachDevice } from "../../devices.ts";
import { adapterNames, readModel, rowsLayout } from "../../nn/adapters.ts";
import { logitsOf } from "../../nn/streams.ts";
import { inTempDir } from "../../temporary.ts";

for (const name of adapterNames) {
  eachDevice(`${name}: an adapter that is read and written is PEFT's, byte for byte`, async () => {
    const family = name.replace(/_.*/, "");
    const { model, params } = await readModel(family);
    const source = fixture(`adapters/${name}`);
    const { base } = await readAdapterConfig(source);
    const adapted = await loadAdapter(params, source);
    await inTempDir(async (directory) => {
      const fanInFanOut = updatesTransposed(adapted.params, transposedIn(model.shapes()));
      await writeAdapter(directory, adapted.params, {
        config: adapted.config,
        base,
        fanInFanOut,
      });
      assert.deepEqual(
        await Deno.readFile(`${directory}/adapter_model.safetensors`),
        await Deno.readFile(`${source}/adapter_model.safetensors`),
      );
      // Python writes the number 0 as 0.0.
      const read = async (at: string) =>
        (await Deno.readTextFile(`${at}/adapter_config.json`)).trimEnd().replace("0.0", "0");
      assert.equal(await read(directory), await read(source));
    });
  });
}

async function names(model: string, options: Partial<LoraConfig>): Promise<string[]> {
  const { params } = await readModel(model);
  const adapted = await applyLora(params, { r: 2, ...options }, randomKey(0));
  return adapterTensors(adapted.params, adapted)
    .map(({ name, shape }) => `${name} ${shape.join("x")}`)
    .filter((name) => !name.includes("layers.1."))
    .sort();
}

eachDevice("biases, embeddings, heads and retrained modules have PEFT's names", async () => {
  const attention = "base_model.model.model.layers.0.self_attn";
  const query = [
    `${attention}.q_proj.lora_A.weight 2x32`,
    `${attention}.q_proj.lora_B.weight 32x2`,
  ];
  const embedding = [
    "base_model.model.model.embed_tokens.base_layer.weight 400x32",
    "base_model.model.model.embed_tokens.lora_embedding_A 2x400",
    "base_model.model.model.embed_tokens.lora_embedding_B 32x2",
  ];
  const head = [
    "base_model.model.lm_head.base_layer.weight 400x32",
    "base_model.model.lm_head.lora_A.weight 2x32",
    "base_model.model.lm_head.lora_B.weight 400x2",
  ];
  assert.deepEqual(await names("qwen2", { target_modules: ["q_proj"], bias: "all" }), [
    `${attention}.k_proj.bias 16`,
    `${attention}.q_proj.base_layer.bias 32`,
    ...query,
    `${attention}.v_proj.bias 16`,
  ]);
  assert.deepEqual(await names("qwen2", { target_modules: ["q_proj"], bias: "lora_only" }), [
    `${attention}.q_proj.base_layer.bias 32`,
    ...query,
  ]);
  assert.deepEqual(
    await names("llama", { target_modules: ["q_proj", "embed_tokens"] }),
    [...embedding, ...query],
  );
  assert.deepEqual(
    await names("llama", { target_modules: ["lm_head", "embed_tokens"], use_dora: true }),
    [
      ...head,
      "base_model.model.lm_head.lora_magnitude_vector 400",
      ...embedding,
      "base_model.model.model.embed_tokens.lora_magnitude_vector 32",
    ],
  );
  assert.deepEqual(
    await names("llama_tied_bf16", { target_modules: ["q_proj", "lm_head"] }),
    [...head, ...query],
  );
  assert.deepEqual(
    await names("llama_tied_bf16", {
      target_modules: ["q_proj"],
      modules_to_save: ["embed_tokens", "lm_head"],
    }),
    [
      "base_model.model.lm_head.weight 400x32",
      "base_model.model.model.embed_tokens.weight 400x32",
      ...query,
    ],
  );
  assert.deepEqual(
    await names("qwen2", { target_modules: ["q_proj"], modules_to_save: ["k_proj", "norm"] }),
    [
      "base_model.model.model.layers.0.input_layernorm.weight 32",
      "base_model.model.model.layers.0.post_attention_layernorm.weight 32",
      `${attention}.k_proj.bias 16`,
      `${attention}.k_proj.weight 16x32`,
      ...query,
      "base_model.model.model.norm.weight 32",
    ],
  );
});

const ids = Int32Array.from({ length: 34 }, (_, i) => (i * 37 + 11) % 400);

const roundTrips: readonly [model: string, options: Partial<LoraConfig>][] = [
  ["qwen2", { target_modules: ["q_proj"], bias: "all", modules_to_save: ["v_proj"] }],
  ["llama", { target_modules: ["embed_tokens", "lm_head"], use_dora: true }],
  ["llama_tied_bf16", { target_modules: ["embed_tokens", "q_proj"] }],
  ["llama_tied_bf16", { target_modules: ["q_proj"], modules_to_save: ["embed_tokens"] }],
  ["llama_tied_bf16", { target_modules: ["lm_head"], use_rslora: true }],
  ["llama", {
    target_modules: "all-linear",
    rank_pattern: { q_proj: 3 },
    alpha_pattern: { "layers.1.*": 5 },
  }],
];

for (const [name, options] of roundTrips) {
  eachDevice(
    `${name} with ${JSON.stringify(options)} survives its files, merging and taking off`,
    async () => {
      const { model, params } = await readModel(name);
      const layout = rowsLayout(ids, 17);
      const logits = async (p: DecoderParams) =>
        await logitsOf(model, p, layout.stream, { rotary: model.tables(17) }).data();
      const fresh = await applyLora(params, { ...options, init_lora_weights: false }, randomKey(1));
      // Retrained parameters and biases differ from the base too.
      const trained = new Map(parametersOf(initParameters(model, randomKey(2))));
      const other = changed(fresh.params, trained);
      const expected = await logits(other);
      const off = await logits(withoutAdapters(fresh.params));
      assert.deepEqual(off, await logits(params));
      assert.ok(expected.some((x, i) => Math.abs(x - off[i]!) > 0.01));
      const merged = mergeAdapters(other);
      (await logits(merged)).forEach((x, i) => assert.ok(Math.abs(x - expected[i]!) < 5e-5));
      for (const [, weight] of parametersOf(merged)) assert.ok(weight instanceof Tensor);
      const unties = /embed_tokens|lm_head/.test(JSON.stringify(options));
      assert.equal(headIsTied(merged), headIsTied(params) && !unties);
      await inTempDir(async (directory) => {
        await writeAdapter(directory, other, { config: fresh.config, base: "base" });
        const again = await loadAdapter(params, directory);
        assert.deepEqual(again.config, fresh.config);
        assert.deepEqual(await logits(again.params), expected);
        const filled = await fillAdapter(fresh.params, directory, fresh.config);
        assert.deepEqual(await logits(filled), expected);
      });
    },
  );
}

/** The tree with other numbers where it is retrained. */
function changed(
  params: DecoderParams,
  others: ReadonlyMap<string, unknown>,
): DecoderParams {
  return mapParameters(params, (weight, path) => {
    const other = others.get(path) ?? others.get("model.embed_tokens.weight");
    return isRetrained(weight) && other instanceof Tensor
      ? { ...weight, modules_to_save: weight.modules_to_save.add(other) }
      : weight;
  });
}

Deno.test("options survive adapter_config.json, and have PEFT's defaults where it is silent", () => {
  const config = loraConfig({
    r: 3,
    target_modules: ["q_proj"],
    layers_to_transform: [0, 2],
    layers_pattern: "layers",
    init_lora_weights: "pissa_niter_4",
    rank_pattern: { "^model.*k_proj": 5 },
    bias: "lora_only",
    task_type: null,
  });
  const description = { config, base: "org/base", revision: "v2" };
  assert.deepEqual(parseAdapterConfig(adapterConfigJson(description), "x"), description);
  assert.deepEqual(parseAdapterConfig({ peft_type: "LORA" }, "x").config, {
    ...loraConfig(),
    task_type: "CAUSAL_LM",
  });
});

Deno.test("adapter_config.json is refused where it asks for what is not supported", () => {
  const refuses = (json: Record<string, unknown>, message: RegExp) =>
    assert.throws(() => parseAdapterConfig({ peft_type: "LORA", ...json }, "a.json"), message);
  refuses({ peft_type: "IA3" }, /a\.json describes an adapter of type "IA3"; LORA is supported/);
  refuses({ lora_bias: true }, /lora_bias = true, which is not supported/);
  refuses({ trainable_token_indices: [-1] }, /trainable_token_indices is \[-1\]; token ids are/);
  refuses({ trainable_token_indices: "1" }, /trainable_token_indices = "1"; a list of token ids/);
  refuses({ r: "8" }, /a\.json has r = "8"; a number was expected/);
  refuses({ r: 0 }, /LoRA's r is 0; a rank is a positive integer/);
  refuses({ init_lora_weights: "eva" }, /init_lora_weights is "eva"; supported are/);
  refuses({ target_modules: "(" }, /target_modules is "\(", which is not a regular expression/);
});

Deno.test("the base model is looked up in the working directory, then from the adapter up", async () => {
  const adapter = fixture("adapters/llama_lora");
  assert.equal(await isAdapterDirectory(adapter), true);
  assert.equal(await isAdapterDirectory(fixture("models/llama")), false);
  const { base } = await readAdapterConfig(adapter);
  assert.equal(base, "models/llama");
  const found = async (base: string) => (await resolveBaseModel(adapter, { base })).directory;
  assert.equal(await found(base), fixture("models/llama"));
  const absolute = fixture("models/qwen2");
  assert.equal(await found(absolute), absolute);
  assert.equal(
    await Deno.realPath(await found("../../models/qwen3")),
    fixture("models/qwen3"),
  );
  const settings = { ...hubSettings(() => undefined), offline: true };
  await assert.rejects(
    resolveBaseModel(adapter, { base: "models/nowhere" }, { settings }),
    /belongs to the model models\/nowhere, which was not found/,
  );
  await assert.rejects(resolveBaseModel(adapter, { base: null }), /does not say which model/);
  await assert.rejects(readAdapterConfig(fixture("models/llama")), /There is no .*adapter_config/);
});

eachDevice("adapters that do not fit the model are refused by name", async () => {
  const { params } = await readModel("llama");
  const lora = fixture("adapters/llama_lora");
  const adapt = async (options: Partial<LoraConfig>) =>
    (await applyLora(params, options, randomKey(0))).params;
  await assert.rejects(
    fillAdapter(await adapt({ r: 4, target_modules: ["q_proj"] }), lora),
    /has base_model\.model\.model\.layers\.0\.\w+\.\w+\.lora_[AB]\.weight, for which .* has no place/,
  );
  await assert.rejects(
    fillAdapter(await adapt({ r: 4, target_modules: "all-linear", use_dora: true }), lora),
    /lacks base_model\.model\..*lora_magnitude_vector/,
  );
  await assert.rejects(
    fillAdapter(await adapt({ r: 3, target_modules: "all-linear" }), lora),
    /has shape \[4, 32\], but the model with its adapter calls for \[3, 32\]/,
  );
  const { params: adapted } = await loadAdapter(params, lora);
  await assert.rejects(
    applyLora(adapted, { target_modules: ["q_proj"] }, randomKey(0)),
    /has an adapter already/,
  );
});
