/**
 * Settings of generation by transformers' names, as in a checkpoint's `generation_config.json`: every key is used, has no
 * effect here for a reason, or cannot be had.
 *
 * @module
 */

import { UserError } from "../core/mod.ts";
import type { SamplingOptions } from "./sampling.ts";
import type { SequenceBias } from "./sampling_constraints.ts";

/** What transformers' settings can settle. */
export interface ConfiguredGeneration extends SamplingOptions {
  /** Texts with which an answer ends. */
  readonly stopStrings?: readonly string[];
  /** Beams of a beam search. */
  readonly numBeams?: number;
  /** Exponent of the length by which a beam's log-probability is divided. */
  readonly lengthPenalty?: number;
  /** Whether a beam search ends with as many finished answers as there are beams; null for "never" before it must. */
  readonly earlyStopping?: boolean | "never";
  /** Answers to a prompt. */
  readonly numReturnSequences?: number;
}

/** What becomes of a key. */
export type KeyRule =
  /** It sets an option. */
  | {
    readonly kind: "used";
    readonly option: keyof ConfiguredGeneration;
    readonly expected: string;
    readonly read: (value: unknown) => unknown;
  }
  /** It cannot change what is generated here. */
  | { readonly kind: "idle"; readonly because: string }
  /** It would change what is generated, and is not offered; but for values that ask for nothing. */
  | {
    readonly kind: "unavailable";
    readonly because: string;
    readonly neutral: readonly unknown[];
  };

const isNumber = (x: unknown): x is number => typeof x === "number" && Number.isFinite(x);
const isId = (x: unknown): x is number => Number.isInteger(x) && (x as number) >= 0;
const isIdList = (x: unknown): x is number[] => Array.isArray(x) && x.every(isId);

function used(
  option: keyof ConfiguredGeneration,
  expected: string,
  read: (value: unknown) => unknown,
): KeyRule {
  return { kind: "used", option, expected, read };
}

const number = (option: keyof ConfiguredGeneration) =>
  used(option, "a number", (x) => isNumber(x) ? x : undefined);

const truth = (option: keyof ConfiguredGeneration) =>
  used(option, "true or false", (x) => typeof x === "boolean" ? x : undefined);

const ids = (option: keyof ConfiguredGeneration) =>
  used(
    option,
    "a token id or a list of them",
    (x) => isId(x) ? [x] : isIdList(x) ? x : undefined,
  );

const idle = (because: string): KeyRule => ({ kind: "idle", because });

const unavailable = (because: string, ...neutral: readonly unknown[]): KeyRule => ({
  kind: "unavailable",
  because,
  neutral,
});

const bookkeeping = "it says where the settings come from";
const oneCache = "there is one key/value cache here, of the size that is needed";
const noPadding = "nothing is padded here";
const promptFirst = "an answer follows its prompt, which begins as the tokenizer says";
const onlyTokens = "only tokens and their log-probabilities are given";
const noAssistant = "there is no assistant model here, and the answers would be the same";
const otherSearch = "tokens are drawn, taken greedily or searched with beams here";

/** Every key that transformers' GenerationConfig knows. */
export const generationKeys: Readonly<Record<string, KeyRule>> = {
  max_new_tokens: number("maxNewTokens"),
  min_new_tokens: number("minNewTokens"),
  min_length: number("minLength"),
  do_sample: truth("doSample"),
  temperature: number("temperature"),
  top_k: number("topK"),
  top_p: number("topP"),
  min_p: number("minP"),
  typical_p: number("typicalP"),
  epsilon_cutoff: number("epsilonCutoff"),
  repetition_penalty: number("repetitionPenalty"),
  no_repeat_ngram_size: number("noRepeatNgramSize"),
  eos_token_id: ids("eosTokenIds"),
  suppress_tokens: ids("suppressTokens"),
  begin_suppress_tokens: ids("beginSuppressTokens"),
  forced_bos_token_id: used("forcedBosTokenId", "a token id", (x) => isId(x) ? x : undefined),
  forced_eos_token_id: ids("forcedEosTokenId"),
  bad_words_ids: used(
    "badWordsIds",
    "a list of lists of token ids",
    (x) => Array.isArray(x) && x.every((run) => isIdList(run) && run.length > 0) ? x : undefined,
  ),
  sequence_bias: used(
    "sequenceBias",
    "a list of pairs of token ids and a bias, such as [[[5, 7], -2.5]]",
    readBiases,
  ),
  stop_strings: used("stopStrings", "a text or a list of texts", readTexts),
  num_beams: number("numBeams"),
  length_penalty: number("lengthPenalty"),
  early_stopping: used(
    "earlyStopping",
    'true, false or "never"',
    (x) => typeof x === "boolean" || x === "never" ? x : undefined,
  ),
  num_return_sequences: number("numReturnSequences"),

  max_length: idle("answers end by max_new_tokens, whatever the length of the prompt"),
  use_cache: idle(oneCache),
  cache_implementation: idle(oneCache),
  cache_config: idle(oneCache),
  max_cache_len: idle(oneCache),
  prefill_chunk_size: idle(oneCache),
  low_memory: idle(oneCache),
  compile_config: idle("steps are always compiled here"),
  disable_compile: idle("steps are always compiled here"),
  continuous_batching_config: idle("prompts are answered in batches that shrink as answers end"),
  pad_token_id: idle(noPadding),
  bos_token_id: idle(promptFirst),
  decoder_start_token_id: idle(promptFirst),
  output_attentions: idle(onlyTokens),
  output_hidden_states: idle(onlyTokens),
  output_scores: idle(onlyTokens),
  output_logits: idle(onlyTokens),
  return_dict_in_generate: idle(onlyTokens),
  renormalize_logits: idle("probabilities are always normalised when a token is drawn"),
  remove_invalid_values: idle("logits that are not finite end in an error"),
  encoder_repetition_penalty: idle("there is no encoder here"),
  encoder_no_repeat_ngram_size: idle("there is no encoder here"),
  transformers_version: idle(bookkeeping),
  _from_model_config: idle(bookkeeping),
  _commit_hash: idle(bookkeeping),
  is_assistant: idle(noAssistant),
  num_assistant_tokens: idle(noAssistant),
  num_assistant_tokens_schedule: idle(noAssistant),
  assistant_confidence_threshold: idle(noAssistant),
  assistant_early_exit: idle(noAssistant),
  assistant_lookbehind: idle(noAssistant),
  assistant_ensemble_weight: idle(noAssistant),
  target_lookbehind: idle(noAssistant),
  prompt_lookup_num_tokens: idle(noAssistant),
  max_matching_ngram_size: idle(noAssistant),
  speculation_type: idle(noAssistant),
  use_mtp: idle(noAssistant),

  max_time: unavailable("answers would depend on how busy the machine is"),
  top_h: unavailable("it is not in this version; see top_p, min_p and typical_p"),
  eta_cutoff: unavailable("it is not in this version; see epsilon_cutoff", 0),
  exponential_decay_length_penalty: unavailable("it is not in this version"),
  token_healing: unavailable("prompts are taken as they are", false),
  guidance_scale: unavailable("a second pass without the prompt is not in this version", 1),
  watermarking_config: unavailable("watermarks are not in this version"),
  num_beam_groups: unavailable(otherSearch, 1),
  diversity_penalty: unavailable(otherSearch, 0),
  penalty_alpha: unavailable(otherSearch, 0),
  dola_layers: unavailable(otherSearch),
  constraints: unavailable(otherSearch),
  force_words_ids: unavailable(otherSearch),
};

/** A key that sets nothing, its value, and why. */
export interface UnusedKey {
  /** Its name. */
  readonly name: string;
  /** Its value. */
  readonly value: unknown;
  /** Why, as the end of a sentence. */
  readonly because: string;
}

/** What was read of settings. */
export interface ReadGeneration {
  /** What they set. */
  readonly options: ConfiguredGeneration;
  /** Keys that change nothing here. */
  readonly idle: readonly UnusedKey[];
  /** Keys that would change what is generated, and cannot be had; and keys that are not known. */
  readonly unavailable: readonly UnusedKey[];
}

/**
 * Reads settings key by key. Fields that are absent or null give no option (transformers would sample with top_k = 50
 * there).
 *
 * @param source What they stand in, for messages.
 * @throws UserError if a field has the wrong type.
 */
export function readGeneration(
  config: Readonly<Record<string, unknown>>,
  source = "generation_config.json",
): ReadGeneration {
  const options: Record<string, unknown> = {};
  const idle: UnusedKey[] = [];
  const unavailable: UnusedKey[] = [];
  for (const [name, value] of Object.entries(config)) {
    if (value === null || value === undefined) continue;
    const rule = Object.hasOwn(generationKeys, name) ? generationKeys[name]! : undefined;
    if (rule === undefined) {
      unavailable.push({ name, value, because: "there is no such setting of generation" });
    } else if (rule.kind === "used") {
      const read = rule.read(value);
      if (read === undefined) throw wrongType(source, name, value, rule.expected);
      options[rule.option] = read;
    } else if (rule.kind === "idle") {
      idle.push({ name, value, because: rule.because });
    } else if (!rule.neutral.includes(value)) {
      unavailable.push({ name, value, because: rule.because });
    }
  }
  return { options, idle, unavailable };
}

/**
 * Options of generation from a parsed `generation_config.json`; see {@link readGeneration}.
 *
 * @throws UserError if a field has the wrong type.
 */
export function generationOptions(
  config: Readonly<Record<string, unknown>>,
): ConfiguredGeneration {
  return readGeneration(config).options;
}

function readTexts(value: unknown): readonly string[] | undefined {
  const texts: readonly unknown[] = Array.isArray(value) ? value : [value];
  const fit = texts.length > 0 && texts.every((x) => typeof x === "string" && x !== "");
  return fit ? texts as readonly string[] : undefined;
}

/** `[[[ids], bias], …]`, as transformers writes the dictionary in files. */
function readBiases(value: unknown): readonly SequenceBias[] | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const entries = value.map((pair: unknown) => {
    if (!Array.isArray(pair) || pair.length !== 2) return undefined;
    const [ids, bias] = pair as [unknown, unknown];
    return isIdList(ids) && ids.length > 0 && isNumber(bias) ? { ids, bias } : undefined;
  });
  return entries.every((entry) => entry !== undefined) ? entries : undefined;
}

function wrongType(source: string, name: string, value: unknown, expected: string): UserError {
  return new UserError(
    `${source} has ${name} = ${
      JSON.stringify(value)?.slice(0, 200)
    }, but it has to be ${expected}. ` +
      "Correct it or leave it out.",
  );
}
