/** Runs of TRL 1.13's OnlineDPO, NashMD and XPO trainers, replayed with the answers they sampled. */

import assert from "node:assert/strict";
import { fixture } from "../data/fixture_files.ts";
import recorded from "../fixtures/trl/online-preference.json" with { type: "json" };
import { succeed } from "./preference_runs.ts";
import { type Flags, rowsWith, temporary } from "./run_command.ts";

interface Recorded {
  readonly command: string;
  readonly flags: Flags;
  readonly log_history: readonly Readonly<Record<string, number>>[];
  readonly generations: unknown;
}

for (const [name, run] of Object.entries<Recorded>(recorded)) {
  Deno.test(`${name} logs what TRL logs`, async () => {
    using output = temporary();
    const rollouts = `${output.path}/rollouts.json`;
    Deno.writeTextFileSync(rollouts, JSON.stringify({ generations: run.generations }));
    const { state } = await succeed(run.command, {
      ...run.flags,
      rollouts,
      model_name_or_path: fixture("models/llama"),
      dataset_name: fixture("trl/dpo-sigmoid/dataset.jsonl"),
      output_dir: `${output.path}/run`,
      device: "cpu",
      logging_steps: 1,
      save_strategy: "no",
      gradient_checkpointing: false,
    });
    const rows = rowsWith(state, "loss");
    assert.equal(rows.length, run.log_history.length);
    run.log_history.forEach((expected, step) => {
      const found = rows[step]!;
      for (const [metric, value] of Object.entries(expected)) {
        // An epoch's last batch has one prompt of three here; TRL then drops every answer but one from this mean.
        if (metric === "objective/rlhf_reward" && step % 2 === 1) continue;
        // TRL rounds the loss to four decimals.
        const tolerance = metric === "loss" ? 6e-5 : 2e-5 * Math.max(1, Math.abs(value));
        const error = Math.abs(found[metric]! - value);
        assert.ok(
          error <= tolerance,
          `${metric} of step ${step + 1}: ${found[metric]}, TRL ${value}`,
        );
      }
    });
  });
}
