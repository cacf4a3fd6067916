/** Mutated files of every kind are read as the reference reads them, or refused. @module */

import assert from "node:assert/strict";
import { inputCount } from "./inputs.ts";
import { fuzz } from "./run.ts";

/** One in so many inputs is read here; `deno run -A tests/fuzz/run.ts` reads all of them. */
const every = Deno.env.get("PLUMB_FUZZ") === "all" ? 1 : 8;

Deno.test("mutated files are read as the reference reads them, or refused, and never end in a defect", async () => {
  const numbers = Array.from({ length: Math.floor(inputCount / every) }, (_, i) => i * every);
  const { counts, findings } = await fuzz(numbers);
  assert.deepEqual(findings, []);
  // The comparison itself must have compared something.
  assert.ok(counts.equal > numbers.length / 2, JSON.stringify(counts));
});
