/** Whole runs of the preference and reward commands against what TRL logged with the same flags and rows. */

import { recordedRuns, testRecordedRuns } from "./recorded_runs.ts";

const commands = ["dpo-", "kto", "bco", "orpo", "cpo", "tpo", "reward", "prm"];

testRecordedRuns(commands.flatMap(recordedRuns), "cpu");
// Each distinct kernel costs a compilation on a software adapter, hence few cases.
testRecordedRuns(["dpo-sigmoid", "reward"], "webgpu");
