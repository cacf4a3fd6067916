/** The models that are measured: real shapes, and small stand-ins by which a software adapter shows that all works. @module */

import { large } from "../sft_step.ts";

/** The config of a model. */
export type Config = Readonly<Record<string, unknown>> & { readonly vocab_size: number };

/** 27 M parameters. */
const llama27M: Config = { ...large, max_position_embeddings: 4096 };

/** Qwen2.5-0.5B. */
const qwen500M: Config = {
  model_type: "qwen2",
  vocab_size: 151936,
  hidden_size: 896,
  num_hidden_layers: 24,
  num_attention_heads: 14,
  num_key_value_heads: 2,
  intermediate_size: 4864,
  tie_word_embeddings: true,
  max_position_embeddings: 4096,
  rope_theta: 1e6,
};

/** Llama 3 8B. */
const llama8B: Config = {
  model_type: "llama",
  vocab_size: 128256,
  hidden_size: 4096,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  intermediate_size: 14336,
  tie_word_embeddings: false,
  max_position_embeddings: 8192,
  rope_theta: 5e5,
};

/** A model of the same structure that any adapter holds. */
function miniature(config: Config): Config {
  return {
    ...config,
    vocab_size: 512,
    hidden_size: 64,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    intermediate_size: 128,
  };
}

/** The models by their size. */
export const models = { "27M": llama27M, "0.5B": qwen500M, "8B": llama8B } as const;

/** The name of a model. */
export type ModelName = keyof typeof models;

/** A model's config, or its miniature. */
export function configOf(name: ModelName, small: boolean): Config {
  return small ? miniature(models[name]) : models[name];
}
