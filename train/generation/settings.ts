/** How answers are generated: a flag counts first, then `generation_config.json`, then the flag's default. @module */

import { UserError } from "../../core/errors.ts";
import { nearNames } from "../../data/files/local_paths.ts";
import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import {
  type BeamSearchOptions,
  type ConfiguredGeneration,
  type HuggingFaceConfig,
  readGeneration,
  type SamplingOptions,
  type StopCriterion,
} from "../../nn/mod.ts";
import { constraintNames, type ConstraintValues } from "../settings/constraints.ts";
import { type BeamValues, generateOptions } from "../settings/generate.ts";
import type { SamplingValues } from "../settings/generation.ts";
import { idleOptions } from "../settings/when.ts";
import { stopStrings } from "./stop_strings.ts";

/** What settings are resolved against. */
export interface Checkpoint {
  /** Its tokenizer. */
  readonly tokenizer: Tokenizer;
  /** Its `generation_config.json`, if there is one. */
  readonly generationConfig: HuggingFaceConfig | undefined;
}

/** Settings in effect. */
export interface GenerationSettings {
  /** Every sampling flag with the value in effect. */
  readonly values: SamplingValues;
  /** The same for the sampler. */
  readonly sampling: SamplingOptions;
  /** What ends an answer beside tokens. */
  readonly stop: StopCriterion | undefined;
  /** Tokens that end an answer. */
  readonly eosTokenIds: readonly number[];
  /** How answers are searched for; undefined where tokens are chosen one by one. */
  readonly beams: BeamSettings | undefined;
  /** Answers to each prompt. */
  readonly completions: number;
  /** Lines about what has no effect. */
  readonly notices: readonly string[];
}

/** How a beam search goes. */
export type BeamSettings = Required<
  Pick<BeamSearchOptions, "numBeams" | "lengthPenalty" | "earlyStopping">
>;

const onlyWhenSampling = [
  "temperature",
  "top_k",
  "top_p",
  "min_p",
  "typical_p",
  "epsilon_cutoff",
] as const;

/** Flags by the names of their values in a configuration; those left out here it cannot say. */
const configured = {
  max_new_tokens: "maxNewTokens",
  temperature: "temperature",
  top_k: "topK",
  top_p: "topP",
  min_p: "minP",
  typical_p: "typicalP",
  epsilon_cutoff: "epsilonCutoff",
  repetition_penalty: "repetitionPenalty",
  no_repeat_ngram_size: "noRepeatNgramSize",
  do_sample: "doSample",
} as const satisfies Partial<Record<keyof SamplingValues, keyof ConfiguredGeneration>>;

/**
 * The settings in effect.
 *
 * @param given Names of the flags that the user gave.
 * @throws {UserError} if a token is not in the vocabulary, or `generation_config.json` holds a wrong value.
 */
export function resolveSettings(
  flags: SamplingValues & Partial<Omit<BeamValues, "num_beams">>,
  given: ReadonlySet<string>,
  { tokenizer, generationConfig = {} }: Checkpoint,
): GenerationSettings {
  const { options: config, unavailable } = readGeneration(generationConfig);
  const fromConfig = Object.entries(configured).flatMap(([flag, name]) =>
    given.has(flag) || config[name] === undefined ? [] : [[flag, config[name]] as const]
  );
  const { beams, completions, unused } = searchOf(flags, given, config);
  // A spread of entries has lost their types, which `generationOptions` has checked.
  const chosen: SamplingValues = { ...flags, ...Object.fromEntries(fromConfig) };
  const values = beams ? { ...chosen, num_beams: beams.numBeams, do_sample: false } : chosen;
  const { stopStrings: stops, ...constraints } = constraintsOf(flags, generationConfig);
  const eosTokenIds = endingTokens(values, config.eosTokenIds ?? [], tokenizer);
  const drawing: SamplingOptions = {
    temperature: values.temperature,
    topK: values.top_k,
    topP: values.top_p,
    minP: values.min_p,
    typicalP: values.typical_p,
    epsilonCutoff: values.epsilon_cutoff,
  };
  return {
    values,
    sampling: {
      doSample: values.do_sample,
      repetitionPenalty: values.repetition_penalty,
      noRepeatNgramSize: values.no_repeat_ngram_size,
      ...(values.do_sample ? drawing : {}),
      ...constraints,
    },
    stop: stops && stopStrings(tokenizer, stops),
    eosTokenIds,
    beams,
    completions,
    notices: [
      ...withoutEffect(values, given, beams),
      ...unused,
      ...unavailable.map(({ name, value, because }) =>
        `${name} = ${
          JSON.stringify(value)?.slice(0, 80)
        } in the checkpoint's generation_config.json has no effect: ${because}.`
      ),
    ],
  };
}

function withoutEffect(
  values: SamplingValues,
  given: ReadonlySet<string>,
  beams: BeamSettings | undefined,
): string[] {
  if (values.do_sample) return [];
  const reason = beams
    ? `num_beams is ${beams.numBeams}, and a beam search draws no tokens`
    : given.has("do_sample")
    ? "do_sample is false, so the most probable token is always taken"
    : "the checkpoint's generation_config.json has do_sample = false; add --do_sample to draw tokens";
  return onlyWhenSampling.filter((name) => given.has(name)).map((name) =>
    `--${name} has no effect: ${reason}.`
  );
}

/** What is asked of a search, by flags or else by a configuration. */
interface Search {
  readonly beams: BeamSettings | undefined;
  readonly completions: number;
  /** Lines about what has no effect. */
  readonly unused: readonly string[];
}

/**
 * How answers are searched for.
 *
 * @throws {UserError} if tokens are to be drawn too, or more answers are asked for than there are beams.
 */
function searchOf(
  flags: SamplingValues & Partial<Omit<BeamValues, "num_beams">>,
  given: ReadonlySet<string>,
  config: ConfiguredGeneration,
): Search {
  if (flags.length_penalty === undefined) {
    return { beams: undefined, completions: 1, unused: unusedBeams(config) };
  }
  const asked = <T>(flag: string, flagged: T, configured: T | undefined) =>
    given.has(flag) ? flagged : configured ?? flagged;
  const numBeams = asked("num_beams", flags.num_beams, config.numBeams);
  const completions = asked(
    "num_return_sequences",
    flags.num_return_sequences ?? 1,
    config.numReturnSequences,
  );
  const idle = idleOptions(
    generateOptions,
    { num_beams: numBeams },
    [...given].filter((name) => name === "length_penalty" || name === "early_stopping"),
  );
  if (numBeams === 1) {
    const { numReturnSequences: _, numBeams: __, ...rest } = config;
    return { beams: undefined, completions, unused: [...idle, ...unusedBeams(rest)] };
  }
  if (given.has("do_sample") && flags.do_sample) {
    throw new UserError(
      `num_beams is ${numBeams}, and a beam search draws no tokens, but do_sample asks for that. Leave one of them out.`,
    );
  }
  if (completions > numBeams) {
    throw new UserError(
      `num_return_sequences is ${completions}, but num_beams ${numBeams}: a search finds one answer with each beam. ` +
        "Raise num_beams, or ask for fewer.",
    );
  }
  const drawing = config.doSample === true
    ? [
      `do_sample = true in the checkpoint's generation_config.json has no effect: num_beams is ${numBeams}, and a beam ` +
      "search draws no tokens.",
    ]
    : [];
  const stopping = { true: true, false: false, never: "never" } as const;
  return {
    beams: {
      numBeams,
      lengthPenalty: asked("length_penalty", flags.length_penalty, config.lengthPenalty),
      earlyStopping: asked(
        "early_stopping",
        stopping[flags.early_stopping ?? "false"],
        config.earlyStopping,
      ),
    },
    completions,
    unused: drawing,
  };
}

/** Settings of a checkpoint that need beams where there are none; at their neutral values they ask for nothing. */
function unusedBeams(
  { numBeams = 1, lengthPenalty = 1, earlyStopping = false, numReturnSequences = 1 }:
    ConfiguredGeneration,
): string[] {
  const settings = [
    ["num_beams", numBeams, 1, "answers of a chat appear token by token, without beams"],
    ["length_penalty", lengthPenalty, 1, "it is for beam search"],
    ["early_stopping", earlyStopping, false, "it is for beam search"],
    ["num_return_sequences", numReturnSequences, 1, "there is one answer"],
  ] as const;
  return settings.filter(([, value, neutral]) => value !== neutral).map((
    [name, value, , because],
  ) => `${name} = ${value} in the checkpoint's generation_config.json has no effect: ${because}.`);
}

/** Which tokens may come, and what ends an answer: by flags, else by a configuration. */
export function constraintsOf(
  flags: ConstraintValues,
  config: Readonly<Record<string, unknown>> = {},
): ConfiguredGeneration {
  const named = constraintNames.map((name) => [name, flags[name] ?? config[name]] as const);
  return readGeneration(Object.fromEntries(named), "The command (or generation_config.json)")
    .options;
}

/** The ids the flags name, else the checkpoint's: its configuration's and its tokenizer's. */
function endingTokens(
  { eos_tokens, eos_token_ids }: SamplingValues,
  config: readonly number[],
  tokenizer: Tokenizer,
): readonly number[] {
  if (eos_tokens === undefined && eos_token_ids === undefined) {
    const own = tokenizer.eosTokenId;
    return [...new Set(own === undefined ? config : [...config, own])];
  }
  const named = listed(eos_tokens).map((token) => {
    const id = tokenizer.idOf(token);
    if (id !== undefined) return id;
    const near = nearNames(token, tokenizer.addedTokens.map(({ content }) => content));
    throw new UserError(
      `eos_tokens has "${token}", which is not in the vocabulary of the tokenizer in ` +
        `${tokenizer.directory}.${near.length > 0 ? ` Near it are: ${near.join(", ")}.` : ""}`,
    );
  });
  const numbered = listed(eos_token_ids).map((text) => {
    const id = Number(text);
    if (Number.isInteger(id) && id >= 0 && id < tokenizer.vocabSize) return id;
    throw new UserError(
      `eos_token_ids has "${text}"; expected ids below ${tokenizer.vocabSize}, the size of the ` +
        "vocabulary, separated by commas.",
    );
  });
  return [...new Set([...named, ...numbered])];
}

function listed(text: string | undefined): string[] {
  return (text ?? "").split(",").map((item) => item.trim()).filter((item) => item !== "");
}
