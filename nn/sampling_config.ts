/** Settings of generation from a checkpoint's `generation_config.json`. @module */

import { UserError } from "../core/mod.ts";
import type { SamplingOptions } from "./sampling.ts";

/** What a `generation_config.json` can settle. */
export interface ConfiguredGeneration extends SamplingOptions {
  /** The most tokens to add to each prompt. */
  readonly maxNewTokens?: number;
}

/** Numbers of a `generation_config.json`, and what they are called here. */
export const configuredNumbers = {
  max_new_tokens: "maxNewTokens",
  min_new_tokens: "minNewTokens",
  temperature: "temperature",
  top_k: "topK",
  top_p: "topP",
  min_p: "minP",
  typical_p: "typicalP",
  epsilon_cutoff: "epsilonCutoff",
  repetition_penalty: "repetitionPenalty",
  no_repeat_ngram_size: "noRepeatNgramSize",
} as const;

/**
 * Options of generation from a parsed `generation_config.json`. Fields that are absent or null give no option
 * (transformers would sample with top_k = 50 there); fields not known here are left alone.
 *
 * @throws UserError if a field has the wrong type.
 */
export function generationOptions(
  config: Readonly<Record<string, unknown>>,
): ConfiguredGeneration {
  const options: Record<string, number | boolean | readonly number[]> = {};
  for (const [name, option] of Object.entries(configuredNumbers)) {
    const value = config[name] ?? null;
    if (value === null) continue;
    if (typeof value !== "number") throw wrongType(name, value, "a number");
    options[option] = value;
  }
  const doSample = config["do_sample"] ?? null;
  if (doSample !== null) {
    if (typeof doSample !== "boolean") throw wrongType("do_sample", doSample, "true or false");
    options["doSample"] = doSample;
  }
  const eos = config["eos_token_id"] ?? null;
  if (eos !== null) {
    const ids: unknown[] = Array.isArray(eos) ? eos : [eos];
    options["eosTokenIds"] = ids.map((id) => {
      if (typeof id === "number" && Number.isInteger(id) && id >= 0) return id;
      throw wrongType("eos_token_id", eos, "a token id or a list of them");
    });
  }
  return options;
}

function wrongType(name: string, value: unknown, expected: string): UserError {
  return new UserError(
    `generation_config.json has ${name} = ${
      JSON.stringify(value)
    }, but it has to be ${expected}. ` +
      "Correct the file or remove the field.",
  );
}
