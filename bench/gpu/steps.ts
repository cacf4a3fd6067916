/** Whole training steps through the command line, on models that begin at random. @module */

import { main } from "../../cli/main.ts";
import type { Row } from "../piece.ts";
import { textOf, writeRandomModel, writeRowsFor } from "../peers/workload.ts";
import { configOf, type ModelName } from "./shapes.ts";
import type { SectionContext } from "./section.ts";

const here = (path: string) => new URL(path, import.meta.url).pathname;

/** Steps of a run; the first two compile. */
const [steps, skipped] = [6, 2];

/** Flags of each method. */
const methods = {
  sft: ["--per_device_train_batch_size", "8", "--completion_only_loss", "true"],
  dpo: ["--per_device_train_batch_size", "4"],
  grpo: [
    ...["--per_device_train_batch_size", "64", "--num_generations", "8"],
    ...["--max_completion_length", "64", "--generation_kwargs", '{"min_new_tokens": 64}'],
    ...["--reward_funcs", `${here("../peers/reward.ts")}:distinctWords`],
  ],
} as const;

/** What miniatures take instead. */
const miniature = {
  sft: ["--per_device_train_batch_size", "2"],
  dpo: ["--per_device_train_batch_size", "1"],
  grpo: [
    ...["--per_device_train_batch_size", "8", "--max_completion_length", "8"],
    ...["--generation_kwargs", '{"min_new_tokens": 8}'],
  ],
} as const;

/** A method of training. */
export type Method = keyof typeof methods;

/** Measures a step of a method on a model, with gradient checkpointing as TRL has it by default. */
export function measureSteps(
  method: Method,
  name: ModelName,
): (context: SectionContext) => Promise<void> {
  return async ({ small, keep }) => {
    const directory = await Deno.makeTempDir({ prefix: "plumb-gpu-" });
    try {
      const model = await writeRandomModel(`${directory}/model`, configOf(name, small));
      const rows = await writeRowsFor(method, `${directory}/rows.jsonl`, {
        text: textOf(model.words),
        steps,
      });
      const output = `${directory}/out`;
      const code = await main([
        method,
        ...["--init_from_config", `${directory}/model/config.json`, "--dataset_name", rows],
        ...[
          "--output_dir",
          output,
          "--max_steps",
          String(small ? 2 : steps),
          "--logging_steps",
          "1",
        ],
        ...[
          "--save_strategy",
          "no",
          "--report_to",
          "jsonl",
          "--device",
          "webgpu",
          "--log_level",
          "error",
        ],
        ...["--train_sampling_strategy", "sequential", "--disable_tqdm"],
        ...methods[method],
        ...small ? miniature[method] : [],
      ]);
      if (code !== 0) throw new Error(`${method} ended with status ${code}`);
      keep({ model: name, method, ...readLog(`${output}/log.jsonl`, small ? 1 : skipped) });
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  };
}

function readLog(path: string, skip: number): Row {
  const rows: Record<string, number>[] = Deno.readTextFileSync(path).trim().split("\n")
    .map((line) => JSON.parse(line)).filter(({ kind }) => kind === "train");
  const steady = rows.slice(skip);
  const first = rows[skip - 1]!;
  const last = rows.at(-1)!;
  const seconds = (last["elapsed_seconds"]! - first["elapsed_seconds"]!) / steady.length;
  const tokens = (last["num_tokens"]! - first["num_tokens"]!) / steady.length;
  return {
    "ms a step": 1000 * seconds,
    "tokens a step": tokens,
    "tokens/s": tokens / seconds,
    "device GB": Math.max(...rows.map((row) => row["device_bytes"] ?? 0)) / 1e9,
    "first step s": rows[0]!["elapsed_seconds"]!,
    "loss, first and last": `${rows[0]!["loss"]!.toFixed(3)} ${last["loss"]!.toFixed(3)}`,
  };
}
