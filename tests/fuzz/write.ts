/**
 * Writes every mutated input into a directory, for the reference to read: `N/…` and `inputs.json`.
 *
 *     deno run -A tests/fuzz/write.ts DIRECTORY
 *
 * @module
 */

import { inputCount, inputOf, layOutInput } from "./inputs.ts";

const directory = Deno.args[0]!;
const list: unknown[] = [];
for (let n = 0; n < inputCount; n++) {
  const input = await inputOf(n);
  await Deno.mkdir(`${directory}/${n}`, { recursive: true });
  const path = await layOutInput(input, `${directory}/${n}`);
  list.push({ number: n, kind: input.kind, file: input.file, path });
}
await Deno.writeTextFile(`${directory}/inputs.json`, JSON.stringify(list));
