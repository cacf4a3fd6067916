/**
 * Files in, tokens out: readers, formats, chat templates, packing, safetensors, the order of rows.
 *
 * @example
 * ```ts
 * import { packExamples } from "@plumb/plumb/data";
 *
 * const document = (ids: number[]) => ({
 *   inputIds: Int32Array.from(ids),
 *   labels: Int32Array.from(ids),
 *   rows: [0],
 * });
 * const rows = packExamples([document([1, 2, 3]), document([4])], { maxLength: 4 });
 * console.log(rows.length); // 1
 * ```
 *
 * @module
 */

export * from "./atomic.ts";
export * from "./chat_template.ts";
export type { ChatTemplates } from "./chat_template_files.ts";
export * from "./checkpoint_files.ts";
export * from "./completions.ts";
export * from "./conversions.ts";
export * from "./dataset_types.ts";
export * from "./formats.ts";
export * from "./half.ts";
export type { JsonRecord } from "./json_files.ts";
export * from "./packing.ts";
export * from "./preference_formats.ts";
export * from "./preference_tokens.ts";
export * from "./prepare_gkd.ts";
export * from "./prepare_pairs.ts";
export * from "./prepare_prm.ts";
export * from "./prepare_prompts.ts";
export * from "./prepare_reward.ts";
export * from "./prepare_sft.ts";
export * from "./prepare_unpaired.ts";
export * from "./prepared.ts";
export * from "./readers.ts";
export * from "./safetensors.ts";
export * from "./safetensors_dtypes.ts";
export type { Described } from "./safetensors_header.ts";
export * from "./sampler.ts";
export * from "./stored_tensor.ts";
export type { TokenSpan } from "./tokenizer/token_span.ts";
export * from "./token_stream.ts";
export * from "./tokenizer.ts";
export * from "./tokenizer_files.ts";
