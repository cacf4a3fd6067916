/** What the preference, reward and distillation commands refuse: one paragraph, nothing written. */

import assert from "node:assert/strict";
import { fixture } from "../data/fixture_files.ts";
import { type PreferenceCommand, rowsOf, smallPreferenceRun } from "./preference_runs.ts";
import { type Flags, namesIn, refusalOf, temporary } from "./run_command.ts";

async function refusal(command: PreferenceCommand, changes: Flags = {}): Promise<string> {
  using output = temporary();
  const message = await refusalOf(command, smallPreferenceRun(command, output.path, changes));
  assert.deepEqual(namesIn(output.path), []);
  return message;
}

Deno.test("rows of another command are refused with what was found and what is accepted", async () => {
  const cases: readonly [PreferenceCommand, PreferenceCommand, RegExp][] = [
    ["dpo", "kto", /label.*chosen.*rejected/s],
    ["orpo", "prm", /completions.*chosen.*rejected/s],
    ["cpo", "bco", /label.*chosen.*rejected/s],
    ["tpo", "kto", /label.*chosen.*rejected/s],
    ["reward", "kto", /label.*chosen.*rejected/s],
    ["prm", "dpo", /chosen.*completions.*labels/s],
    ["gkd", "kto", /messages/],
  ];
  for (const [command, other, message] of cases) {
    assert.match(await refusal(command, { dataset_name: rowsOf[other] }), message, command);
  }
  const texts = fixture("trl/sft-text/dataset.jsonl");
  for (const command of ["dpo", "kto", "bco", "orpo", "cpo", "tpo", "reward", "prm"] as const) {
    assert.match(await refusal(command, { dataset_name: texts }), /text/, command);
  }
});

Deno.test("unpaired rows without bad answers, or without good ones, are refused", async () => {
  using data = temporary();
  const path = `${data.path}/rows.jsonl`;
  for (
    const [label, missing] of [[true, /label.*false|bad|undesirable|negative/], [
      false,
      /label.*true|good|desirable|positive/,
    ]] as const
  ) {
    const row = { prompt: "One and one? ", completion: "Two.", label };
    Deno.writeTextFileSync(path, Array(4).fill(JSON.stringify(row)).join("\n"));
    for (const command of ["kto", "bco"] as const) {
      assert.match(await refusal(command, { dataset_name: path }), missing, command);
    }
  }
});

Deno.test("kto with its KL term refuses batches of one and an order it cannot pair", async () => {
  assert.match(
    await refusal("kto", { per_device_train_batch_size: 1 }),
    /--per_device_train_batch_size must be at least 2; it is 1/,
  );
  assert.match(
    await refusal("kto", { train_sampling_strategy: "random" }),
    /must be sequential, not random/,
  );
});

Deno.test("losses that do not go together are refused before anything is read", async () => {
  const cases: readonly [Flags, RegExp][] = [
    [{ loss_type: "nca_pair", f_divergence_type: "forward_kl" }, /forward_kl.*nca_pair/s],
    [{ loss_type: "aot", use_weighting: true }, /use_weighting.*aot/s],
    [{ loss_type: "robust", label_smoothing: 0.5 }, /robust.*0\.5/s],
    [{ loss_type: "exo_pair" }, /exo_pair.*label_smoothing/s],
    [{ loss_type: "sigmod" }, /sigmoid/],
    [{ loss_type: ["sigmoid", "sft"], loss_weights: [1] }, /loss_weights is 1,.*2: sigmoid sft/],
    [{ loss_weights: ["much"] }, /loss_weights is much/],
    [{ sync_ref_model: true, precompute_ref_log_probs: true }, /sync_ref_model/],
    [
      { sync_ref_model: true, ref_model_name_or_path: fixture("models/llama") },
      /sync_ref_model.*ref_model_name_or_path/s,
    ],
  ];
  for (const [changes, message] of cases) {
    assert.match(
      await refusal("dpo", { model_name_or_path: "not/there", ...changes }),
      message,
      JSON.stringify(changes),
    );
  }
});

Deno.test("a reference of another vocabulary, or none, is refused", async () => {
  using other = temporary();
  copyModel("models/llama", other.path, { vocab_size: 300 });
  assert.match(
    await refusal("dpo", { ref_model_name_or_path: fixture("models/nothing") }),
    /nothing/,
  );
  assert.match(await refusal("dpo", { ref_model_name_or_path: other.path }), /vocab/);
});

Deno.test("gkd refuses answers without room, and a teacher that is missing or speaks of other tokens", async () => {
  assert.match(
    await refusal("gkd", { lmbda: 0.5, max_new_tokens: 1_000_000 }),
    /with --max_new_tokens 1000000 only -\d+ fit/,
  );
  assert.match(
    await refusal("gkd", { teacher_model_name_or_path: undefined }),
    /Missing --teacher_model_name_or_path/,
  );
  assert.match(
    await refusal("gkd", { teacher_model_name_or_path: fixture("models/nothing") }),
    /nothing/,
  );
  using other = temporary();
  copyModel("models/llama", other.path, { vocab_size: 300 });
  assert.match(await refusal("gkd", { teacher_model_name_or_path: other.path }), /vocab/);
});

Deno.test("a loss of one's own that is none is refused by its file", async () => {
  using place = temporary();
  const path = `${place.path}/loss.ts`;
  const cases: readonly [string, RegExp][] = [
    ["export const loss = 1;", /has no loss: its default export is undefined/],
    ["export default (;", /cannot be loaded/],
    ["export default () => { throw new Error('out of ideas'); };", /failed: out of ideas/],
    ["export default () => ({});", /gives an empty object, but \{ losses \} is needed/],
    ["export default () => 1;", /gives 1, but \{ losses \} is needed/],
    ["export default () => ({ losses: [1, 2] });", /gives an object of 0, 1 as its losses/],
    [
      "export default ({ chosen: losses }) => ({ losses, loss: losses.mean() });",
      /both losses and loss, and which is meant under gradient accumulation/,
    ],
    [
      "export default ({ chosen }) => ({ losses: chosen.reshape(2, 2) });",
      /losses of shape \[2,2\], but one for each pair, of shape \[4\] is needed/,
    ],
    [
      "export default ({ chosen }, { normalizer }) => ({ loss: chosen.sum().div(normalizer) });",
      /There is no normalizer: return \{ losses \}/,
    ],
    [
      "export default (pairs) => ({ loss: pairs.chosen, metrics: {} });",
      /gives a tensor of shape \[4\] as its loss/,
    ],
  ];
  for (const [i, [text, message]] of cases.entries()) {
    // A module is loaded once per path.
    const own = path.replace(".ts", `_${i}.ts`);
    Deno.writeTextFileSync(own, text);
    assert.match(await refusal("dpo", { loss: own }), message, text);
  }
  assert.match(await refusal("dpo", { loss: path }), /loss\.ts cannot be loaded/);
});

/** A copy of a fixture model whose config says something else. */
function copyModel(from: string, to: string, changes: Readonly<Record<string, unknown>>): void {
  for (const name of namesIn(fixture(from))) {
    Deno.copyFileSync(fixture(`${from}/${name}`), `${to}/${name}`);
  }
  const config = JSON.parse(Deno.readTextFileSync(`${to}/config.json`));
  Deno.writeTextFileSync(`${to}/config.json`, JSON.stringify({ ...config, ...changes }));
}
