/** Templates that print the date: one moment for all of a run, kept for its resumption. */

import assert from "node:assert/strict";
import { inTempDir } from "../temporary.ts";
import { fixture } from "../data/fixture_files.ts";
import { plumb, refusalOf } from "../cli/run_command.ts";

const template =
  "{{ strftime_now('%Y-%m-%d %H:%M:%S.%f') }}{% for m in messages %}{{ m.content }}{% endfor %}{{ eos_token }}";

Deno.test("a resumed run has the rows it had, whatever the clock says", () =>
  inTempDir(async (directory) => {
    const path = (name: string) => `${directory}/${name}`;
    await Deno.writeTextFile(path("template.jinja"), template);
    const row = {
      messages: [{ role: "user", content: "Hi" }, { role: "assistant", content: "Ho" }],
    };
    await Deno.writeTextFile(path("rows.jsonl"), `${JSON.stringify(row)}\n`.repeat(4));
    const flags = {
      model_name_or_path: fixture("models/llama"),
      chat_template_path: path("template.jinja"),
      dataset_name: path("rows.jsonl"),
      output_dir: path("out"),
      device: "cpu",
      per_device_train_batch_size: 2,
      save_steps: 1,
      max_steps: 2,
    };
    assert.equal((await plumb("sft", flags)).code, 0);
    await Deno.remove(path("out/checkpoint-2"), { recursive: true });
    const resumed = await plumb("sft", { ...flags, resume_from_checkpoint: true });
    assert.equal(resumed.code, 0, resumed.stderr);
    // A run that begins anew has another moment, and so other rows: its checkpoint is not that of these.
    await Deno.writeTextFile(path("rows.jsonl"), `${JSON.stringify(row)}\n`.repeat(3));
    await refusalOf("sft", { ...flags, resume_from_checkpoint: path("out/checkpoint-1") });
  }));
