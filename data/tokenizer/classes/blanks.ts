/** Classes for SentencePiece's vocabularies, which write blanks as "▁": Llama, Gemma, T5. @module */

import type { JsonRecord } from "../../files/json_files.ts";
import {
  type ClassSettings,
  type Pipeline,
  sequence,
  settingOf,
  surrounded,
  type TokenizerClass,
  type Vocabulary,
} from "./tokenizer_class.ts";

const files = ["tokenizer.model"] as const;

function bpe({ vocab, merges = [] }: Vocabulary, unknown: string | null): JsonRecord {
  return {
    type: "BPE",
    dropout: null,
    unk_token: unknown,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: true,
    byte_fallback: true,
    ignore_merges: false,
    vocab,
    merges,
  };
}

/** Blanks from "▁", bytes from `<0xE2>`, all joined. */
const joined: readonly JsonRecord[] = [
  { type: "Replace", pattern: { String: "▁" }, content: " " },
  { type: "ByteFallback" },
  { type: "Fuse" },
];
const withoutFirstBlank = { type: "Strip", content: " ", start: 1, stop: 0 };

function metaspace(scheme: "always" | "first" | "never", split: boolean): JsonRecord {
  return { type: "Metaspace", replacement: "▁", prepend_scheme: scheme, split };
}

/** Llama 1 and 2, and many after them. */
export const llama: TokenizerClass = {
  model: "BPE",
  spelling: "blanks",
  files,
  tokens: { unk_token: "<unk>", bos_token: "<s>", eos_token: "</s>" },
  pipeline: (vocabulary, { config }): Pipeline => {
    const prefixed = settingOf(config, "add_prefix_space", true);
    const scheme = !prefixed ? "never" : config["legacy"] === true ? "always" : "first";
    return {
      model: bpe(vocabulary, null),
      normalizer: null,
      pre_tokenizer: metaspace(scheme, false),
      decoder: sequence("decoders", [...joined, ...(prefixed ? [withoutFirstBlank] : [])]),
    };
  },
};

/** Code Llama. */
export const codeLlama: TokenizerClass = {
  ...llama,
  surrounds: { bos: true },
  tokens: {
    ...llama.tokens,
    prefix_token: "▁<PRE>",
    middle_token: "▁<MID>",
    suffix_token: "▁<SUF>",
    eot_token: "▁<EOT>",
    fill_token: "<FILL_ME>",
  },
  pipeline: (vocabulary, { config, named }): Pipeline => ({
    model: bpe(vocabulary, named["unk_token"] ?? null),
    normalizer: null,
    pre_tokenizer: metaspace(
      settingOf(config, "add_prefix_space", true) ? "first" : "never",
      false,
    ),
    decoder: sequence("decoders", [...joined, withoutFirstBlank]),
  }),
};

/** Gemma, to its third generation. */
export const gemma: TokenizerClass = {
  model: "BPE",
  spelling: "blanks",
  files,
  tokens: {
    unk_token: "<unk>",
    bos_token: "<bos>",
    eos_token: "<eos>",
    pad_token: "<pad>",
    mask_token: "<mask>",
  },
  pipeline: (vocabulary, { named }): Pipeline => ({
    model: bpe(vocabulary, named["unk_token"] ?? null),
    normalizer: { type: "Replace", pattern: { String: " " }, content: "▁" },
    pre_tokenizer: {
      type: "Split",
      pattern: { String: " " },
      behavior: "MergedWithPrevious",
      invert: false,
    },
    decoder: sequence("decoders", [...joined]),
  }),
};

/** T5 and mT5. */
export const t5: TokenizerClass = {
  model: "Unigram",
  spelling: "blanks",
  files: ["spiece.model"],
  tokens: { eos_token: "</s>", unk_token: "<unk>", pad_token: "<pad>" },
  listed: (config) =>
    Array.from({ length: settingOf(config, "extra_ids", 100) }, (_, i) => `<extra_id_${i}>`),
  pipeline: ({ vocab, charsmap }): Pipeline => ({
    model: { type: "Unigram", unk_id: 2, byte_fallback: false, vocab },
    normalizer: charsmap === undefined
      ? null
      : { type: "Precompiled", precompiled_charsmap: charsmap },
    pre_tokenizer: sequence("pretokenizers", [
      { type: "WhitespaceSplit" },
      metaspace("always", true),
    ]),
    decoder: metaspace("always", true),
  }),
  postProcessor: ({ named }: ClassSettings, idOf) =>
    surrounded([], [["</s>", idOf(named["eos_token"] ?? "") ?? 1]]),
};
