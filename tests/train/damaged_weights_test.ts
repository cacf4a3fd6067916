import assert from "node:assert/strict";
import { leavesOf, type Tensor, tensor, UserError } from "../../core/mod.ts";
import { openCheckpointFiles, writeCheckpointFiles } from "../../data/weights/checkpoint_files.ts";
import { float32ToBfloat16, float32ToFloat16 } from "../../data/weights/half.ts";
import {
  openSafetensors,
  type TensorToStore,
  writeSafetensors,
} from "../../data/weights/safetensors.ts";
import { causalModel, type DecoderParams, generator, mapParameters } from "../../nn/mod.ts";
import { loadAdapter } from "../../train/files/adapter_files.ts";
import { readParameters } from "../../train/files/read_parameters.ts";
import { fixture, readFixture } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";
import { readModel } from "../nn/adapters.ts";
import { inTempDir } from "../temporary.ts";

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView<ArrayBuffer>) =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** One number among others that are as large as they can be, in every float type. */
function stored(value: number, at: number, count: number): TensorToStore[] {
  const values = Float32Array.from({ length: count }, (_, i) => i % 2 === 0 ? 60000 : -60000);
  values[at] = value;
  const shape = [1, count];
  const largest = values.map((x) => Number.isFinite(x) ? x * 5e33 : x);
  return [
    { name: "F32", dtype: "F32", shape, data: bytesOf(largest) },
    { name: "BF16", dtype: "BF16", shape, data: bytesOf(float32ToBfloat16(largest)) },
    { name: "F16", dtype: "F16", shape, data: bytesOf(float32ToFloat16(values)) },
    { name: "F64", dtype: "F64", shape, data: bytesOf(Float64Array.from(largest)) },
  ];
}

Deno.test("one NaN or infinity at any place and of any type is found when finite numbers are asked for", async () => {
  await inTempDir(async (directory) => {
    const path = `${directory}/x.safetensors`;
    for (const count of [1, 2, 3, 7, 300_001]) {
      for (const at of new Set([0, count >> 1, count - 1])) {
        for (const value of [NaN, Infinity, -Infinity, 1]) {
          await writeSafetensors(path, stored(value, at, count));
          using file = await openSafetensors(path);
          for (const [name, { bytes, finiteBytes }] of file.tensors) {
            if (value === 1) {
              assert.deepEqual(await finiteBytes(), await bytes());
              continue;
            }
            await assert.rejects(finiteBytes(), (error) => {
              assert.ok(error instanceof UserError);
              assert.ok(error.message.startsWith(`${name} in ${path} `), error.message);
              assert.ok(
                error.message.includes(`the one at [0, ${at}] is ${value}.`),
                error.message,
              );
              return true;
            });
          }
        }
      }
    }
  });
});

/** Writes the weights of a fixture with changes. */
async function rewrite(
  source: string,
  directory: string,
  stem: string,
  change: (tensor: TensorToStore & { data: Uint8Array }) => TensorToStore[],
): Promise<void> {
  using files = await openCheckpointFiles(fixture(source), { stem });
  const all = await Promise.all(
    [...files.tensors.values()].map(async (tensor) => ({ ...tensor, data: await tensor.bytes() })),
  );
  await writeCheckpointFiles(directory, all.flatMap(change), { stem });
}

eachDevice("models and adapters with weights that are not finite are refused by name", async () => {
  await inTempDir(async (directory) => {
    const model = causalModel(await readFixture("models/llama/config.json"));
    const spoil = (path: string) => (tensor: TensorToStore & { data: Uint8Array }) => {
      const data = tensor.data.slice();
      if (tensor.name === path) new DataView(data.buffer).setFloat32(8, NaN, true);
      return [{ ...tensor, data }];
    };
    const path = "model.layers.1.mlp.up_proj.weight";
    await rewrite("models/llama", directory, "model", spoil(path));
    for (const storage of [undefined, { dtype: "auto" }, { dtype: "bf16" }] as const) {
      await assert.rejects(
        readParameters(model, directory, undefined, { storage }),
        /^UserError: model\.layers\.1\.mlp\.up_proj\.weight in .* not finite: the one at \[0, 2\] is NaN/,
      );
    }
    const quantize = { quantize: { format: "nf4" } } as const;
    await assert.rejects(
      readParameters(model, directory, undefined, { storage: quantize }),
      /up_proj\.weight in .* not finite/,
    );
    const { params } = await readModel("llama");
    const own = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
    await rewrite("adapters/llama_lora", directory, "adapter_model", spoil(own));
    await Deno.copyFile(
      fixture("adapters/llama_lora/adapter_config.json"),
      `${directory}/adapter_config.json`,
    );
    await assert.rejects(loadAdapter(params, directory), /lora_A\.weight in .* not finite/);
  });
});

eachDevice("generation stops at logits that are not finite", async () => {
  const { model, params } = await readModel("llama");
  for (const factor of [1e38, NaN]) {
    const spoiled = mapParameters(
      params,
      (weight, path) => path === "lm_head.weight" ? (weight as Tensor).mul(tensor(factor)) : weight,
    ) as DecoderParams;
    for (const doSample of [false, true]) {
      const generate = generator(model, { maxNewTokens: 4, doSample });
      await assert.rejects(generate(spoiled, [[1, 2, 3], [4, 5]]), /logits are not finite/);
    }
  }
});

eachDevice(
  "tensors that a model does not use are named, but for those that nobody misses",
  async () => {
    await inTempDir(async (directory) => {
      const model = causalModel(await readFixture("models/llama/config.json"));
      const extra = (name: string): TensorToStore => ({
        name,
        dtype: "F32",
        shape: [1],
        data: new Uint8Array(4),
      });
      const noticesOf = async (names: readonly string[]) => {
        await rewrite(
          "models/llama",
          directory,
          "model",
          (tensor) => tensor.name === "lm_head.weight" ? [tensor, ...names.map(extra)] : [tensor],
        );
        const notices: string[] = [];
        const notice = (text: string) => notices.push(text);
        const params = await readParameters(model, directory, undefined, { notice });
        assert.equal(leavesOf(params).length, 21);
        return notices.join("\n");
      };
      assert.match(
        await noticesOf(["score.weight", "model.layers.7.x"]),
        /^The model of config\.json has no place for tensors .*: (model\.layers\.7\.x, score\.weight|score\.weight, model\.layers\.7\.x)\.$/,
      );
      const buffers = ["model.layers.0.self_attn.rotary_emb.inv_freq", "v_head.summary.weight"];
      assert.equal(await noticesOf(buffers), "");
    });
  },
);
