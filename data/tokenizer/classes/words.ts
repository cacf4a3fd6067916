/** BERT's class, whose vocabulary holds words and their endings. @module */

import { type Pipeline, settingOf, surrounded, type TokenizerClass } from "./tokenizer_class.ts";

/** BERT, DistilBERT, ELECTRA. */
export const bert: TokenizerClass = {
  model: "WordPiece",
  spelling: "words",
  files: ["vocab.txt"],
  tokens: {
    unk_token: "[UNK]",
    sep_token: "[SEP]",
    pad_token: "[PAD]",
    cls_token: "[CLS]",
    mask_token: "[MASK]",
  },
  pipeline: ({ vocab }, { config, named }): Pipeline => ({
    model: {
      type: "WordPiece",
      unk_token: named["unk_token"] ?? "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab,
    },
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: settingOf(config, "tokenize_chinese_chars", true),
      strip_accents: typeof config["strip_accents"] === "boolean" ? config["strip_accents"] : null,
      lowercase: settingOf(config, "do_lower_case", true),
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
  }),
  postProcessor: ({ named }, idOf) => {
    const token = (name: string, otherwise: number) => {
      const text = named[name] ?? "None";
      return [text, idOf(text) ?? otherwise] as const;
    };
    return surrounded([token("cls_token", 2)], [token("sep_token", 3)]);
  },
};
