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
export * from "./checkpoint_files.ts";
export * from "./formats.ts";
export * from "./half.ts";
export * from "./packing.ts";
export * from "./prepare_sft.ts";
export * from "./readers.ts";
export * from "./safetensors.ts";
export * from "./safetensors_dtypes.ts";
export * from "./sampler.ts";
export * from "./token_stream.ts";
export * from "./tokenizer.ts";
export * from "./tokenizer_files.ts";
