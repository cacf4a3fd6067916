/** A model that is open already, as one that a run begins with. @module */

import { UserError } from "../../core/mod.ts";
import { localModel } from "../../data/hub/local_model.ts";
import { type DecoderParams, withoutValueHead } from "../../nn/mod.ts";
import { type ModelSource, type OpenModel, openModel, withAdapter } from "./model_directory.ts";

/** An open model, and where its weights are on disk. */
export interface ModelInMemory {
  /** With parameters that may be older than `params`. */
  readonly opened: OpenModel;
  /** Its parameters. */
  readonly params: DecoderParams;
  /** The directory that holds the same. */
  readonly directory: string;
}

/**
 * Opens a model as `openModel` opens its directory, without reading what is in memory. Weights that are to be stored in
 * another way, or to have another last layer, are read again.
 *
 * @throws {UserError} as `openModel`
 */
export async function takeOver(
  { opened, params, directory }: ModelInMemory,
  source: ModelSource,
): Promise<OpenModel> {
  const { lora, initialAdapter, storage, tokenizer, overrides = {} } = source;
  const head = source.head ?? { kind: "language" };
  const same = JSON.stringify(head) === JSON.stringify(opened.head) && storage === undefined &&
    tokenizer === undefined && Object.values(overrides).every((value) => value === undefined) &&
    opened.valueModel === undefined;
  if (!same) return await openModel({ ...source, directory });
  if (!lora) {
    const origin = await localModel(directory);
    return { ...opened, params, reference: withoutValueHead(params), origin };
  }
  if (opened.adapter) {
    throw new UserError(
      `The model in ${directory} has an adapter to go on with, but a fresh one was asked for. Merge it first, or do ` +
        "without a fresh one.",
    );
  }
  const adapted = await withAdapter(
    { seed: source.seed, lora, initialAdapter, directory },
    params,
    {
      given: directory,
      base: directory,
      saved: null,
      modelType: String(opened.config["model_type"]),
    },
  );
  return { ...opened, ...adapted };
}
