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
import { loadTokenizer } from "../data/mod.ts";
import { causalModel, initParameters } from "../nn/mod.ts";
import { readParameters } from "../train/mod.ts";
import { exam, heldOut, percent, say, sums, writeRows } from "./arithmetic/sums.ts";

const here = import.meta.dirname!;
const config = `${here}/arithmetic/config.json`;
const output = "out/demo";

const [test, train] = [sums().slice(0, heldOut), sums().slice(heldOut)];
const rowsOf = (list: typeof test) =>
  list.map(({ prompt, answer }) => ({ prompt, completion: answer }));
await Deno.mkdir(`${output}/data`, { recursive: true });
await writeRows(`${output}/data/train.jsonl`, rowsOf(train));
await writeRows(`${output}/data/test.jsonl`, rowsOf(test));

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
  await realize(initParameters(model, randomKey(42))),
  tokenizer,
  test,
);
const after = await exam(model, await readParameters(model, `${output}/model`), tokenizer, test);
say(`\nProblems it was not trained on, before and after:\n`);
before.shown.forEach((line, i) => say(`  ${line.padEnd(14)}  ${after.shown[i]}`));
say(
  `\nRight answers among ${heldOut}: ${percent(before.score)} before, ${
    percent(after.score)
  } after.`,
);
say(`The model is in ${output}/model; transformers can load it from there.`);
Deno.exit(0);
