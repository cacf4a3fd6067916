/** Runs that train an adapter against what TRL logged with the same flags and rows, and what PEFT merges. */

import assert from "node:assert/strict";
import { setDevice } from "../../core/device/current.ts";
import { openModel } from "../../train/files/model_directory.ts";
import { openSafetensors } from "../../data/weights/safetensors.ts";
import { toFloat32Array, toInt32Array } from "../../data/weights/safetensors_dtypes.ts";
import { assertClose } from "../core/compare.ts";
import { fixture } from "../data/fixture_files.ts";
import type { Device } from "../../core/mod.ts";
import { devices } from "../devices.ts";
import { rowsLayout } from "../nn/adapters.ts";
import { logitsOf } from "../nn/streams.ts";
import { compareLogs, recordedFlags } from "./recorded_runs.ts";
import { namesIn, plumb, temporary, weightsOf } from "./run_command.ts";

/** The adapter in a directory is the recorded one: its tensors, and what it says of itself. */
async function compareAdapters(name: string, directory: string): Promise<void> {
  const recorded = fixture(`trl/${name}/final_adapter`);
  const file = "adapter_model.safetensors";
  const [actual, expected] = [await weightsOf(directory, file), await weightsOf(recorded, file)];
  assert.deepEqual([...actual.keys()].sort(), [...expected.keys()].sort());
  for (const [path, values] of expected) {
    assertClose(actual.get(path)!, values, 1e-4, `${name} ${path}`);
  }
  const [said, wanted] = [directory, recorded].map((at) =>
    JSON.parse(Deno.readTextFileSync(`${at}/adapter_config.json`))
  );
  for (
    const key of [
      "r",
      "lora_alpha",
      "lora_dropout",
      "task_type",
      "bias",
      "use_dora",
      "fan_in_fan_out",
    ]
  ) {
    assert.deepEqual(said[key], wanted[key], key);
  }
  assert.deepEqual(said.target_modules.toSorted(), wanted.target_modules.toSorted());
}

/** The logits of the model in a directory are those that PEFT's merged model gives. */
async function compareMerged(name: string, directory: string, device: Device): Promise<void> {
  setDevice(device);
  using file = await openSafetensors(fixture(`trl/${name}/merged.safetensors`));
  const read = async (key: string) => {
    const { dtype, bytes, shape } = file.tensors.get(key)!;
    return { values: { dtype, bytes: await bytes(), name: key }, shape };
  };
  const { values, shape } = await read("input_ids");
  const columns = shape[1]!;
  const { model, params } = await openModel({ directory, seed: 0 });
  const { stream } = rowsLayout(Int32Array.from(toInt32Array(values)), columns);
  const logits = logitsOf(model, params, stream, { rotary: model.tables(columns) });
  const expected = toFloat32Array((await read("logits")).values);
  assertClose(await logits.data(), expected, 2e-5, `${name}: merged logits`);
}

function testRecordedAdapter(name: string, kind: "cpu" | "webgpu"): void {
  const device = devices.find((one) => one.kind === kind);
  Deno.test({
    name: `${name} logs what TRL logs, ends with its adapter and merges to its logits (${kind})`,
    ignore: device === undefined,
    fn: async () => {
      using place = temporary();
      const [adapter, merged] = [`${place.path}/adapter`, `${place.path}/merged`];
      const { command, flags: { use_cpu: _, ...flags } } = await recordedFlags(name, adapter);
      const outcome = await plumb(command, { ...flags, device: kind });
      assert.equal(outcome.code, 0, outcome.stderr);
      assert.ok(!namesIn(adapter).includes("model.safetensors"), "an adapter alone is written");
      await compareLogs(name, adapter);
      await compareAdapters(name, adapter);
      const merge = await plumb("merge", {
        model_name_or_path: adapter,
        output_dir: merged,
        device: kind,
      });
      assert.equal(merge.code, 0, merge.stderr);
      await compareMerged(name, merged, device!);
    },
  });
}

for (const name of ["dpo-lora", "dpo-lora-continued", "dpo-lora-gpt2", "sft-lora"]) {
  testRecordedAdapter(name, "cpu");
}
// Each distinct kernel costs a compilation on a software adapter, hence one case.
testRecordedAdapter("dpo-lora", "webgpu");
