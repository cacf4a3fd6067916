import assert from "node:assert/strict";
import { leavesOf, mapTree, partition, randomKey, realize, Tensor } from "../../../core/mod.ts";
import {
  openCheckpointFiles,
  writeCheckpointFiles,
} from "../../../data/weights/checkpoint_files.ts";
import { readJsonFile } from "../../../data/files/json_files.ts";
import {
  causalModel,
  headValues,
  initParameters,
  isQuantized,
  isRetrained,
  type LoraConfig,
  modulesOf,
  parametersOf,
  type ValueHeadParams,
} from "../../../nn/mod.ts";
import {
  type ModelSource,
  type OpenModel,
  openModel,
  readCheckpoint,
  trainableOf,
} from "../../../train/files/model_directory.ts";
import { writeModel } from "../../../train/files/write_model.ts";
import { tensorsToStore } from "../../../train/files/model_files.ts";
import { assertClose } from "../../core/compare.ts";
import { fixture, readTensors } from "../../data/fixture_files.ts";
import { weightAt } from "../../nn/weight_at.ts";
import { eachDevice } from "../../devices.ts";
import { rowsLayout } from "../../nn/adapters.ts";
import { logitsOf } from "../../nn/streams.ts";
import { inTempDir, namesIn } from "../../temporary.ts";

const values = {};
const ids = Int32Array.from({ length: 24 }, (_, i) => (i * 37 + 11) % 400);

async function open(source: Partial<ModelSource> = {}): Promise<OpenModel> {
  return await openModel({
    directory: fixture("models/llama"),
    head: { kind: "language", values },
    seed: 7,
    ...source,
  });
}

/** Values and logits of some tokens. */
async function outputs({ model }: OpenModel, params: unknown): Promise<number[][]> {
  const own = params as ValueHeadParams;
  const { stream } = rowsLayout(ids, 12);
  const rotary = model.tables(12);
  const found = [
    headValues(own, model.hidden(own, stream, { rotary })),
    logitsOf(model, own, stream, { rotary }),
  ];
  await realize(found);
  return await Promise.all(found.map(async (x) => Array.from(await x.data())));
}

/** The tree with other numbers in everything that is trained. */
async function trained(opened: OpenModel): Promise<ValueHeadParams> {
  const isTrainable = trainableOf(opened);
  return await realize(
    mapTree(
      opened.params,
      (leaf, path) =>
        leaf instanceof Tensor && isTrainable(path, leaf) ? leaf.mul(1.5).add(0.01) : leaf,
    ) as ValueHeadParams,
  );
}

/** Names of stored tensors with their dtypes. */
async function stored(directory: string, stem?: string): Promise<Map<string, string>> {
  using files = await openCheckpointFiles(directory, stem === undefined ? {} : { stem });
  return new Map([...files.tensors].map(([name, { dtype }]) => [name, dtype]));
}

eachDevice("a model with a value head survives its files, in shards too", async () => {
  const opened = await open();
  const params = await trained(opened);
  const expected = await outputs(opened, params);
  await inTempDir(async (directory) => {
    await writeModel(directory, opened, params);
    const base = await stored(fixture("models/llama"));
    assert.deepEqual(
      [...(await stored(directory)).keys()].sort(),
      [...base.keys(), "v_head.summary.bias", "v_head.summary.weight"].sort(),
    );
    // As TRL's, the config is the language model's.
    const config = await readJsonFile(`${directory}/config.json`);
    assert.deepEqual(config?.["architectures"], ["LlamaForCausalLM"]);
    const again = await open({ directory });
    assert.deepEqual(await outputs(again, again.params), expected);
    await writeCheckpointFiles(directory, tensorsToStore(params), { maxShardSize: "50KB" });
    assert.ok(namesIn(directory).includes("model.safetensors.index.json"));
    const sharded = await open({ directory });
    assert.deepEqual(await outputs(sharded, sharded.params), expected);
    // Without a value head asked for, it is the language model.
    const language = await open({ directory, head: { kind: "language" } });
    assert.ok(!("v_head" in language.params));
  });
});

eachDevice("golden value heads load beside the model they belong to", async () => {
  const { floats } = await readTensors("golden/value_head.safetensors");
  const { params } = await open();
  await inTempDir(async (directory) => {
    const opened = await open();
    await writeModel(directory, opened, params);
    // As TRL writes it: the wrapped model's tensors, then the head's.
    const { v_head: _, ...language } = params as ValueHeadParams;
    await writeCheckpointFiles(directory, [
      ...tensorsToStore(language),
      ...(["weight", "bias"] as const).map((name) => {
        const data = floats.get(`llama.v_head.summary.${name}`)!;
        return {
          name: `v_head.summary.${name}`,
          dtype: "F32" as const,
          shape: name === "weight" ? [1, 32] : [1],
          data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
        };
      }),
    ]);
    const { v_head } = (await open({ directory })).params as ValueHeadParams;
    const { weight, bias } = v_head.summary;
    assert.deepEqual(await weight.data(), floats.get("llama.v_head.summary.weight"));
    assert.deepEqual(await bias.data(), floats.get("llama.v_head.summary.bias"));
  });
});

eachDevice("a value head that a checkpoint lacks begins fresh, by seed", async () => {
  const headOf = async (source: Partial<ModelSource>) => {
    const { params } = await open(source);
    const { weight, bias } = (params as ValueHeadParams).v_head.summary;
    assert.deepEqual([weight.shape, bias.shape], [[1, 32], [1]]);
    return [...await weight.data(), ...await bias.data()];
  };
  const first = await headOf({});
  assert.deepEqual(await headOf({}), first);
  assert.notDeepEqual(await headOf({ seed: 8 }), first);
  assert.ok(first.every((x) => x !== 0 && Math.abs(x) <= 1 / Math.sqrt(32)));
  const normal = await headOf({
    head: { kind: "language", values: { initStrategy: "normal", initializerRange: 3 } },
  });
  assert.equal(normal.at(-1), 0);
  assert.ok(Math.hypot(...normal) > 6);
  const scratch = await headOf({
    directory: undefined,
    initFromConfig: fixture("models/llama/config.json"),
  });
  assert.ok(scratch.every((x) => x !== 0 && Math.abs(x) <= 1 / Math.sqrt(32)));
});

eachDevice("a value head is f32 whatever the model is stored in", async () => {
  const headDtypes = ({ params }: OpenModel) =>
    leavesOf((params as ValueHeadParams).v_head).map(([, leaf]) => (leaf as Tensor).dtype);
  await inTempDir(async (directory) => {
    const opened = await open();
    const params = await trained(opened);
    await writeModel(directory, opened, params, { dtype: "bfloat16" });
    const dtypes = await stored(directory);
    assert.equal(dtypes.get("v_head.summary.weight"), "F32");
    assert.equal(dtypes.get("v_head.summary.bias"), "F32");
    assert.equal(dtypes.get("model.norm.weight"), "BF16");
    const lora: Partial<LoraConfig> = { r: 2, target_modules: "all-linear" };
    for (const dtype of ["auto", "bf16"] as const) {
      const narrow = await open({ directory, lora, storage: { dtype } });
      assert.deepEqual(headDtypes(narrow), ["f32", "f32"]);
      assert.equal((weightAt(narrow.params, "model.norm.weight") as Tensor).dtype, "bf16");
    }
    const coded = await open({ directory, lora, storage: { quantize: { format: "nf4" } } });
    assert.deepEqual(headDtypes(coded), ["f32", "f32"]);
    const { v_head } = coded.params as ValueHeadParams;
    assert.deepEqual(
      await v_head.summary.weight.data(),
      await params.v_head.summary.weight.data(),
    );
    const base = weightAt(coded.params, "model.layers.0.mlp.up_proj.weight");
    assert.ok("base" in base && isQuantized(base.base));
  });
});

const adapters: readonly Partial<LoraConfig>[] = [
  { r: 2, target_modules: "all-linear" },
  { r: 2, target_modules: ["q_proj"], bias: "all", modules_to_save: ["norm"] },
];

for (const options of adapters) {
  eachDevice(
    `a value head is trained whole beside ${JSON.stringify(options)}, and survives its files`,
    async () => {
      const opened = await open({ lora: options });
      const [, frozen] = partition(opened.params, trainableOf(opened));
      assert.ok(!leavesOf(frozen).some(([path, leaf]) => path.startsWith("v_head") && leaf));
      const head = parametersOf(opened.params).filter(([path]) => path.startsWith("v_head."));
      assert.equal(head.length, 2);
      assert.ok(head.every(([, weight]) => weight instanceof Tensor));
      // The reference is the language model alone.
      assert.deepEqual(
        parametersOf(opened.reference).map(([path]) => path).sort(),
        [...(await stored(fixture("models/llama"))).keys()].sort(),
      );
      const params = await trained(opened);
      const expected = await outputs(opened, params);
      await inTempDir(async (directory) => {
        await writeModel(directory, opened, params);
        const adapter = await stored(directory, "adapter_model");
        assert.ok([...adapter.keys()].every((name) => !name.includes("v_head")));
        assert.deepEqual(
          [...(await stored(directory)).keys()].sort(),
          ["v_head.summary.bias", "v_head.summary.weight"],
        );
        const again = await open({ directory, seed: 99 });
        assert.deepEqual(await outputs(again, again.params), expected);
        assert.deepEqual(await outputs(opened, await readCheckpoint(opened, directory)), expected);
        const initial = await open({ lora: options, initialAdapter: directory, seed: 98 });
        assert.deepEqual(await outputs(initial, initial.params), expected);
        const language = await open({ directory, head: { kind: "language" } });
        assert.ok(!("v_head" in language.params));
      });
    },
  );
}

eachDevice("a value head among an adapter's own weights is read too", async () => {
  const opened = await open({ lora: { r: 2, target_modules: ["q_proj"] } });
  const params = await trained(opened);
  const expected = await outputs(opened, params);
  await inTempDir(async (directory) => {
    await writeModel(directory, opened, params);
    const together = [];
    for (const stem of ["adapter_model", "model"]) {
      using files = await openCheckpointFiles(directory, { stem });
      for (const { name, dtype, shape, bytes } of files.tensors.values()) {
        together.push({ name, dtype, shape, data: await bytes() });
      }
    }
    await writeCheckpointFiles(directory, together, { stem: "adapter_model" });
    await Deno.remove(`${directory}/model.safetensors`);
    const again = await open({ directory, seed: 99 });
    assert.deepEqual(await outputs(again, again.params), expected);
  });
});

eachDevice("where there should be a value head and is none, that is said", async () => {
  const lora: Partial<LoraConfig> = { r: 2, target_modules: ["q_proj"] };
  const whole = await open();
  const adapted = await open({ lora });
  await inTempDir(async (directory) => {
    const plain = await open({ head: { kind: "language" } });
    await writeModel(directory, plain, plain.params);
    await assert.rejects(readCheckpoint(whole, directory), /lacks v_head\.summary\.weight/);
  });
  await inTempDir(async (directory) => {
    const plain = await open({ head: { kind: "language" }, lora });
    await writeModel(directory, plain, plain.params);
    await assert.rejects(readCheckpoint(adapted, directory), /has no value head \(v_head/);
    assert.ok("v_head" in (await open({ directory })).params);
    await Deno.writeTextFile(`${directory}/pytorch_model.bin`, "");
    await assert.rejects(
      open({ directory }),
      /Cannot read .*pytorch_model\.bin: it is neither a zip archive/,
    );
  });
  await inTempDir(async (directory) => {
    const narrow = causalModel({ ...whole.config, hidden_size: 16 });
    const { v_head } = initParameters(narrow, randomKey(0), {
      kind: "language",
      values,
    }) as ValueHeadParams;
    await writeModel(directory, adapted, { ...adapted.params, v_head });
    await assert.rejects(open({ directory }), /v_head\.summary\.weight in .* has shape \[1, 16\]/);
  });
});

eachDevice("PEFT's rules do not see a value head", async () => {
  const opened = await open({
    lora: { r: 2, target_modules: "all-linear", modules_to_save: ["v_head", "norm"], bias: "all" },
  });
  assert.ok(modulesOf(opened.params).every(({ path }) => !path.startsWith("v_head")));
  assert.ok(!opened.adapter!.config.target_modules!.includes("summary"));
  const { v_head } = opened.params as ValueHeadParams;
  assert.ok(v_head.summary.weight instanceof Tensor);
  assert.ok(isRetrained(weightAt(opened.params, "model.norm.weight")));
});

eachDevice("a fresh value head gives what the linear layer gives", async () => {
  const opened = await open();
  const { v_head: { summary } } = opened.params as ValueHeadParams;
  const [weight, [bias]] = [await summary.weight.data(), await summary.bias.data()];
  const { stream } = rowsLayout(ids, 12);
  const hidden = await opened.model.hidden(opened.params, stream, {
    rotary: opened.model.tables(12),
  }).data();
  const expected = Array.from(
    ids,
    (_, t) => Array.from(weight).reduce((sum, w, i) => sum + w * hidden[32 * t + i]!, bias!),
  );
  assertClose((await outputs(opened, opened.params))[0]!, expected, 1e-5, "values");
});
