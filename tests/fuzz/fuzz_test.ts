/** Mutated files of every kind end in a reading or in an error that a user can act on. @module */

import assert from "node:assert/strict";
import { inputCount } from "./inputs.ts";
import { fuzz } from "./run.ts";

/** One in so many inputs is read here; `deno run -A tests/fuzz/run.ts` reads all of them, and shows what differs. */
const every = 12;

Deno.test("mutated files are read or refused with a word, and never end in a defect or not at all", async () => {
  const numbers = Array.from({ length: Math.floor(inputCount / every) }, (_, i) => i * every);
  const { counts, findings } = await fuzz(numbers);
  assert.deepEqual(findings.filter(({ kind }) => kind === "defect"), []);
  // The comparison itself must have compared something.
  assert.ok(counts.equal > numbers.length * 0.8, JSON.stringify(counts));
});
