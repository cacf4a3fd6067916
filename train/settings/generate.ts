/** The options of `generate`. @module */

import { int, string } from "./builders.ts";
import { generationCommandOptions, generationModelOptions, samplingFlags } from "./generation.ts";
import { type Options, section, type Values } from "./option.ts";

/** The options of `generate`. */
export const generateOptions = {
  ...generationModelOptions,
  ...section("Data", {
    prompts: string({
      required: true,
      shown: "PATH",
      help:
        "A .jsonl, .json, .csv or .txt file, or a directory of them. Rows have a prompt (a text or " +
        "messages) or messages; a line of a .txt file is a prompt.",
      aliases: ["dataset_name"],
    }),
    split: string({
      default: "train",
      help: "Split (file name, slice) of the prompts, such as train[:100].",
    }),
    output: string({
      shown: "FILE",
      help:
        "JSONL file of the rows with completion, finish_reason and completion_tokens. Unset: standard output.",
    }),
  }),
  ...samplingFlags,
  ...section("Generation", {
    num_return_sequences: int({ default: 1, min: 1, help: "Completions of each prompt." }),
    batch_size: int({ default: 8, min: 1, help: "Prompts that are completed together." }),
    seed: int({ default: 42, min: 0, help: "Seed of the draws." }),
  }),
  ...generationCommandOptions,
} satisfies Options;

/** The values of {@link generateOptions}. */
export type GenerateValues = Values<typeof generateOptions>;
