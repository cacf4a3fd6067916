/** transformers' tokenizer classes that build their pipeline anew instead of reading it from `tokenizer.json`. @module */

import { gpt2, gptNeoX, qwen2, qwen3_5, roberta } from "./byte_level.ts";
import { codeLlama, gemma, llama, t5 } from "./blanks.ts";
import type { TokenizerClass } from "./tokenizer_class.ts";
import { bert } from "./words.ts";

/** The classes, by their names without "Fast". */
export const tokenizerClasses: Readonly<Record<string, TokenizerClass>> = {
  BartTokenizer: roberta,
  BertTokenizer: bert,
  CodeLlamaTokenizer: codeLlama,
  DistilBertTokenizer: bert,
  GPT2Tokenizer: gpt2,
  GPTNeoXTokenizer: gptNeoX,
  GemmaTokenizer: gemma,
  LlamaTokenizer: llama,
  Qwen2Tokenizer: qwen2,
  Qwen3_5Tokenizer: qwen3_5,
  RobertaTokenizer: roberta,
  T5Tokenizer: t5,
};

/** Further classes of transformers that build their pipeline anew, where here the file is followed. */
export const otherClasses: ReadonlySet<string> = new Set(
  `Albert Barthez BigBird Blenderbot CLIP Camembert CodeGen Cohere Deberta DebertaV2 FNet Funnel Herbert LayoutLMv2
  LayoutLMv3 LayoutXLM Lasr MBart MBart50 MPNet Nllb Nougat OpenAIGPT Parakeet Pegasus RemBert Reformer RoFormer
  SeamlessM4T Splinter Udop Whisper XGLM XLMRoberta XLNet`.split(/\s+/).map((name) =>
    `${name}Tokenizer`
  ),
);
