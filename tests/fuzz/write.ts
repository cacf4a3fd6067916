/**
 * Writes every mutated input into a directory, for the reference to read: `N/…` and `inputs.json`.
 *
 *     deno run -A tests/fuzz/write.ts DIRECTORY [FROM TO]
 *
 * @module
 */

import { inputCount, inputOf, layOutInput } from "./inputs.ts";

const [directory, from = "0", to = String(inputCount)] = Deno.args;
const list: unknown[] = [];
for (let n = Number(from); n < Number(to); n++) {
  const input = await inputOf(n);
  await Deno.mkdir(`${directory}/${n}`, { recursive: true });
  const path = await layOutInput(input, `${directory}/${n}`);
  list.push({ number: n, kind: input.kind, file: input.file, path });
}
await Deno.writeTextFile(`${directory}/inputs.json`, JSON.stringify(list));
