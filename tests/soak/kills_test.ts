/** A few kills; `kills.ts` does as many as one likes. */

import assert from "node:assert/strict";
import { killedRuns, randomFrom, soaked } from "./killed_runs.ts";

for (const command of Object.keys(soaked)) {
  Deno.test(`a run that is killed at random moments ends with the same bits and logs: ${command}`, async () => {
    const { kills, finished } = await killedRuns(command, 2, randomFrom(Date.now()));
    assert.ok(kills >= 2 && finished >= 1);
  });
}
