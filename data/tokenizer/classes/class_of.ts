/** Which of transformers' tokenizer classes a checkpoint is opened with. @module */

import type { JsonRecord } from "../../files/json_files.ts";

/** The class that takes a file as it is. */
export const generic = "TokenizersBackend";

/** Classes by a model's type, where transformers has one registered. */
const registered: Readonly<Record<string, string>> = {
  bart: "RobertaTokenizer",
  bert: "BertTokenizer",
  code_llama: "CodeLlamaTokenizer",
  codegen: "GPT2Tokenizer",
  cohere: "CohereTokenizer",
  cohere2: "CohereTokenizer",
  distilbert: "BertTokenizer",
  electra: "BertTokenizer",
  falcon_mamba: "GPTNeoXTokenizer",
  gemma: "GemmaTokenizer",
  gemma2: "GemmaTokenizer",
  gemma3: "GemmaTokenizer",
  gemma3_text: "GemmaTokenizer",
  gpt2: "GPT2Tokenizer",
  gpt_bigcode: generic,
  gpt_neo: "GPT2Tokenizer",
  gpt_neox: "GPTNeoXTokenizer",
  gptj: "GPT2Tokenizer",
  granite: generic,
  mamba: "GPTNeoXTokenizer",
  mistral: generic,
  mistral3: generic,
  mixtral: generic,
  mpt: "GPTNeoXTokenizer",
  mt5: "T5Tokenizer",
  olmo: "GPTNeoXTokenizer",
  olmo2: generic,
  olmo3: generic,
  olmoe: "GPTNeoXTokenizer",
  opt: "GPT2Tokenizer",
  phi: "GPT2Tokenizer",
  phi3: generic,
  qwen2: "Qwen2Tokenizer",
  qwen2_moe: "Qwen2Tokenizer",
  qwen3: "Qwen2Tokenizer",
  qwen3_5: "Qwen3_5Tokenizer",
  qwen3_5_text: "Qwen3_5Tokenizer",
  qwen3_moe: "Qwen2Tokenizer",
  qwen3_next: "Qwen2Tokenizer",
  roberta: "RobertaTokenizer",
  stablelm: generic,
  starcoder2: "GPT2Tokenizer",
  t5: "T5Tokenizer",
  umt5: generic,
};

/** Types of models whose published `tokenizer_class` transformers takes for wrong. */
const wronglyPublished = new Set(["phi3", "qwen2", "deepseek_v2", "deepseek_v3", "minicpm3"]);

/** Names that stand for the generic class. */
const genericNames = new Set([generic, "PythonBackend", "PreTrainedTokenizer"]);

/**
 * The name of the class, without "Fast": by `tokenizer_class` of `tokenizer_config.json`, else of `config.json`, where
 * the model's type does not speak against it; else by the model's type. As `AutoTokenizer.from_pretrained`.
 *
 * @param isKnown Whether transformers has a class of this name.
 */
export function tokenizerClassOf(
  config: JsonRecord,
  model: JsonRecord,
  isKnown: (name: string) => boolean,
): string {
  const published = nameIn(config) ?? nameIn(model);
  const type = typeof model["model_type"] === "string" ? model["model_type"] : "";
  const own = Object.hasOwn(registered, type) ? registered[type]! : undefined;
  const known = (name: string) => genericNames.has(name) || !isKnown(name) ? generic : name;
  if (published === undefined) return own ?? generic;
  if (own === undefined || own === published) return known(published);
  if (own === generic) return generic;
  return wronglyPublished.has(type) ? own : known(published);
}

function nameIn(file: JsonRecord): string | undefined {
  const name = file["tokenizer_class"];
  return typeof name === "string" ? name.replace(/Fast$/, "") : undefined;
}
