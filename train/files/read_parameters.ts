/** A model's parameters from a checkpoint's directory: what it takes of the files, and what it leaves. @module */

import { computesNothing, type Key, leavesOf, type Path, realize } from "../../core/mod.ts";
import { type CheckpointFiles, openCheckpointFiles } from "../../data/weights/checkpoint_files.ts";
import { toFloat32Array } from "../../data/weights/safetensors_dtypes.ts";
import type { StoredTensor } from "../../data/weights/stored_tensor.ts";
import {
  type Architecture,
  type DecoderParams,
  freshParameter,
  isLabelHead,
  isTokenEmbedding,
  isValueHeadParameter,
  type ModelHead,
  type ParameterShape,
  type ParameterShapes,
  shapesOf,
} from "../../nn/mod.ts";
import { loadParameters, namedAsInTree } from "./model_files.ts";
import { plannedParameters } from "./planned_parameters.ts";
import { loadWeights, type WeightStorage } from "./quantized_files.ts";

/** Options of {@link readParameters}. */
export interface ReadOptions {
  /** With a key, a score or value head that the files lack begins fresh instead of being an error. */
  readonly fresh?: Key;
  /** How weights are stored in memory; f32 by default. */
  readonly storage?: WeightStorage | undefined;
  /** Told what a user should know of the files: tensors that are not used, a config that does not fit them. */
  readonly notice?: ((text: string) => void) | undefined;
}

/**
 * Reads a model's parameters from a directory. Where the config says that the output head is the embedding matrix but
 * the files have both, and they differ, the tree has both, as in transformers 5.
 *
 * @throws UserError naming the file, if a tensor is missing, of other sizes, or not finite.
 */
export async function readParameters(
  model: Architecture,
  directory: string,
  head: ModelHead = { kind: "language" },
  { fresh, storage, notice }: ReadOptions = {},
): Promise<DecoderParams> {
  using opened = namedAsInTree(await openCheckpointFiles(directory), model);
  const { shapes, files } = await withTies(model.shapes(head), opened, head, notice);
  nameUnused(shapes, opened, head, notice);
  const begin = (path: string, shape: ParameterShape) =>
    fresh && (isLabelHead(path.replace(/\..*/, "")) || isValueHeadParameter(path))
      ? freshParameter(model, path, shape, fresh, head)
      : null;
  if (computesNothing()) {
    return await plannedParameters<DecoderParams>(shapes, files, storage, begin);
  }
  const coded = [...files.tensors.keys()].some((name) => quantizedPart.test(name));
  return storage || coded
    ? await loadWeights<DecoderParams>(shapes, files, storage, begin)
    : await realize(await loadParameters<DecoderParams>(shapes, files, begin));
}

const headMatrix = "lm_head.weight";

/** Shapes and files by what is in these of a head that is to be the embedding matrix. */
async function withTies(
  shapes: ParameterShapes,
  files: CheckpointFiles,
  head: ModelHead,
  notice: ReadOptions["notice"],
): Promise<{ readonly shapes: ParameterShapes; readonly files: CheckpointFiles }> {
  const paths = shapesOf(shapes);
  const embedding = paths.find(([path]) => isTokenEmbedding(path.replace(/\.weight$/, "")));
  const own = files.tensors.get(headMatrix);
  const parted = paths.some(([path]) => path === headMatrix);
  if (head.kind !== "language" || parted || !embedding || !own) return { shapes, files };
  const [path, shape] = embedding;
  const tied = files.tensors.get(path);
  if (!tied) {
    const tensors = new Map([...files.tensors, [path, own]]);
    return { shapes, files: { ...files, tensors } };
  }
  // Without reading them they are taken to be the same, as they nearly always are.
  if (computesNothing() || await sameNumbers(tied, own)) return { shapes, files };
  notice?.(
    `config.json says that the output head is the embedding matrix (tie_word_embeddings), but the files in ` +
      `${files.directory} have two, which differ (${tied.name} and ${own.name}): both are used. What is saved of the ` +
      "model says so.",
  );
  const root = shapes as Readonly<Record<string, object | undefined>>;
  const lm_head = { ...root["lm_head"], weight: shape };
  return { shapes: { ...root, lm_head }, files };
}

async function sameNumbers(a: StoredTensor, b: StoredTensor): Promise<boolean> {
  if (a.shape.join() !== b.shape.join()) return false;
  const [x, y] = await Promise.all(
    [a, b].map(async ({ dtype, name, bytes }) =>
      toFloat32Array({ dtype, name, bytes: await bytes() })
    ),
  );
  return x!.every((value, i) => value === y![i]);
}

/** Parts of matrices that bitsandbytes quantised. */
const quantizedPart =
  /\.(SCB|weight_format|(nested_)?absmax|(nested_)?quant_map|quant_state\.\w+)$/;

/** Buffers that old versions of transformers saved with the weights, and heads beside the model. */
const harmless = [
  /(^|\.)inv_freq$/,
  /(^|\.)(attn|attention|crossattention)\.(masked_)?bias$/,
  /(^|\.)position_ids$/,
  /(^|\.)decoder\.version$/,
  /^(encoder|decoder)\.embed_tokens\.weight$/,
  /^decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight$/,
  /^v_head\./,
];

/** Says which tensors a model does not use, but for those that nobody misses. */
function nameUnused(
  shapes: ParameterShapes,
  { tensors, directory }: CheckpointFiles,
  head: ModelHead,
  notice: ReadOptions["notice"],
): void {
  const used = new Set<Path>(leavesOf(shapes).map(([path]) => path));
  const unused = [...tensors].filter(([name]) =>
    !used.has(name) && !quantizedPart.test(name) &&
    !harmless.some((pattern) => pattern.test(name)) &&
    // A head with the same numbers as the embeddings, or one that a classifier has no use for.
    !(name === headMatrix || (head.kind !== "language" && name.startsWith("lm_head.")))
  ).map(([, { name }]) => name);
  if (unused.length === 0) return;
  const shown = unused.slice(0, 5).join(", ") +
    (unused.length > 5 ? `, … (${unused.length} in all)` : "");
  notice?.(
    `The model of config.json has no place for ${
      unused.length === 1 ? "a tensor" : "tensors"
    } of the checkpoint in ${directory}, and does not use ${
      unused.length === 1 ? "it" : "them"
    }: ${shown}.`,
  );
}
