/** `plumb generate`: completions for a file of prompts. @module */

import { plainJson, standardError } from "../../core/terminal.ts";
import { readDataset } from "../../data/readers/dataset.ts";
import { showingDownloads } from "../downloads.ts";
import { fetchModels } from "../../train/recipes/fetching.ts";
import type { Command } from "../command.ts";
import { completeInBatches } from "../../train/generation/completions.ts";
import { openGenerationModel } from "../../train/generation/open.ts";
import { openAskedDevice } from "../device.ts";
import { Interrupted, type Write, writeRows } from "../generation/output.ts";
import { progressLine } from "../generation/progress.ts";
import { promptsOf } from "../../train/generation/prompts.ts";
import { resolveSettings } from "../../train/generation/settings.ts";
import { interruptSignal } from "../interrupt.ts";
import { generateOptions, type GenerateValues } from "../../train/settings/generate.ts";
import { checkGenerationModel } from "../../train/settings/generation.ts";
import { parse } from "../parse.ts";

/** What `generate` is called with. */
export const generateCommand: Command = {
  name: "generate",
  options: generateOptions,
  run: async (argv) => {
    const { values, given, notices } = parse(argv, generateOptions, {
      check: checkGenerationModel,
    });
    notices.forEach(say);
    await showingDownloads((access) => fetchModels(generateOptions, values, access));
    let code = 0;
    try {
      await writeRows(
        values.output,
        async (write) => (code = await generate(values, given, write)) === 0,
      );
      return code;
    } catch (error) {
      // Whoever reads the rows has read enough.
      if (error instanceof Deno.errors.BrokenPipe) return 0;
      if (!(error instanceof Interrupted)) throw error;
      if (error.path !== null) say(`The rows that were done are in ${error.path}.`);
      return code;
    }
  },
};

function say(text: string): void {
  standardError.write(`${text}\n`);
}

/** Generates; gives the exit code, which is 0 where it came to its end. */
async function generate(
  values: GenerateValues,
  given: ReadonlySet<string>,
  write: Write,
): Promise<number> {
  const rows = await readDataset(values.prompts, { split: values.split });
  const device = await openAskedDevice(values, say);
  try {
    const opened = await openGenerationModel(values, say);
    const settings = resolveSettings(values, given, opened);
    settings.notices.forEach(say);
    const prompts = promptsOf(rows, opened.tokenizer, opened.model.config.maxPositions);
    const interrupt = interruptSignal(() => say("Stopping; press Ctrl-C again to stop at once."));
    const line = progressLine(standardError);
    try {
      const longest = prompts.reduce((most, { ids }) => Math.max(most, ids.length), 0);
      say(`${prompts.length} prompts, the longest of ${longest} tokens.`);
      const began = performance.now();
      let [done, completions, tokens] = [0, 0, 0];
      const seconds = () => (performance.now() - began) / 1000;
      const batches = completeInBatches(opened, prompts, {
        settings,
        batchSize: values.batch_size,
        seed: values.seed,
        signal: interrupt.signal,
      });
      for await (const batch of batches) {
        write(batch.rows.map((row) => `${plainJson(row)}\n`).join(""));
        done = batch.prompts;
        tokens += batch.tokens;
        completions += batch.rows.length;
        line.show({ prompts: done, total: prompts.length, tokens, seconds: seconds() });
      }
      line.clear();
      const rate = (tokens / seconds()).toFixed(0);
      say(
        `${completions} completions of ${done} prompts: ${tokens} tokens in ${
          seconds().toFixed(1)
        } s, ` +
          `${rate} tokens/s.`,
      );
      return done === prompts.length ? 0 : interrupt.exitCode();
    } finally {
      interrupt.dispose();
    }
  } finally {
    device.destroy();
  }
}
