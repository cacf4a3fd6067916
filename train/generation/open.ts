/** A device and a model to generate with. @module */

import { localModel } from "../../data/hub/local_model.ts";
import type { QuantizeOptions } from "../../nn/mod.ts";
import { isAdapterDirectory } from "../files/adapter_files.ts";
import { type ModelSource, type OpenModel, openModel } from "../files/model_directory.ts";
import type { WeightStorage } from "../files/quantized_files.ts";
import type { GenerationModelValues } from "../settings/generation.ts";
import { revisionOf } from "../settings/model.ts";

/** What is needed to generate. */
export type GenerationModel = Pick<
  OpenModel,
  "model" | "params" | "tokenizer" | "generationConfig"
>;

/**
 * Opens a checkpoint or an adapter on the current device.
 *
 * @param notice Told what a user should know of the files.
 * @throws {UserError} naming the file, if something is missing, broken or not supported.
 */
export async function openGenerationModel(
  values: GenerationModelValues,
  notice?: (text: string) => void,
): Promise<GenerationModel> {
  const { model_name_or_path: name, chat_template_path: template } = values;
  const revision = revisionOf(values);
  const directory = await localModel(name, { revision });
  const storage = storageOf(values);
  const source: ModelSource = {
    directory: name,
    revision,
    storage,
    seed: 0,
    notice,
    overrides: template === undefined ? {} : { chatTemplatePath: template },
  };
  const isNarrow = storage.dtype !== "f32";
  if (!isNarrow || await isAdapterDirectory(directory)) return await openModel(source);
  // Only what lies under an adapter is held narrow, so open it under one, and leave that away.
  const { reference, ...opened } = await openModel({
    ...source,
    lora: { r: 1, target_modules: "all-linear" },
  });
  return { ...opened, params: reference };
}

function storageOf(values: GenerationModelValues): WeightStorage {
  const quantize: QuantizeOptions | undefined = values.load_in_4bit
    ? { format: values.bnb_4bit_quant_type, nested: values.use_bnb_nested_quant }
    : values.load_in_8bit
    ? { format: "int8" }
    : undefined;
  const names = { float32: "f32", auto: "auto", bfloat16: "bf16", float16: "f16" } as const;
  return { quantize, dtype: names[values.dtype] };
}
