/** The options of `generate`. @module */

import { choice, float, int, string } from "./builders.ts";
import { generationCommandOptions, generationModelOptions, samplingFlags } from "./generation.ts";
import { type Options, section, type Values } from "./option.ts";
import { moreThan } from "./when.ts";

const searching = moreThan("num_beams", 1);

/** How many answers a prompt gets, and how they are searched for. */
export const beamFlags = section("Generation", {
  num_beams: int({
    default: 1,
    min: 1,
    help: "Beams of a search for likely answers, which draws no tokens; 1: no search.",
  }),
  length_penalty: float({
    when: searching,
    default: 1,
    help:
      "Exponent of the length that a beam's log-prob is divided by: above 0 for longer answers.",
  }),
  early_stopping: choice({
    when: searching,
    choices: ["true", "false", "never"],
    synonyms: { false: "false" },
    default: "false",
    help:
      "When a search ends: true with as many answers as beams, never where no better one can come, false in between.",
  }),
  num_return_sequences: int({ default: 1, min: 1, help: "Completions of each prompt." }),
});

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
  ...beamFlags,
  ...section("Generation", {
    batch_size: int({ default: 8, min: 1, help: "Prompts that are completed together." }),
    seed: int({ default: 42, min: 0, help: "Seed of the draws." }),
  }),
  ...generationCommandOptions,
} satisfies Options;

/** The values of {@link beamFlags}. */
export type BeamValues = Values<typeof beamFlags>;

/** The values of {@link generateOptions}. */
export type GenerateValues = Values<typeof generateOptions>;
