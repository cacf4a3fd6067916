/**
 * Samples continuations; prints a line of JSON for each round.
 *
 *     deno run -A bench/peers/sampling.ts MODEL ROWS SEQUENCES TOKENS ROUNDS
 *
 * @module
 */

import process from "node:process";
import { openDevice } from "../../core/mod.ts";
import { loadTokenizer } from "../../data/mod.ts";
import { causalModel, generator } from "../../nn/mod.ts";
import { readParameters } from "../../train/mod.ts";

async function main(args: readonly string[]): Promise<void> {
  const [directory, path] = args as [string, string];
  const [sequences, tokens, rounds] = args.slice(2).map(Number) as [number, number, number];
  const device = await openDevice("cpu");
  const model = causalModel(JSON.parse(await Deno.readTextFile(`${directory}/config.json`)));
  const tokenizer = await loadTokenizer(directory);
  const params = await readParameters(model, directory);
  const lines = (await Deno.readTextFile(path)).trim().split("\n").slice(0, sequences);
  const prompts = lines.map((line) => tokenizer.encode(JSON.parse(line).prompt));
  const read = prompts.reduce((sum, prompt) => sum + prompt.length, 0);
  const generate = generator(model, { doSample: true, maxNewTokens: tokens });
  for (let step = 1; step <= rounds; step++) {
    const start = performance.now();
    const made = await generate(params, prompts, { seed: step });
    const ms = performance.now() - start;
    const count = read + made.reduce((sum, row) => sum + row.length, 0);
    process.stdout.write(`${JSON.stringify({ step, ms, tokens: count })}\n`);
  }
  device.destroy();
}

if (import.meta.main) await main(Deno.args);
