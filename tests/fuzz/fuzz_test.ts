/** Mutated files of every kind end in a reading or in an error that a user can act on. @module */

import assert from "node:assert/strict";
import { fuzz, readVerdicts } from "./run.ts";

/** One in so many inputs is read here; `deno run -A tests/fuzz/run.ts` reads all of them, and shows what differs. */
const every = 12;

Deno.test("mutated files are read as the reference reads them or refused with a word, and never end in a defect or not at all", async () => {
  const verdicts = await readVerdicts();
  const numbers = [...verdicts.keys()].filter((_, i) => i % every === 0);
  const { counts, findings } = await fuzz(numbers, verdicts);
  assert.deepEqual(findings, []);
  // The comparison itself must have compared something.
  assert.ok(counts.equal > numbers.length * 0.8, JSON.stringify(counts));
});
