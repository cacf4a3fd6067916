/** Whole runs of `sft` against what TRL logged with the same flags and rows. */

import assert from "node:assert/strict";
import {
  compareWithRecorded,
  recordedFlags,
  recordedRuns,
  testRecordedRuns,
} from "./recorded_runs.ts";
import { argumentsOf, plumbProcess, temporary } from "./run_command.ts";

testRecordedRuns(recordedRuns("sft-"), "cpu");
// Each distinct kernel costs a compilation on a software adapter, hence few cases.
testRecordedRuns(["sft-cosine-accumulation", "sft-eval", "sft-gpt2", "sft-packing-bfd"], "webgpu");

Deno.test("a run in a process of its own logs what TRL logs", async () => {
  using output = temporary();
  const { flags } = await recordedFlags("sft-messages", output.path);
  const outcome = await plumbProcess(argumentsOf("sft", flags));
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.equal(outcome.stdout, "");
  await compareWithRecorded("sft-messages", output.path);
});
