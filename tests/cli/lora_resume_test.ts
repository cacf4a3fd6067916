/** What a run of an adapter carries: checkpoints, optimiser state, the best evaluation. */

import assert from "node:assert/strict";
import { optimizerNames } from "../../nn/mod.ts";
import { fixture } from "../data/fixture_files.ts";
import { evaluated, namesOf, smallAdapterRun } from "./lora_runs.ts";
import { digestOf, type Flags, smallRun, stateOf, temporary, trained } from "./run_command.ts";

const saved = { save_strategy: "steps", save_steps: 2 };

/** Runs to the end, and in two goes with a checkpoint between: the same weights, file by file. */
async function sameInTwoGoes(flags: (outputDir: string, more: Flags) => Flags, file: string) {
  using place = temporary();
  const [whole, parts] = [`${place.path}/whole`, `${place.path}/parts`];
  await trained(flags(whole, saved));
  await trained(flags(parts, saved));
  Deno.removeSync(`${parts}/checkpoint-4`, { recursive: true });
  Deno.removeSync(`${parts}/${file}`);
  await trained(flags(parts, { ...saved, resume_from_checkpoint: true }));
  assert.equal(digestOf(`${parts}/${file}`), digestOf(`${whole}/${file}`));
  assert.equal(
    digestOf(`${parts}/checkpoint-4/optimizer.safetensors`),
    digestOf(`${whole}/checkpoint-4/optimizer.safetensors`),
  );
  const log = (path: string) =>
    stateOf(path).log_history.filter((row) => Object.hasOwn(row, "loss"));
  assert.deepEqual(log(parts), log(whole));
}

const storages: Readonly<Record<string, Flags>> = {
  "full precision": {},
  "nested nf4": { load_in_4bit: true, use_bnb_nested_quant: true, use_dora: true },
  "bfloat16, with retrained modules": { dtype: "bfloat16", lora_modules_to_save: "lm_head" },
};

for (const [what, flags] of Object.entries(storages)) {
  Deno.test(`an adapter over ${what}, resumed, ends as if never stopped`, () =>
    sameInTwoGoes(
      // With dropout: its randomness has to go on as well.
      (path, more) => smallAdapterRun(path, { lora_dropout: 0.2, ...flags, ...more }),
      "adapter_model.safetensors",
    ));
}

Deno.test("a continued adapter, resumed, ends as if never stopped", () =>
  sameInTwoGoes(
    (path, more) =>
      smallRun(path, {
        model_name_or_path: fixture("adapters/llama_lora"),
        max_steps: 4,
        ...more,
      }),
    "adapter_model.safetensors",
  ));

for (const optim of optimizerNames) {
  Deno.test(`--optim ${optim} trains, and resumed ends as if never stopped`, () =>
    sameInTwoGoes(
      (path, more) => smallRun(path, { max_steps: 4, optim, ...more }),
      "model.safetensors",
    ));
}

Deno.test("only adapters have optimiser state", async () => {
  using output = temporary();
  await trained(smallAdapterRun(output.path, { ...saved, load_in_4bit: true }));
  const checkpoint = `${output.path}/checkpoint-4`;
  const adapters = await namesOf(`${checkpoint}/adapter_model.safetensors`);
  // Seven linear layers in each of two blocks, two matrices each.
  assert.equal(adapters.length, 28);
  const moments = await namesOf(`${checkpoint}/optimizer.safetensors`);
  const prefix = (name: string) => name.split(".").slice(0, 2).join(".");
  const groups = Map.groupBy(moments, prefix);
  for (const [group, names] of groups) {
    assert.equal(names.length, adapters.length, group);
    for (const name of names) assert.match(name, /\.lora_[AB]$/);
  }
  assert.equal(groups.size, 2, `first and second moments, not ${[...groups.keys()]}`);
});

Deno.test("a run of an adapter ends with the best evaluation's, and leaves no whole model", async () => {
  using output = temporary();
  const state = await trained(smallAdapterRun(output.path, {
    ...evaluated,
    save_strategy: "steps",
    save_steps: 1,
    max_steps: 4,
    load_best_model_at_end: true,
    // The loss falls at every step, so that the largest is the first.
    metric_for_best_model: "loss",
    greater_is_better: true,
  }));
  const best = state.best_global_step!;
  assert.equal(best, 1);
  const at = (directory: string) => digestOf(`${directory}/adapter_model.safetensors`);
  assert.equal(at(output.path), at(`${output.path}/checkpoint-${best}`));
  assert.notEqual(at(output.path), at(`${output.path}/checkpoint-4`));
});
