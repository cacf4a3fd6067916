import assert from "node:assert/strict";
import { leavesOf, realize, type Tensor, UserError } from "../../../core/mod.ts";
import { causalModel, type DecoderParams } from "../../../nn/mod.ts";
import { openCheckpointFiles } from "../../../data/weights/checkpoint_files.ts";
import { toFloat32Array } from "../../../data/weights/safetensors_dtypes.ts";
import { loadParameters, tensorsToStore } from "../../../train/files/model_files.ts";
import { fixture, readFixture } from "../../data/fixture_files.ts";
import { eachDevice } from "../../devices.ts";

/** Loads a fixture model's weights as if its config said otherwise. */
async function load(
  name: string,
  changes: Readonly<Record<string, unknown>> = {},
): Promise<DecoderParams> {
  const config = await readFixture<Record<string, unknown>>(`models/${name}/config.json`);
  using files = await openCheckpointFiles(fixture(`models/${name}`));
  const shapes = causalModel({ ...config, ...changes }).shapes();
  return await loadParameters<DecoderParams>(shapes, files);
}

eachDevice("loadParameters() reads every tensor to its path, bfloat16 shards too", async () => {
  for (const name of ["llama", "llama_tied_bf16"]) {
    const params = await load(name);
    await realize(params);
    using files = await openCheckpointFiles(fixture(`models/${name}`));
    const leaves = leavesOf(params);
    assert.deepEqual(leaves.map(([path]) => path).sort(), [...files.tensors.keys()].sort());
    for (const [path, leaf] of leaves) {
      const stored = files.tensors.get(path)!;
      const tensor = leaf as Tensor;
      assert.deepEqual([tensor.dtype, tensor.shape], ["f32", stored.shape], path);
      const values = toFloat32Array({ dtype: stored.dtype, bytes: await stored.bytes() });
      assert.deepEqual(await tensor.data(), values, path);
    }
  }
});

async function refusal(loading: Promise<unknown>): Promise<string> {
  try {
    await loading;
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return error.message;
  }
  assert.fail("was not refused");
}

Deno.test("loadParameters() names a missing tensor and the checkpoint", async () => {
  const message = await refusal(load("llama_tied_bf16", { tie_word_embeddings: false }));
  assert.match(message, /llama_tied_bf16 lacks lm_head\.weight,/);
});

Deno.test("loadParameters() counts many missing tensors and shows some of both sides", async () => {
  const more = await refusal(load("llama", { num_hidden_layers: 3 }));
  assert.match(
    more,
    /lacks model\.layers\.2\.input_layernorm\.weight, (\S+, ){2}… \(9 in all\)/,
  );
  const other = await refusal(load("qwen2", { model_type: "qwen3", head_dim: 8 }));
  assert.match(other, /self_attn\.q_norm\.weight/);
  assert.match(other, /it has model\.layers\.0\.self_attn\.\w_proj\.bias/);
});

Deno.test("loadParameters() shows the shape it found and the one it needs", async () => {
  const message = await refusal(load("llama", { intermediate_size: 96 }));
  assert.match(message, /mlp\.gate_proj\.weight in .*model\.safetensors/);
  assert.match(message, /shape \[64, 32\], but config\.json calls for \[96, 32\]/);
});

eachDevice("tensorsToStore() gives what was loaded back, byte by byte", async () => {
  const params = await load("llama");
  using files = await openCheckpointFiles(fixture("models/llama"));
  const stored = tensorsToStore(params);
  assert.deepEqual(stored.map(({ name }) => name).sort(), [...files.tensors.keys()].sort());
  for (const { name, dtype, shape, data } of stored) {
    const original = files.tensors.get(name)!;
    assert.deepEqual([dtype, shape], [original.dtype, original.shape], name);
    assert.ok(typeof data === "function");
    assert.deepEqual(await data(), await original.bytes(), name);
  }
  assert.ok(
    tensorsToStore(params, "base_model.").every(({ name }) => name.startsWith("base_model.")),
  );
});
