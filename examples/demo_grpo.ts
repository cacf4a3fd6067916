/**
 * Learning from one's own answers: GRPO against more imitation.
 *
 *     deno task demo:grpo                  # one seed: about a minute on two cores
 *     deno task demo:grpo --seeds 1 2 3
 *     deno task demo:grpo --command rloo   # or ppo
 *
 * A small model imitates answers to sums of which most forget to carry (70 %), and so forgets to carry itself. GRPO
 * sees no answers, only whether the model's own are right. More imitation of the same rows for the same time does not
 * help: the habit is what they teach.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { main } from "../cli/main.ts";
import { openDevice } from "../core/mod.ts";
import { loadTokenizer } from "../data/mod.ts";
import { causalModel } from "../nn/mod.ts";
import { readParameters } from "../train/mod.ts";
import { exam, heldOut, percent, say, type Sum, sums, writeRows } from "./arithmetic/sums.ts";

const here = import.meta.dirname!;
const config = `${here}/arithmetic/config.json`;
const output = "out/demo_grpo";
const careful = 0.3;

/** What comes out if nothing is ever carried. */
function withoutCarry({ a, b }: Sum): string {
  const tens = (Math.floor(a / 10) + Math.floor(b / 10)) % 10;
  return String(tens * 10 + (a % 10 + b % 10) % 10);
}

/** Rows to imitate, most of them careless; which ones looks random and never changes. */
function demonstrations(list: readonly Sum[]): unknown[] {
  return list.map((sum, i) => ({
    prompt: sum.prompt,
    completion: scattered(i) < careful ? sum.answer : withoutCarry(sum),
  }));
}

/** A number in [0, 1) that looks random and never changes (MurmurHash3's finaliser). */
function scattered(i: number): number {
  let x = i + 1;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32;
}

async function run(
  command: string,
  flags: Readonly<Record<string, string | number>>,
): Promise<void> {
  const argv = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const code = await main([command, ...argv, "--save_strategy", "no", "--adam_beta2", "0.98"]);
  if (code !== 0) Deno.exit(code);
}

async function examOf(directory: string, test: readonly Sum[]) {
  await openDevice("auto");
  const model = causalModel(JSON.parse(await Deno.readTextFile(config)));
  const tokenizer = await loadTokenizer(`${here}/arithmetic`);
  return await exam(model, await readParameters(model, directory), tokenizer, test);
}

/** Imitation, then the command, then as many seconds of imitation instead. */
async function compare(command: string, seed: number) {
  const [test, train] = [sums().slice(0, heldOut), sums().slice(heldOut)];
  const at = (name: string) => `${output}/${seed}/${name}`;
  await Deno.mkdir(at("prompts"), { recursive: true });
  await writeRows(at("careless.jsonl"), demonstrations(train));
  const questions = (list: readonly Sum[]) =>
    list.map(({ prompt, answer }) => ({ prompt, answer }));
  await writeRows(at("questions.jsonl"), questions(train));

  const imitation = {
    dataset_name: at("careless.jsonl"),
    per_device_train_batch_size: 256,
    logging_steps: 100,
    gradient_checkpointing: "false",
    seed,
  };
  say(`\nSeed ${seed}: imitating answers of which ${percent(1 - careful)} forget to carry.\n`);
  const imitating = performance.now();
  await run("sft", {
    ...imitation,
    init_from_config: config,
    output_dir: at("imitation"),
    max_steps: 600,
    learning_rate: 2e-3,
    lr_scheduler_type: "cosine",
    warmup_steps: 50,
  });
  const stepsPerSecond = 600 / ((performance.now() - imitating) / 1000);

  say(`\n${command}: the model's own answers, with 1 for a right one and 0 for a wrong one.\n`);
  const learning = performance.now();
  await run(command, {
    model_name_or_path: at("imitation"),
    dataset_name: at("questions.jsonl"),
    output_dir: at(command),
    reward_funcs: `${here}/arithmetic/reward.ts:exactAnswer`,
    logging_steps: 20,
    gradient_checkpointing: "false",
    seed,
    ...settings[command],
  });
  const seconds = (performance.now() - learning) / 1000;

  say(`\nInstead, ${seconds.toFixed(0)} more seconds of imitation.\n`);
  await run("sft", {
    ...imitation,
    model_name_or_path: at("imitation"),
    output_dir: at("more_imitation"),
    max_steps: Math.max(1, Math.round(seconds * stepsPerSecond)),
    learning_rate: 2e-4,
    lr_scheduler_type: "constant",
  });
  const before = await examOf(at("imitation"), test);
  const after = await examOf(at(command), test);
  const more = await examOf(at("more_imitation"), test);
  return { seed, seconds, before, after, more };
}

const online = {
  learning_rate: 3e-4,
  lr_scheduler_type: "constant",
  per_device_train_batch_size: 512,
};

const settings: Readonly<Record<string, Readonly<Record<string, string | number>>>> = {
  grpo: { ...online, max_steps: 150, num_generations: 8, max_completion_length: 5 },
  rloo: { ...online, max_steps: 150, num_generations: 8, max_completion_length: 5, beta: 0 },
  ppo: {
    ...online,
    max_steps: 400,
    response_length: 5,
    temperature: 1,
    kl_coef: 0,
    stop_token: "eos",
  },
};

const { values } = parseArgs({
  options: {
    seeds: { type: "string", multiple: true, default: ["1"] },
    command: { type: "string", default: "grpo" },
  },
  allowPositionals: true,
  // "--seeds 1 2 3" and "--seeds 1,2,3" are three seeds.
  args: Deno.args.flatMap((arg, i, all) =>
    /^\d[\d,]*$/.test(arg) && all[i - 1] !== "--command"
      ? arg.split(",").flatMap((seed, j) =>
        j === 0 && all[i - 1] === "--seeds" ? [seed] : ["--seeds", seed]
      )
      : [arg]
  ),
});

const results = [];
for (const seed of values.seeds) results.push(await compare(values.command, Number(seed)));
for (const { seed, seconds, before, after, more } of results) {
  say(`\nSeed ${seed}: right answers among ${heldOut} sums that were in no training row:`);
  say(`  after imitation               ${percent(before.score)}   ${before.shown.join("  ")}`);
  say(
    `  after ${seconds.toFixed(0).padStart(3)} s of ${values.command.padEnd(13)}    ${
      percent(after.score)
    }   ${after.shown.join("  ")}`,
  );
  say(
    `  after ${seconds.toFixed(0).padStart(3)} s more imitation    ${percent(more.score)}   ${
      more.shown.join("  ")
    }`,
  );
}
Deno.exit(0);
