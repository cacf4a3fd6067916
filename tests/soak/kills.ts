/**
 * Kills runs of sft, dpo and grpo at random moments, goes on with each until it is done, and compares what it leaves with
 * an undisturbed run, bit for bit.
 *
 *     deno run -A tests/soak/kills.ts [kills=100] [seed]
 *
 * @module
 */

import { killedRuns, randomFrom, soaked } from "./killed_runs.ts";

const say = (text: string) => void Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));

const kills = Number(Deno.args[0] ?? 100);
const seed = Number(Deno.args[1] ?? Date.now() % 1e6);
say(`${kills} kills, seed ${seed}`);
const random = randomFrom(seed);
const commands = Object.keys(soaked);
let [all, finished] = [0, 0];
for (const [i, command] of commands.entries()) {
  const share = Math.ceil((kills - all) / (commands.length - i));
  const counts = await killedRuns(command, share, random, say);
  all += counts.kills;
  finished += counts.finished;
}
say(`${finished} runs killed ${all} times: every one ended with the same bits.`);
