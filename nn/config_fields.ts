/**
 * The types of the fields of a `config.json`, as transformers 5.17 declares them and holds files against: a field is of
 * its type whether or not anything is computed with it.
 *
 * @module
 */

import {
  configError,
  configNumber,
  configSize,
  dropoutNames,
  type HuggingFaceConfig,
  writtenAsFloats,
} from "./config.ts";

/** Types of fields; they are the same in all families. */
const fieldsOfType = {
  whole:
    "chunk_size_feed_forward vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads " +
    "num_key_value_heads max_position_embeddings pad_token_id bos_token_id pretraining_tp head_dim sliding_window " +
    "max_window_layers query_pre_attn_scalar n_positions n_embd n_layer n_head n_inner rotary_dim ffn_dim " +
    "word_embed_proj_dim original_max_position_embeddings d_model d_kv d_ff num_layers num_decoder_layers " +
    "num_heads relative_attention_num_buckets relative_attention_max_distance n_layers n_heads dim hidden_dim",
  float:
    "initializer_range rms_norm_eps final_logit_softcapping attn_logit_softcapping layer_norm_epsilon " +
    "layer_norm_eps init_std initializer_factor",
  number:
    "attention_dropout resid_pdrop embd_pdrop attn_pdrop summary_first_dropout hidden_dropout classifier_dropout " +
    "dropout layerdrop dropout_rate qa_dropout seq_classif_dropout",
  truth:
    "output_hidden_states return_dict is_encoder_decoder use_cache tie_word_embeddings attention_bias mlp_bias " +
    "use_sliding_window use_bidirectional_attention summary_use_proj summary_proj_to_labels scale_attn_weights " +
    "scale_attn_by_inverse_layer_idx reorder_and_upcast_attn add_cross_attention use_parallel_residual is_decoder " +
    "do_layer_norm_before enable_bias layer_norm_elementwise_affine sinusoidal_pos_embds",
  text:
    "transformers_version hidden_act hidden_activation activation_function summary_type summary_activation " +
    "feed_forward_proj activation",
  texts: "architectures layer_types",
  ids: "eos_token_id",
} as const;

type Type = keyof typeof fieldsOfType;

/** Fields that may not be null in any family. */
const neverNull = "chunk_size_feed_forward is_encoder_decoder vocab_size";

/** Further fields that may not be null, by `model_type`. Elsewhere null is as good as nothing. */
const neverNullIn: Readonly<Record<string, string>> = {
  llama:
    "hidden_size intermediate_size num_hidden_layers num_attention_heads hidden_act max_position_embeddings " +
    "initializer_range rms_norm_eps use_cache tie_word_embeddings attention_bias mlp_bias",
  mistral:
    "hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads hidden_act " +
    "max_position_embeddings initializer_range rms_norm_eps use_cache tie_word_embeddings attention_dropout",
  qwen2:
    "hidden_size intermediate_size num_hidden_layers num_attention_heads hidden_act max_position_embeddings " +
    "initializer_range rms_norm_eps use_cache tie_word_embeddings use_sliding_window max_window_layers " +
    "attention_dropout",
  qwen3:
    "hidden_size intermediate_size num_hidden_layers num_attention_heads head_dim hidden_act " +
    "max_position_embeddings initializer_range rms_norm_eps use_cache tie_word_embeddings attention_bias " +
    "use_sliding_window max_window_layers attention_dropout",
  gemma2:
    "hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim " +
    "hidden_activation max_position_embeddings initializer_range rms_norm_eps use_cache tie_word_embeddings " +
    "attention_bias query_pre_attn_scalar",
  gemma3_text:
    "hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim " +
    "hidden_activation max_position_embeddings initializer_range rms_norm_eps use_cache tie_word_embeddings " +
    "attention_bias query_pre_attn_scalar",
  gpt2:
    "n_positions n_embd n_layer n_head activation_function resid_pdrop embd_pdrop attn_pdrop layer_norm_epsilon " +
    "initializer_range summary_type summary_use_proj summary_proj_to_labels summary_first_dropout " +
    "scale_attn_weights use_cache scale_attn_by_inverse_layer_idx reorder_and_upcast_attn add_cross_attention " +
    "tie_word_embeddings",
  gpt_neox:
    "hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act attention_dropout " +
    "hidden_dropout classifier_dropout max_position_embeddings initializer_range layer_norm_eps use_cache " +
    "tie_word_embeddings use_parallel_residual attention_bias is_decoder",
  gptj:
    "n_positions n_embd n_layer n_head rotary_dim activation_function resid_pdrop embd_pdrop attn_pdrop " +
    "layer_norm_epsilon initializer_range use_cache tie_word_embeddings",
  opt:
    "hidden_size num_hidden_layers ffn_dim max_position_embeddings do_layer_norm_before dropout attention_dropout " +
    "num_attention_heads activation_function layerdrop init_std use_cache enable_bias " +
    "layer_norm_elementwise_affine tie_word_embeddings",
  phi3:
    "hidden_size intermediate_size num_hidden_layers num_attention_heads resid_pdrop embd_pdrop attention_dropout " +
    "hidden_act max_position_embeddings original_max_position_embeddings initializer_range rms_norm_eps use_cache " +
    "tie_word_embeddings",
  t5:
    "d_model d_kv d_ff num_layers num_heads relative_attention_num_buckets relative_attention_max_distance " +
    "dropout_rate layer_norm_epsilon initializer_factor feed_forward_proj use_cache classifier_dropout is_decoder",
  distilbert:
    "max_position_embeddings sinusoidal_pos_embds n_layers n_heads dim hidden_dim dropout attention_dropout " +
    "activation initializer_range qa_dropout seq_classif_dropout tie_word_embeddings",
};

const isWhole = (value: unknown) => Number.isSafeInteger(value);
const isText = (value: unknown) => typeof value === "string";
const isListOf = (value: unknown, fits: (value: unknown) => boolean) =>
  Array.isArray(value) && value.every(fits);

/** What fits a type; for numbers the file's spelling counts too: 64.0 is no number of heads, 1 no epsilon. */
const types: Readonly<
  Record<
    Type,
    { readonly needed: string; readonly fits: (value: unknown, isFloat: boolean) => boolean }
  >
> = {
  whole: {
    needed: "a whole number without a decimal point",
    fits: (value, isFloat) => isWhole(value) && !isFloat,
  },
  float: {
    needed: "a number with a decimal point",
    fits: (value, isFloat) => typeof value === "number" && (isFloat || !Number.isInteger(value)),
  },
  number: { needed: "a number", fits: (value) => typeof value === "number" },
  truth: { needed: "true or false", fits: (value) => typeof value === "boolean" },
  text: { needed: "a text", fits: isText },
  texts: { needed: "a list of names, or null,", fits: (value) => isListOf(value, isText) },
  ids: {
    needed: "a token id without a decimal point, or null,",
    fits: (value, isFloat) => !isFloat && (isWhole(value) || isListOf(value, isWhole)),
  },
};

/** PyTorch's types of numbers, by name. */
const dtypeName =
  /^(torch\.)?(float(16|32|64)|bfloat16|half|float|double|float8_\w+|u?int(8|16|32|64)|auto)$/;

/** Fields that say what a model is, and what they may hold. */
const describingFields: Readonly<
  Record<string, { readonly needed: string; readonly fits: (value: unknown) => boolean }>
> = {
  dtype: {
    needed: 'the name of a dtype, such as "bfloat16",',
    fits: (value) => typeof value === "string" && dtypeName.test(value),
  },
  torch_dtype: {
    needed: 'the name of a dtype, such as "bfloat16",',
    fits: (value) => typeof value === "string" && dtypeName.test(value),
  },
  id2label: {
    needed: "an object with a name for each number",
    fits: (value) => isObject(value) && Object.keys(value).every((id) => /^\d+$/.test(id)),
  },
  label2id: {
    needed: "an object with a number for each name",
    fits: (value) => isObject(value) && Object.values(value).every(isWhole),
  },
  problem_type: {
    needed: "regression, single_label_classification or multi_label_classification",
    fits: (value) => /^(regression|(single|multi)_label_classification)$/.test(String(value)),
  },
};

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Probabilities of dropout that nothing here computes with. */
const otherDropouts = /(_|^|layer)drop(out)?$/;

/**
 * Checks the fields of a config against their types, also where nothing is computed with them.
 *
 * @throws UserError naming what is of another type.
 */
export function checkFields(config: HuggingFaceConfig): void {
  const family = neverNullIn[String(config["model_type"])] ?? "";
  const filled = new Set(`${neverNull} ${family}`.split(" "));
  // Configs that no file was read for know no spelling.
  const floats = config[writtenAsFloats];
  for (const [type, names] of Object.entries(fieldsOfType)) {
    const { needed, fits } = types[type as Type];
    for (const name of names.split(" ")) {
      const value = config[name];
      if (value === undefined || (value === null && !filled.has(name))) continue;
      if (!fits(value, floats?.has(name) ?? type === "float")) {
        throw configError(config, name, needed);
      }
    }
  }
  for (const [name, { needed, fits }] of Object.entries(describingFields)) {
    const value = config[name] ?? null;
    if (value !== null && !fits(value)) throw configError(config, name, needed);
  }
  for (const name of Object.keys(config)) {
    if (dropoutNames.test(name) || otherDropouts.test(name)) {
      configNumber(config, name, 0, { min: 0, max: 1 });
    }
  }
  for (const name of ["pretraining_tp", "original_max_position_embeddings"]) {
    configSize(config, name, 1);
  }
}
