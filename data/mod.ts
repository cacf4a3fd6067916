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

export * from "./files/atomic.ts";
export * from "./chat/chat_template.ts";
export type { ChatTemplates } from "./chat/chat_template_files.ts";
export * from "./weights/checkpoint_files.ts";
export * from "./batches/completions.ts";
export * from "./prepare/conversions.ts";
export * from "./prepare/dataset_types.ts";
export * from "./prepare/formats.ts";
export * from "./weights/half.ts";
export type { JsonRecord } from "./files/json_files.ts";
export type { LocalModelOptions, ModelPart } from "./hub/local_model.ts";
export type { NamedAccess } from "./hub/opened.ts";
export type { Patience } from "./hub/request.ts";
export type { Repository } from "./hub/repository.ts";
export type { HubSettings } from "./hub/settings.ts";
export type { DownloadProgress, HubAccess } from "./hub/snapshot.ts";
export * from "./batches/packing.ts";
export * from "./prepare/preference_formats.ts";
export * from "./prepare/preference_tokens.ts";
export * from "./prepare/prepare_gkd.ts";
export * from "./prepare/prepare_pairs.ts";
export * from "./prepare/prepare_prm.ts";
export * from "./prepare/prepare_prompts.ts";
export * from "./prepare/prepare_reward.ts";
export * from "./prepare/prepare_sft.ts";
export * from "./prepare/prepare_unpaired.ts";
export * from "./prepare/prepared.ts";
export * from "./readers/dataset.ts";
export * from "./weights/safetensors.ts";
export * from "./weights/safetensors_dtypes.ts";
export type { Described } from "./weights/safetensors_header.ts";
export * from "./batches/sampler.ts";
export * from "./weights/stored_tensor.ts";
export type { TokenSpan } from "./tokenizer/token_span.ts";
export * from "./batches/token_stream.ts";
export * from "./tokenizer/tokenizer.ts";
export * from "./tokenizer/tokenizer_files.ts";
