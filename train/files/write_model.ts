/** Models as directories in the Hugging Face layout: writing one. @module */

import { openCheckpointFiles } from "../../data/weights/checkpoint_files.ts";
import { isRecord } from "../../data/files/json_files.ts";
import { saveTokenizer } from "../../data/tokenizer/tokenizer_files.ts";
import { headClasses, headIsTied, type HuggingFaceConfig, type ModelHead } from "../../nn/mod.ts";
import { writeAdapter } from "./adapter_files.ts";
import type { OpenModel } from "./model_directory.ts";
import {
  asStored,
  beyondFloat16,
  namedAsInFiles,
  type SavedDtype,
  writeParameters,
} from "./model_files.ts";
import { dtypeAsRead, roundingCount } from "./narrow_save.ts";
import { writeValueHead } from "./value_head_files.ts";
import { policyOf, splitValueModel, valueModelDirectory } from "./value_model.ts";

/** Options of {@link writeModel}. */
export interface WriteOptions {
  /** Of the weights but for a value head's, which are f32; `auto` is as they came. f32 by default. */
  readonly dtype?: SavedDtype | "auto" | undefined;
  /** Told what became of the weights when they were rounded. */
  readonly notice?: ((text: string) => void) | undefined;
}

/**
 * Writes a model as transformers would: weights, config, generation config, tokenizer. A model with an adapter is
 * written as PEFT would: the adapter, and the tokenizer; with a value head, as TRL's wrapper would. A value model is a
 * directory in it.
 */
export async function writeModel(
  directory: string,
  opened: OpenModel,
  params: unknown,
  options: WriteOptions = {},
): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  if (opened.valueModel) {
    const { policy, values } = splitValueModel(params);
    await writeModel(directory, policyOf(opened), policy, options);
    await writeModel(valueModelDirectory(directory), opened.valueModel, values, options);
    return;
  }
  const dtype = options.dtype === "auto"
    ? await dtypeAsRead(opened.config, opened.origin)
    : options.dtype ?? "float32";
  if (opened.adapter) {
    await writeAdapter(directory, params, opened.adapter, dtype);
    await writeValueHead(directory, params);
  } else await writeWhole(directory, opened, params, dtype, options.notice);
  await saveTokenizer(opened.tokenizer, directory);
}

async function writeWhole(
  directory: string,
  { model, config, generationConfig, tokenizer, head, origin }: OpenModel,
  params: unknown,
  wanted: SavedDtype,
  notice: WriteOptions["notice"],
): Promise<void> {
  const stored = asStored(params as object, model, head);
  const large = wanted === "float16" ? await beyondFloat16(stored) : null;
  // What was trained is not lost for it.
  const dtype = large === null ? wanted : "float32";
  if (large !== null) {
    notice?.(
      `${large} has weights beyond ±65504, which float16 does not hold: the model is saved in float32.`,
    );
  }
  if (dtype === "float32" || origin === undefined) {
    await writeParameters(directory, stored, dtype);
  } else {
    using files = namedAsInFiles(await openCheckpointFiles(origin), model);
    const rounding = roundingCount(files);
    await writeParameters(directory, stored, dtype, rounding);
    const summary = rounding.summary(dtype);
    if (summary !== null) notice?.(summary);
  }
  const special = {
    ...(tokenizer.eosTokenId === undefined ? {} : { eos_token_id: tokenizer.eosTokenId }),
    ...(tokenizer.padTokenId === undefined ? {} : { pad_token_id: tokenizer.padTokenId }),
  };
  const { quantization_config: _, ...rest } = config;
  await writeJson(`${directory}/config.json`, {
    ...rest,
    ...headFields(config, head),
    ...("torch_dtype" in config ? { torch_dtype: dtype } : { dtype }),
    // An adapter may have parted the head from the embeddings; families differ in what a config without a word means.
    ...(head.kind === "language" && headIsTied(params) !== model.tied
      ? { tie_word_embeddings: headIsTied(params) }
      : {}),
    ...alignedTo(config, special),
  });
  if (isRecord(generationConfig)) {
    await writeJson(`${directory}/generation_config.json`, {
      ...generationConfig,
      ...alignedTo(generationConfig, special),
    });
  }
}

/** What a config says of its head, as transformers writes it. */
function headFields(config: HuggingFaceConfig, head: ModelHead): Record<string, unknown> {
  const given = Array.isArray(config["architectures"]) ? String(config["architectures"][0]) : "";
  const stem = given.replace(/(LMHeadModel|Model|For[A-Z]\w*)$/, "");
  // A model of GPT-2 with its language head is no GPT2ForCausalLM.
  if (stem === "" || (head.kind === "language" && given.endsWith("LMHeadModel"))) return {};
  const architectures = [stem + headClasses[head.kind]];
  // Two labels are transformers' default, which it does not write.
  if (head.kind === "language" || head.labels === 2) return { architectures };
  const names = Array.from({ length: head.labels }, (_, i) => `LABEL_${i}`);
  return {
    architectures,
    id2label: Object.fromEntries(names.map((name, i) => [String(i), name])),
    label2id: Object.fromEntries(names.map((name, i) => [name, i])),
  };
}

/** The tokenizer's special ids where a config says something else; one of several EOS ids stays as it is. */
function alignedTo(
  config: HuggingFaceConfig,
  special: Record<string, number>,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(special).filter(([name, id]) => {
      const has = config[name];
      return Array.isArray(has) ? !has.includes(id) : has !== id;
    }),
  );
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await Deno.writeTextFile(path, `${JSON.stringify(value, null, 2)}\n`);
}
