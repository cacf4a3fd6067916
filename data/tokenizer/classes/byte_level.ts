/** Classes whose vocabularies spell bytes: GPT-2's and those after it. @module */

import type { JsonRecord } from "../../files/json_files.ts";
import {
  type Pipeline,
  sequence,
  settingOf,
  type TokenizerClass,
  type Vocabulary,
} from "./tokenizer_class.ts";

const decoder = {
  type: "ByteLevel",
  add_prefix_space: true,
  trim_offsets: true,
  use_regex: true,
} as const;

function byteLevel(addPrefixSpace: boolean, trimOffsets: boolean, useRegex: boolean): JsonRecord {
  return {
    type: "ByteLevel",
    add_prefix_space: addPrefixSpace,
    trim_offsets: trimOffsets,
    use_regex: useRegex,
  };
}

function bpe({ vocab, merges = [] }: Vocabulary): JsonRecord {
  return {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: "",
    end_of_word_suffix: "",
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    vocab,
    merges,
  };
}

const files = ["vocab.json", "merges.txt"] as const;
const common = { model: "BPE", spelling: "bytes", files } as const;
const end = "<|endoftext|>";

/** GPT-2, GPT-J, OPT, Phi, StarCoder 2. */
export const gpt2: TokenizerClass = {
  ...common,
  tokens: { unk_token: end, bos_token: end, eos_token: end },
  pipeline: (vocabulary, { config }): Pipeline => ({
    model: bpe(vocabulary),
    normalizer: null,
    pre_tokenizer: byteLevel(settingOf(config, "add_prefix_space", false), true, true),
    decoder,
  }),
};

/** GPT-NeoX, Pythia, OLMo, MPT. */
export const gptNeoX: TokenizerClass = {
  ...common,
  tokens: { unk_token: end, bos_token: end, eos_token: end, pad_token: "<|padding|>" },
  surrounds: { bos: false },
  pipeline: (vocabulary, { config }): Pipeline => ({
    model: bpe(vocabulary),
    normalizer: { type: "NFC" },
    pre_tokenizer: byteLevel(
      settingOf(config, "add_prefix_space", false),
      settingOf(config, "trim_offsets", true),
      true,
    ),
    decoder,
  }),
};

/** RoBERTa and BART. */
export const roberta: TokenizerClass = {
  ...common,
  tokens: {
    bos_token: "<s>",
    eos_token: "</s>",
    sep_token: "</s>",
    cls_token: "<s>",
    unk_token: "<unk>",
    pad_token: "<pad>",
    mask_token: "<mask>",
  },
  pipeline: gpt2.pipeline,
  postProcessor: ({ config, named }, idOf) => {
    const token = (name: string) => [named[name] ?? "", idOf(named[name] ?? "") ?? 0];
    return {
      type: "RobertaProcessing",
      sep: token("sep_token"),
      cls: token("cls_token"),
      trim_offsets: settingOf(config, "trim_offsets", true),
      add_prefix_space: settingOf(config, "add_prefix_space", false),
    };
  },
};

function qwen(pattern: string): TokenizerClass {
  return {
    ...common,
    tokens: { unk_token: end, eos_token: end, pad_token: end },
    pipeline: (vocabulary, { config }): Pipeline => ({
      model: bpe(vocabulary),
      normalizer: { type: "NFC" },
      pre_tokenizer: sequence("pretokenizers", [
        { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
        byteLevel(settingOf(config, "add_prefix_space", false), true, false),
      ]),
      decoder,
    }),
  };
}

/** Qwen 2 and 3. */
export const qwen2: TokenizerClass = {
  ...qwen(
    String
      .raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  ),
  plainSpecials: true,
};

/** Qwen 3.5, whose words hold their combining marks. */
export const qwen3_5: TokenizerClass = qwen(
  String
    .raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
);
