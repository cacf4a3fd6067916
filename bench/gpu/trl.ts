/** The peer on the same card: TRL on torch's CUDA, if a Python has them. @module */

import { textOf, writeRandomModel, writeRowsFor } from "../peers/workload.ts";
import { configOf } from "./shapes.ts";
import type { SectionContext } from "./section.ts";

const script = new URL("trl.py", import.meta.url).pathname;

/** Steps of `sft` and `dpo` on the models that plumb was measured on, in f32 and under bf16. */
export async function measureTrl(
  { small, python = "python3", keep }: SectionContext,
): Promise<void> {
  const has = await run(python, ["-c", "import torch, trl; assert torch.cuda.is_available()"]);
  if (has.code !== 0) {
    keep({ note: `${python} has no TRL with CUDA: ${has.error.trim().split("\n").at(-1) ?? ""}` });
    return;
  }
  const directory = await Deno.makeTempDir({ prefix: "plumb-trl-" });
  try {
    for (const name of ["27M", "0.5B"] as const) {
      const model = `${directory}/${name}`;
      const { words } = await writeRandomModel(model, configOf(name, small));
      for (const method of ["sft", "dpo"] as const) {
        const rows = await writeRowsFor(method, `${directory}/${method}.jsonl`, {
          text: textOf(words),
          steps: 8,
        });
        for (const dtype of ["float32", "bfloat16"]) {
          const { code, output, error } = await run(python, [script, method, model, rows, dtype]);
          if (code !== 0) keep({ model: name, method, dtype, error: error.trim().slice(-300) });
          else {keep({
              model: name,
              method,
              dtype,
              ...JSON.parse(output.trim().split("\n").at(-1)!),
            });}
        }
      }
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function run(
  command: string,
  args: readonly string[],
): Promise<{ readonly code: number; readonly output: string; readonly error: string }> {
  try {
    const { code, stdout, stderr } = await new Deno.Command(command, { args: [...args] }).output();
    const decoder = new TextDecoder();
    return { code, output: decoder.decode(stdout), error: decoder.decode(stderr) };
  } catch (error) {
    return { code: 1, output: "", error: error instanceof Error ? error.message : String(error) };
  }
}
