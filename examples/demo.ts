/**
 * The demonstration: a small Llama, from scratch, learns to add.
 *
 *     deno task demo
 *
 * Problems and answers are written to `out/demo/data`, the model is trained by the same code as
 * `cli/main.ts sft`, and it answers problems it has never seen before and after.
 *
 * @module
 */

import { main } from "../cli/main.ts";
import { openDevice, randomKey, realize } from "../core/mod.ts";
import { loadTokenizer, type Tokenizer } from "../data/mod.ts";
import {
  type CausalModel,
  causalModel,
  type DecoderParams,
  generator,
  initParameters,
} from "../nn/mod.ts";
import { readParameters } from "../train/mod.ts";

const here = import.meta.dirname!;
const config = `${here}/arithmetic/config.json`;
const output = "out/demo";
const heldOut = 500;

/** All sums of two numbers below 100, in an order that looks random and never changes. */
function problems(): { readonly prompt: string; readonly completion: string }[] {
  return Array.from({ length: 10_000 }, (_, i) => {
    const shuffled = (i * 7_919 + 4_243) % 10_000;
    const [a, b] = [Math.floor(shuffled / 100), shuffled % 100];
    return { prompt: `${a}+${b}=`, completion: String(a + b) };
  });
}

async function writeRows(path: string, rows: readonly unknown[]): Promise<void> {
  await Deno.writeTextFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
}

/** The share of problems answered right, and the first few answers. */
async function exam(
  model: CausalModel,
  params: DecoderParams,
  tokenizer: Tokenizer,
  test: ReturnType<typeof problems>,
): Promise<{ readonly score: number; readonly shown: string[] }> {
  const generate = generator(model, { maxNewTokens: 4, eosTokenIds: [tokenizer.eosTokenId!] });
  const ids = await generate(params, test.map(({ prompt }) => tokenizer.encode(prompt)));
  const answers = ids.map((row) => tokenizer.decode(row, { skipSpecialTokens: true }).trim());
  const right = answers.filter((answer, i) => answer === test[i]!.completion).length;
  return {
    score: right / test.length,
    shown: test.slice(0, 5).map(({ prompt }, i) => `${prompt}${answers[i]}`),
  };
}

function say(text: string): void {
  // deno-lint-ignore no-console -- the demonstration speaks
  console.log(text);
}

const rows = problems();
const [test, train] = [rows.slice(0, heldOut), rows.slice(heldOut)];
await Deno.mkdir(`${output}/data`, { recursive: true });
await writeRows(`${output}/data/train.jsonl`, train);
await writeRows(`${output}/data/test.jsonl`, test);

say("A small Llama, from scratch, learns to add two numbers below 100.\n");
const code = await main([
  "sft",
  ...["--init_from_config", config],
  ...["--dataset_name", `${output}/data`],
  ...["--output_dir", `${output}/model`],
  ...["--per_device_train_batch_size", "256"],
  ...[
    "--max_steps",
    "700",
    "--learning_rate",
    "2e-3",
    "--lr_scheduler_type",
    "cosine",
    "--warmup_steps",
    "50",
  ],
  ...["--adam_beta2", "0.98", "--logging_steps", "50", "--save_strategy", "no"],
  ...["--eval_strategy", "steps", "--eval_steps", "350", "--per_device_eval_batch_size", "250"],
  ...["--report_to", "jsonl"],
  ...Deno.args,
]);
if (code !== 0) Deno.exit(code);

await openDevice("auto");
const model = causalModel(JSON.parse(await Deno.readTextFile(config)));
const tokenizer = await loadTokenizer(`${here}/arithmetic`);
const before = await exam(
  model,
  await realize(initParameters(model.config, randomKey(42))),
  tokenizer,
  test,
);
const after = await exam(model, await readParameters(model, `${output}/model`), tokenizer, test);
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
say(`\nProblems it was not trained on, before and after:\n`);
before.shown.forEach((line, i) => say(`  ${line.padEnd(14)}  ${after.shown[i]}`));
say(
  `\nRight answers among ${heldOut}: ${percent(before.score)} before, ${
    percent(after.score)
  } after.`,
);
say(`The model is in ${output}/model; transformers can load it from there.`);
Deno.exit(0);
