/**
 * Reads mutated inputs one after the other and prints a line of JSON for each: `[number, "begin"]`, then
 * `[number, verdict, milliseconds]`. A process of its own, so that one that never ends can be told and ended.
 *
 *     deno run -A tests/fuzz/reader.ts NUMBER…
 *
 * @module
 */

import { openCpu } from "../../core/device/cpu/device.ts";
import { setDevice } from "../../core/device/current.ts";
import { UserError } from "../../core/errors.ts";
import { fixture } from "../data/fixture_files.ts";
import { inputOf, layOutInput } from "./inputs.ts";
import { readings } from "./reading.ts";

setDevice(await openCpu({ threads: 1 }));
Deno.chdir(fixture(""));
const print = (line: unknown) =>
  Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(line) + "\n"));

for (const number of Deno.args.map(Number)) {
  const input = await inputOf(number);
  const directory = await Deno.makeTempDir({ prefix: "plumb-fuzz-" });
  const path = await layOutInput(input, directory);
  print([number, "begin"]);
  const begin = performance.now();
  let verdict: unknown;
  try {
    verdict = { read: await readings[input.kind](path) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    verdict = error instanceof UserError
      ? { refused: message }
      : { defect: error instanceof Error ? error.stack ?? message : message };
  }
  print([number, verdict, performance.now() - begin]);
  await Deno.remove(directory, { recursive: true });
}
Deno.exit(0);
