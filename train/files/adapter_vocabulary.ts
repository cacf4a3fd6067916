/** Adapters over a model whose vocabulary was changed, as by transformers' `resize_token_embeddings`. @module */

import { concat, realize, Tensor, UserError, zeros } from "../../core/mod.ts";
import { openCheckpointFiles } from "../../data/weights/checkpoint_files.ts";
import {
  type DecoderParams,
  isLanguageHead,
  isTokenEmbedding,
  mapParameters,
  parametersOf,
} from "../../nn/mod.ts";
import { adapterFileTensors, basePathOf, isVocabularyMatrix } from "./adapter_names.ts";

/** For how many tokens an adapter has matrices of its own. */
export interface AdapterVocabulary {
  /** The adapter's. */
  readonly directory: string;
  /** How many. */
  readonly tokens: number;
  /** Paths of the matrices. */
  readonly paths: readonly string[];
}

/**
 * The vocabulary of the embeddings and the head that an adapter brings along, or null if it has none.
 *
 * @throws UserError if they are for different numbers of tokens.
 */
export async function adapterVocabulary(directory: string): Promise<AdapterVocabulary | null> {
  using files = await openCheckpointFiles(directory, { stem: "adapter_model" });
  const found = [...adapterFileTensors(files)].filter(([name]) => isVocabularyMatrix(name));
  const [first] = found;
  if (!first) return null;
  const tokens = first[1].shape[0]!;
  const other = found.find(([, { shape }]) => shape[0] !== tokens);
  if (other) {
    throw new UserError(
      `The adapter in ${directory} has ${first[1].name} for ${tokens} tokens and ${
        other[1].name
      } for ` + `${other[1].shape[0]}: they do not belong together.`,
    );
  }
  return { directory, tokens, paths: found.map(([name]) => basePathOf(name)) };
}

/**
 * A model's parameters with room for another number of tokens in its embeddings and its head; the adapter fills it.
 *
 * @throws UserError naming the sizes if it has not all of them.
 */
export async function withVocabulary(
  params: DecoderParams,
  { directory, tokens, paths }: AdapterVocabulary,
): Promise<DecoderParams> {
  const isHere = (path: string) => {
    const module = path.replace(/\.(weight|bias)$/, "");
    return isTokenEmbedding(module) || isLanguageHead(module);
  };
  const matrices = parametersOf(params).filter(([path]) =>
    path.endsWith(".weight") && isHere(path)
  );
  const lacking = matrices.length === 1 ? [] : matrices.filter(([path]) => !paths.includes(path));
  if (lacking.length > 0) {
    const [path, weight] = lacking[0]!;
    const has = weight instanceof Tensor ? weight.shape[0] : "another number of";
    throw new UserError(
      `The adapter in ${directory} has ${
        paths.join(" and ")
      } for ${tokens} tokens, but not ${path}, which in the ` +
        `base model has ${has} rows (vocab_size). Save the adapter with both (PEFT's save_embedding_layers=True).`,
    );
  }
  return await realize(mapParameters(params, (weight, path) => {
    if (!isHere(path) || !(weight instanceof Tensor)) return weight;
    const [count, ...inner] = weight.shape as [number, ...number[]];
    if (count >= tokens) return weight.slice(0, tokens);
    return concat([weight, zeros([tokens - count, ...inner]).cast(weight.dtype)]);
  }));
}
