/**
 * From imitation to preferences: a small Llama, from scratch, first imitates sums, then learns from pairs of a right
 * and a wrong answer to prefer the right one.
 *
 *     deno run -A examples/preferences.ts
 *
 * It is the code of `cli/main.ts sft` and `cli/main.ts dpo`, on problems that this file writes to
 * `out/preferences`. Options given here, such as `--device webgpu`, go to both.
 *
 * @module
 */

import { standardOutput } from "../core/terminal.ts";
import { main } from "../cli/main.ts";
import { parseTrainerState } from "../train/mod.ts";

const here = import.meta.dirname!;
const output = "out/preferences";

/** Two numbers below 100, in an order that looks random and never changes. */
function problem(i: number): { readonly prompt: string; readonly sum: number; readonly i: number } {
  const shuffled = (i * 7_919 + 4_243) % 10_000;
  const [a, b] = [Math.floor(shuffled / 100), shuffled % 100];
  return { prompt: `${a}+${b}=`, sum: a + b, i };
}

/** Wrong by one, by ten or by eleven, up or down. */
function wrong(sum: number, i: number): number {
  const error = [1, 10, 11][i % 3]! * (i % 2 === 0 ? 1 : -1);
  return sum + error < 0 ? sum - error : sum + error;
}

async function write(path: string, rows: readonly unknown[]): Promise<void> {
  await Deno.mkdir(path.replace(/\/[^/]*$/, ""), { recursive: true });
  await Deno.writeTextFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
}

/** Runs a command of the command line and gives its log. */
async function run(command: string, name: string, flags: string) {
  const code = await main([
    command,
    ...["--dataset_name", `${output}/${name}-data`, "--output_dir", `${output}/${name}`],
    ...["--save_strategy", "no", "--gradient_checkpointing", "false"],
    ...flags.trim().split(/\s+/),
    ...Deno.args,
  ]);
  if (code !== 0) Deno.exit(code);
  const path = `${output}/${name}/trainer_state.json`;
  return parseTrainerState(await Deno.readTextFile(path), path).log_history;
}

function say(text: string): void {
  standardOutput.write(`${text}\n`);
}

const problems = Array.from({ length: 10_000 }, (_, i) => problem(i));
const pairs = problems.slice(6_000).map(({ prompt, sum, i }) => ({
  prompt,
  chosen: String(sum),
  rejected: String(wrong(sum, i)),
}));
await write(
  `${output}/sft-data/train.jsonl`,
  problems.slice(0, 6_000).map(({ prompt, sum }) => ({ prompt, completion: String(sum) })),
);
await write(`${output}/dpo-data/train.jsonl`, pairs.slice(500));
await write(`${output}/dpo-data/test.jsonl`, pairs.slice(0, 500));

say("A small Llama, from scratch, imitates 6,000 sums.\n");
await run(
  "sft",
  "sft",
  `--init_from_config ${here}/arithmetic/config.json --per_device_train_batch_size 128
   --max_steps 250 --learning_rate 2e-3 --lr_scheduler_type cosine --warmup_steps 25
   --adam_beta2 0.98 --logging_steps 50`,
);

say("\nIt learns to prefer right answers to wrong ones, on 3,500 other sums.\n");
const log = await run(
  "dpo",
  "dpo",
  `--model_name_or_path ${output}/sft --per_device_train_batch_size 64 --num_train_epochs 2
   --learning_rate 2e-4 --lr_scheduler_type cosine --warmup_steps 10 --logging_steps 10
   --eval_strategy steps --eval_steps 55 --per_device_eval_batch_size 100`,
);

const [losses, accuracies] = ["loss", "eval_rewards/accuracies"].map((name) =>
  log.flatMap((row) => row[name] ?? [])
) as [number[], number[]];
say(
  `\nThe loss went from ${losses[0]!.toFixed(3)} to ${losses.at(-1)!.toFixed(3)}; ln 2 is 0.693.`,
);
say(
  `Of 500 pairs it was not trained on, ${
    (100 * accuracies.at(-1)!).toFixed(1)
  } % have the higher reward on the ` +
    "right answer.",
);
say(`The model is in ${output}/dpo.`);
Deno.exit(0);
