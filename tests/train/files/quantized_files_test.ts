import assert from "node:assert/strict";
import { leavesOf, mapTree, matmul, realize, Tensor, tensor } from "../../../core/mod.ts";
import { openCheckpointFiles } from "../../../data/weights/checkpoint_files.ts";
import { writeSafetensors } from "../../../data/weights/safetensors.ts";
import {
  causalModel,
  type DecoderParams,
  denseWeight,
  isQuantized,
  ParameterShape,
  parametersOf,
  project,
  type QuantizeOptions,
  type Weight,
} from "../../../nn/mod.ts";
import {
  checkQuantizationConfig,
  loadWeights,
  quantizationConfig,
  quantizedTensorsToStore,
} from "../../../train/files/quantized_files.ts";
import { fixture } from "../../data/fixture_files.ts";
import { eachDevice } from "../../devices.ts";
import { readModel } from "../../nn/adapters.ts";
import { readConfig } from "../../nn/golden.ts";
import { weightAt } from "../../nn/weight_at.ts";
import { inTempDir } from "../../temporary.ts";

/** All numbers of a tree by path, strings included. */
async function numbersOf(tree: unknown): Promise<Record<string, unknown>> {
  const entries = leavesOf(tree).map(async ([path, leaf]) =>
    [path, leaf instanceof Tensor ? [leaf.dtype, leaf.shape, await leaf.data()] : leaf] as const
  );
  return Object.fromEntries(await Promise.all(entries));
}

const formats: readonly QuantizeOptions[] = [
  { format: "nf4" },
  { format: "nf4", nested: true },
  { format: "fp4" },
  { format: "fp4", nested: true },
  { format: "int8" },
];

for (const quantize of formats) {
  eachDevice(
    `${JSON.stringify(quantize)}: a model is quantised while it is read, written, and read again`,
    async () => {
      const { model, params } = await readModel("llama");
      const shapes = model.shapes();
      using files = await openCheckpointFiles(fixture("models/llama"));
      const loaded = await loadWeights<DecoderParams>(shapes, files, { quantize });
      const full = new Map(parametersOf(params));
      let quantized = 0;
      for (const [path, weight] of parametersOf(loaded)) {
        assert.equal(isQuantized(weight), path.includes("_proj"), path);
        const original = Array.from(await denseWeight(full.get(path)!).data());
        const kept = await denseWeight(weight).data();
        const most = Math.max(...original.map(Math.abs));
        const bound = isQuantized(weight) ? quantize.format === "int8" ? 0.005 : 0.2 : 0;
        original.forEach((x, i) => assert.ok(Math.abs(x - kept[i]!) <= bound * most, path));
        if (isQuantized(weight)) quantized++;
      }
      assert.equal(quantized, 14);
      await inTempDir(async (directory) => {
        await writeSafetensors(
          `${directory}/model.safetensors`,
          await quantizedTensorsToStore(loaded),
        );
        using written = await openCheckpointFiles(directory);
        const again = await loadWeights<DecoderParams>(shapes, written);
        assert.deepEqual(await numbersOf(again), await numbersOf(loaded));
        const name = "model.layers.0.mlp.up_proj.weight";
        const parts = [...written.tensors.keys()].filter((key) =>
          key.startsWith("model.layers.0.mlp.up_proj.")
        ).sort();
        const { format, nested = false } = quantize;
        assert.deepEqual(
          parts,
          format === "int8" ? ["model.layers.0.mlp.up_proj.SCB", name, `${name}_format`] : [
            name,
            `${name}.absmax`,
            ...(nested ? [`${name}.nested_absmax`, `${name}.nested_quant_map`] : []),
            `${name}.quant_map`,
            `${name}.quant_state.bitsandbytes__${format}`,
          ],
        );
      });
    },
  );
}

eachDevice("a checkpoint in bitsandbytes' layout is read", async () => {
  // As bitsandbytes 0.4x saves a Linear4bit: Python's JSON, a table that is not ours.
  const table = [-1, ...Array.from({ length: 254 }, (_, i) => (i - 126.5) / 128), 1];
  const state = '{"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [2, 64], ' +
    '"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.5}';
  const codes = Uint8Array.from({ length: 64 }, (_, i) => i < 32 ? 0xf0 : 0x7f);
  const float = (values: readonly number[]) => new Uint8Array(Float32Array.from(values).buffer);
  await inTempDir(async (directory) => {
    await writeSafetensors(`${directory}/model.safetensors`, [
      { name: "a.weight", dtype: "U8", shape: [64, 1], data: codes },
      { name: "a.weight.absmax", dtype: "U8", shape: [2], data: Uint8Array.of(255, 0) },
      { name: "a.weight.nested_absmax", dtype: "F32", shape: [1], data: float([0.25]) },
      { name: "a.weight.nested_quant_map", dtype: "F32", shape: [256], data: float(table) },
      { name: "a.weight.quant_map", dtype: "F32", shape: [16], data: float(table.slice(0, 16)) },
      {
        name: "a.weight.quant_state.bitsandbytes__nf4",
        dtype: "U8",
        shape: [state.length],
        data: new TextEncoder().encode(state),
      },
    ]);
    using files = await openCheckpointFiles(directory);
    const { a } = await loadWeights<{ a: { weight: Weight } }>(
      { a: { weight: new ParameterShape([2, 64]) } },
      files,
    );
    const row = (scale: number, [x, y]: readonly [number, number]) =>
      Array.from({ length: 64 }, (_, i) => Math.fround(scale * (i % 2 ? y : x)));
    assert.deepEqual(
      Array.from(await denseWeight(a.weight).data()),
      [...row(0.75, [1, -1]), ...row(0.25, [0, 1])],
    );
  });
});

eachDevice(
  "weights are narrowed while they are read, or stay as they are in the files",
  async () => {
    // qwen2 has biases.
    for (const name of ["llama", "llama_tied_bf16", "qwen2"]) {
      const { model, params } = await readModel(name);
      const shapes = model.shapes();
      using files = await openCheckpointFiles(fixture(`models/${name}`));
      for (const dtype of ["f16", "bf16", "auto"] as const) {
        const loaded = await loadWeights<DecoderParams>(shapes, files, { dtype });
        const wanted = dtype !== "auto" ? dtype : name === "llama_tied_bf16" ? "bf16" : "f32";
        const expected = await numbersOf(
          mapTree(params, (leaf) => (leaf as Tensor).cast(wanted)),
        );
        assert.deepEqual(await numbersOf(loaded), expected);
      }
    }
  },
);

eachDevice("a narrowed matrix multiplies as its numbers do", async () => {
  const x = tensor(Float32Array.from({ length: 12 }, (_, i) => Math.sin(i)), { shape: [3, 4] });
  const w = tensor(Float32Array.from({ length: 20 }, (_, i) => Math.cos(i)), { shape: [5, 4] });
  const narrow = await realize(w.cast("bf16"));
  assert.deepEqual(
    await project(narrow, x).data(),
    await matmul(x, narrow.cast("f32"), { transposeB: true }).data(),
  );
});

Deno.test("other ways of quantising are refused, bitsandbytes' config is not", () => {
  checkQuantizationConfig({});
  checkQuantizationConfig({ quantization_config: quantizationConfig({ format: "nf4" }) });
  assert.throws(
    () => checkQuantizationConfig({ quantization_config: { quant_method: "gptq" } }),
    /is quantised by "gptq"; bitsandbytes is supported/,
  );
});

eachDevice("a quantised checkpoint of another shape is refused by name", async () => {
  const config = await readConfig("llama");
  const shapes = causalModel(config).shapes();
  using files = await openCheckpointFiles(fixture("models/llama"));
  const loaded = await loadWeights<DecoderParams>(shapes, files, { quantize: { format: "nf4" } });
  await inTempDir(async (directory) => {
    await writeSafetensors(
      `${directory}/model.safetensors`,
      await quantizedTensorsToStore(loaded),
    );
    using written = await openCheckpointFiles(directory);
    await assert.rejects(
      loadWeights(causalModel({ ...config, intermediate_size: 32 }).shapes(), written),
      /gate_proj.*says blocksize 64, .* and shape \[64,32\]; .* \[32, 32\] were expected/,
    );
    await assert.rejects(
      loadWeights(causalModel({ ...config, num_hidden_layers: 3 }).shapes(), written),
      /lacks model\.layers\.2\.input_layernorm\.weight/,
    );
  });
});

eachDevice("a head that the files lack begins fresh, and is not quantised", async () => {
  const { model } = await readModel("llama");
  const shapes = model.shapes({ kind: "sequence", labels: 1 });
  using files = await openCheckpointFiles(fixture("models/llama"));
  const quantize = { format: "nf4" } as const;
  const loaded = await loadWeights<DecoderParams & { score: { weight: Weight } }>(
    shapes,
    files,
    { quantize },
    (path, { shape }) => path === "score.weight" ? tensor([7]).broadcastTo(...shape) : null,
  );
  const { weight } = loaded.score;
  assert.ok(weight instanceof Tensor);
  assert.ok((await weight.data()).every((x) => x === 7));
  assert.ok(isQuantized(weightAt(loaded, "model.layers.0.mlp.up_proj.weight")));
  await assert.rejects(loadWeights(shapes, files, { quantize }), /lacks score\.weight/);
});
