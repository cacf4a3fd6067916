/**
 * Layers, model families and optimisers, as functions over plain parameter trees.
 *
 * @example
 * ```ts
 * import { openDevice, randomKey } from "@plumb/plumb/core";
 * import { causalModel, initParameters, parametersOf } from "@plumb/plumb/nn";
 *
 * await openDevice("cpu");
 * const model = causalModel({
 *   model_type: "llama", vocab_size: 64, hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2,
 * });
 * const params = initParameters(model, randomKey(0));
 * console.log(parametersOf(params).length); // 12
 * ```
 *
 * @module
 */

export * from "./activations.ts";
export * from "./architecture.ts";
export * from "./cached_logits.ts";
export * from "./classifier.ts";
export * from "./config.ts";
export * from "./decoder.ts";
export * from "./dropout.ts";
export * from "./encoder_decoder.ts";
export * from "./families/llama_like.ts";
export * from "./families/llama_parts.ts";
export * from "./beam_search.ts";
export * from "./beams.ts";
export * from "./generate.ts";
export * from "./generate_mixture.ts";
export * from "./linear.ts";
export * from "./lora.ts";
export * from "./lora_config.ts";
export * from "./lora_targets.ts";
export * from "./model.ts";
export * from "./module_names.ts";
export * from "./norm.ts";
export * from "./optimizers/mod.ts";
export * from "./parameter_shapes.ts";
export * from "./quantize.ts";
export * from "./quantize_blocks.ts";
export * from "./quantize_nested.ts";
export * from "./quantize_rows.ts";
export * from "./quantized.ts";
export * from "./relative_positions.ts";
export * from "./rotary.ts";
export * from "./rotary_config.ts";
export * from "./rotary_dynamic.ts";
export * from "./sampling.ts";
export * from "./sampling_config.ts";
export * from "./sampling_constraints.ts";
export * from "./sequence_classifier.ts";
export * from "./value_head.ts";
export * from "./weight.ts";
export * from "./weight_trees.ts";
export * from "./windows.ts";
