/** In which types weights are saved, and what is said of the rounding. */

import assert from "node:assert/strict";
import { openSafetensors } from "../../data/weights/safetensors.ts";
import { toFloat32Array } from "../../data/weights/safetensors_dtypes.ts";
import { fixture } from "../data/fixture_files.ts";
import { smallAdapterRun } from "./lora_runs.ts";
import { plumb, smallRun, temporary, weightsOf } from "./run_command.ts";

/** The types of the tensors of a file. */
async function dtypesOf(path: string): Promise<string[]> {
  using file = await openSafetensors(path);
  return [...new Set([...file.tensors.values()].map(({ dtype }) => dtype))];
}

const configOf = (directory: string) =>
  JSON.parse(Deno.readTextFileSync(`${directory}/config.json`));

Deno.test("the last weights are saved as save_dtype says, steps' checkpoints in float32", async () => {
  const wanted = { float32: "F32", bfloat16: "BF16", float16: "F16", auto: "BF16" } as const;
  for (const [save_dtype, dtype] of Object.entries(wanted)) {
    using output = temporary();
    const { code, stdout, stderr } = await plumb(
      "sft",
      smallRun(output.path, {
        model_name_or_path: fixture("models/llama_tied_bf16"),
        save_dtype,
        save_strategy: "steps",
        save_steps: 1,
        max_steps: 1,
        learning_rate: 1e-3,
      }),
    );
    assert.equal(code, 0, stderr);
    assert.deepEqual(await dtypesOf(`${output.path}/model.safetensors`), [dtype]);
    assert.deepEqual(await dtypesOf(`${output.path}/checkpoint-1/model.safetensors`), ["F32"]);
    const name = { F32: "float32", BF16: "bfloat16", F16: "float16" }[dtype];
    assert.equal(configOf(output.path).torch_dtype, name);
    assert.equal(configOf(`${output.path}/checkpoint-1`).torch_dtype, "float32");
    const said = /saved in (\w+): of (\d+) that training changed, ([\d.]+) % are others/
      .exec(stdout + stderr);
    assert.equal(said?.[1], dtype === "F32" ? undefined : name);
    if (dtype !== "BF16") continue;
    // Counted again from the files.
    const exact = await weightsOf(`${output.path}/checkpoint-1`, "model.safetensors");
    const rounded = await weightsOf(output.path, "model.safetensors");
    let [changed, kept] = [0, 0];
    for (const shard of ["00001", "00002"]) {
      const path = fixture(`models/llama_tied_bf16/model-${shard}-of-00002.safetensors`);
      using file = await openSafetensors(path);
      for (const [key, stored] of file.tensors) {
        const before = toFloat32Array({ dtype: stored.dtype, bytes: await stored.bytes() });
        exact.get(key)!.forEach((x, i) => {
          if (x !== before[i]) changed++;
          if (x !== before[i] && rounded.get(key)![i] !== before[i]) kept++;
        });
      }
    }
    assert.ok(changed > kept && kept > 0, `${kept} of ${changed}`);
    assert.equal(Number(said![2]), changed);
    assert.equal(Number(said![3]), Math.floor(1000 * kept / changed) / 10);
  }
});

Deno.test("an adapter and what is merged of it are saved in other types too", async () => {
  using output = temporary();
  const [adapter, merged] = [`${output.path}/adapter`, `${output.path}/merged`];
  const { code, stderr } = await plumb(
    "sft",
    smallAdapterRun(adapter, { save_dtype: "bfloat16", max_steps: 1 }),
  );
  assert.equal(code, 0, stderr);
  assert.deepEqual(await dtypesOf(`${adapter}/adapter_model.safetensors`), ["BF16"]);
  const run = await plumb("merge", {
    model_name_or_path: adapter,
    output_dir: merged,
    device: "cpu",
    save_dtype: "float16",
  });
  assert.equal(run.code, 0, run.stderr);
  assert.deepEqual(await dtypesOf(`${merged}/model.safetensors`), ["F16"]);
});
