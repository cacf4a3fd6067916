/** Whole runs of `grpo` and `rloo` against what TRL logged with the same flags, answers and rewards. */

import { recordedRuns, testRecordedRuns } from "./recorded_runs.ts";

testRecordedRuns(["grpo", "rloo"].flatMap(recordedRuns), "cpu");
// Each distinct kernel costs a compilation on a software adapter, hence few cases.
testRecordedRuns(["grpo-kl-two-iterations", "rloo"], "webgpu");
