/** What transformers' tokenizer classes have in common, as far as they change what a file says. @module */

import type { JsonRecord } from "../../files/json_files.ts";

/** Tokens and how they join: what a class builds its pipeline around. */
export interface Vocabulary {
  /** Ids by token for BPE and WordPiece; tokens with scores, in the order of their ids, for Unigram. */
  readonly vocab: Readonly<Record<string, number>> | readonly (readonly [string, number])[];
  /** Pairs that BPE joins, the first ones first. */
  readonly merges?: readonly unknown[];
  /** SentencePiece's table of replaced characters, in base64. */
  readonly charsmap?: string;
}

/** Parts of a `tokenizer.json`. */
export interface Pipeline {
  /** The model with its vocabulary. */
  readonly model: JsonRecord;
  /** What happens to texts first; null for nothing. */
  readonly normalizer: JsonRecord | null;
  /** How texts are split. */
  readonly pre_tokenizer: JsonRecord | null;
  /** How tokens become text. */
  readonly decoder: JsonRecord | null;
}

/** What `tokenizer_config.json` says, with a class's own values where it says nothing. */
export interface ClassSettings {
  /** The file's keys, after its neighbours. */
  readonly config: JsonRecord;
  /** Named special tokens, by name. */
  readonly named: Readonly<Record<string, string>>;
}

/** A class. */
export interface TokenizerClass {
  /** The algorithm it is made for. */
  readonly model: "BPE" | "Unigram" | "WordPiece";
  /** How its vocabulary spells texts: bytes in GPT-2's alphabet, words with "▁" for blanks, or words and endings. */
  readonly spelling: "bytes" | "blanks" | "words";
  /** Files beside `tokenizer.json` that it reads. */
  readonly files: readonly string[];
  /** Special tokens where the configuration does not name them. */
  readonly tokens: Readonly<Record<string, string>>;
  /** Special tokens without a name, where the configuration lists none. */
  readonly listed?: (config: JsonRecord) => readonly string[];
  /** The pipeline, which takes nothing but the vocabulary from a file. */
  readonly pipeline: (vocabulary: Vocabulary, settings: ClassSettings) => Pipeline;
  /** What it puts around every text, whatever a file says. */
  readonly postProcessor?: (
    settings: ClassSettings,
    idOf: (token: string) => number | undefined,
  ) => JsonRecord;
  /** Whether `add_bos_token` and `add_eos_token` decide what is put around texts, even against the file. */
  readonly surrounds?: { readonly bos: boolean };
  /** Special tokens are taken in their plain form, whatever properties a file gives them. */
  readonly plainSpecials?: true;
}

/** A whole number or truth value of the configuration, else a default. */
export function settingOf<T extends boolean | number>(
  config: JsonRecord,
  key: string,
  otherwise: T,
): T {
  const value = config[key];
  return typeof value === typeof otherwise ? value as T : otherwise;
}

/** A sequence of steps. */
export function sequence(kind: "normalizers" | "pretokenizers" | "decoders", steps: JsonRecord[]) {
  return { type: "Sequence", [kind]: steps };
}

/** Texts between tokens: a template of a post-processor, for one text. */
export function surrounded(
  before: readonly (readonly [string, number])[],
  after: readonly (readonly [string, number])[],
): JsonRecord {
  const special = ([id]: readonly [string, number], type: number) => ({
    SpecialToken: { id, type_id: type },
  });
  const text = (id: "A" | "B", type: number) => ({ Sequence: { id, type_id: type } });
  const around = (id: "A" | "B", type: number) => [
    ...before.map((token) => special(token, type)),
    text(id, type),
    ...after.map((token) => special(token, type)),
  ];
  return {
    type: "TemplateProcessing",
    single: around("A", 0),
    pair: [...around("A", 0), ...around("B", 1)],
    special_tokens: Object.fromEntries(
      [...before, ...after].map((
        [token, id],
      ) => [token, { id: token, ids: [id], tokens: [token] }]),
    ),
  };
}
