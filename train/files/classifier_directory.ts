/** Classifiers of texts as directories in the Hugging Face layout. @module */

import { leavesOf, type Path, UserError } from "../../core/mod.ts";
import { localModel, type ModelPart } from "../../data/hub/local_model.ts";
import { openCheckpointFiles } from "../../data/weights/checkpoint_files.ts";
import { labelNames, type SequenceClassifier, sequenceClassifier } from "../../nn/mod.ts";
import { isAdapterDirectory, readAdapterConfig, resolveBaseModel } from "./adapter_files.ts";
import {
  type ModelSource,
  neededPart,
  type OpenNetwork,
  openNetwork,
  readModelConfig,
} from "./model_directory.ts";

/** A classifier of texts, its parameters and its tokenizer. */
export interface OpenClassifier extends OpenNetwork<SequenceClassifier> {
  /** Where it was found. */
  readonly directory: string;
  /** Names of its labels. */
  readonly labels: readonly string[];
}

/**
 * Opens a classifier of texts with as many labels as its files score: a checkpoint, or an adapter over one.
 *
 * @throws UserError naming the file, if something is missing, broken or not supported.
 */
export async function openClassifier(
  source: Omit<ModelSource, "directory" | "initFromConfig" | "head"> & {
    readonly directory: string;
  },
): Promise<OpenClassifier> {
  const { directory } = source;
  const labels = await classifierLabels(directory, neededPart());
  const head = { kind: "sequence", labels: labels.length } as const;
  const opened = await openNetwork(
    { ...source, head },
    (config) => sequenceClassifier(config, labels.length),
  );
  return { ...opened, directory, labels };
}

/**
 * The names of the labels that {@linkcode openClassifier} would find, without reading weights.
 *
 * @param part What is fetched of a model that is not here yet; as little as is needed, by default.
 * @throws UserError if there is no model, none that is supported, or one without a head over labels.
 */
export async function classifierLabels(
  name: string,
  part: ModelPart = "shapes",
): Promise<readonly string[]> {
  const directory = await localModel(name, { part, what: "reward model" });
  const adapter = await isAdapterDirectory(directory) ? await readAdapterConfig(directory) : null;
  const base = adapter
    ? (await resolveBaseModel(directory, adapter, { part })).directory
    : directory;
  const config = await readModelConfig(`${base}/config.json`);
  const head = leavesOf(sequenceClassifier(config, 1).shapes())
    .map(([path]) => path)
    .find((path) => /^(score|classifier)\.weight$/.test(path))!;
  const count = (adapter && await storedRows(directory, "adapter_model", head)) ??
    await storedRows(base, "model", head);
  if (count !== null) return labelNames(config, count);
  throw new UserError(
    `${name} has no ${head}: it is no classifier, and its scores would be random. Give a reward model, such as the ` +
      "reward command trains.",
  );
}

/** How many rows a tensor has in a checkpoint's files, or in an adapter's; null if it is not there. */
async function storedRows(directory: string, stem: string, path: Path): Promise<number | null> {
  using files = await openCheckpointFiles(directory, { stem });
  const found = [...files.tensors].find(([name]) => name === path || name.endsWith(`.${path}`));
  return found?.[1].shape[0] ?? null;
}
