/** Options of which tokens may come, and what ends an answer, by transformers' names: of all commands that generate. @module */

import { int, ints, json, strings } from "./builders.ts";
import { type Options, section, type Values } from "./option.ts";

/** The options, under a section of the help. */
export function constraintOptions<const G extends "Generation" | "Sampling">(group: G) {
  return section(group, constraints);
}

const constraints = {
  stop_strings: strings({ help: "Texts with which an answer ends; they stay in it." }),
  min_new_tokens: int({ min: 0, help: "No end before so many new tokens." }),
  min_length: int({ min: 0, help: "No end before so many tokens, the prompt's included." }),
  bad_words_ids: json({ help: "Runs of tokens that do not come: lists of ids, as JSON." }),
  sequence_bias: json({
    help: "What runs of tokens gain or lose: [[[ids], bias], …], as JSON.",
  }),
  suppress_tokens: ints({ min: 0, help: "Ids of tokens that never come." }),
  begin_suppress_tokens: ints({ min: 0, help: "Ids of tokens that do not come first." }),
  forced_bos_token_id: int({ min: 0, help: "The token after a prompt of a single token." }),
  forced_eos_token_id: ints({
    min: 0,
    help: "The last token of an answer that comes to its greatest length.",
  }),
} satisfies Options;

/** Their values. */
export type ConstraintValues = Values<typeof constraints>;

/** Their names. */
export const constraintNames = Object.keys(constraints) as (keyof ConstraintValues)[];
