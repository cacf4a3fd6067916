/**
 * What all decoder-only transformers share: layers one after the other over a flat stream of tokens, with or without
 * a cache. What a layer does is its family's (`families/`).
 *
 * @module
 */

import { attention, checkpoint, type OutputHead, scatterRows, type Tensor } from "../core/mod.ts";
import type { ParameterShapes } from "./parameter_shapes.ts";
import type { RotaryConfig, RotaryTables } from "./rotary.ts";

/** Sizes of a decoder. */
export interface DecoderConfig {
  /** Tokens of the vocabulary. */
  readonly vocabularySize: number;
  /** Width of hidden states. */
  readonly hiddenSize: number;
  /** Number of layers. */
  readonly layers: number;
  /** Query heads. */
  readonly heads: number;
  /** Key and value heads. */
  readonly keyValueHeads: number;
  /** Width of a head. */
  readonly headDim: number;
  /** Positions the model was made for. */
  readonly maxPositions: number;
  /** Whether it has parameters for each position, so that there are no more than `maxPositions`. */
  readonly learnedPositions: boolean;
  /** Standard deviation of fresh weights. */
  readonly initializerRange: number;
}

/** Parameters of a model, a tree under their Hugging Face names; which these are is its family's. */
export interface DecoderParams {
  /** The children of the root. */
  readonly [name: string]: unknown;
}

/** A flat stream of T tokens. */
export interface TokenStream {
  /** i32 [T]. */
  readonly ids: Tensor;
  /** i32 [5, T]: segment, parent, position, first, last; see `attention`. */
  readonly segments: Tensor;
  /** The same for the tokens as keys, where it differs. */
  readonly keySegments?: Tensor;
}

/** Settings of one forward pass. */
export interface ForwardOptions {
  /** Tables of the positions, from the model's `tables`. */
  readonly rotary: RotaryTables;
  /** Recompute each layer in the backward pass instead of keeping its intermediate values. */
  readonly gradientCheckpointing?: boolean;
  /** Changes the embeddings of tokens [T, D] before the first layer, as NEFTune does. */
  readonly onEmbeddings?: (embeddings: Tensor) => Tensor;
}

/** Keys and values of tokens seen before, one row each. */
export interface KeyValueCache {
  /** f32 [rows, K, D] per layer. */
  readonly keys: readonly Tensor[];
  /** f32 [rows, K, D] per layer. */
  readonly values: readonly Tensor[];
}

/** Where a stream's tokens go in a cache, and what is in it. */
export interface CachePlaces {
  /** i32 [T]: the row each token of the stream is written to; outside the cache for none. */
  readonly rows: Tensor;
  /** i32 [5, rows]: the cache's segments, as in a stream. */
  readonly segments: Tensor;
}

/** How a layer attends. */
export interface AttendOptions {
  /** How many positions back it sees; null or absent is no limit. */
  readonly window?: number | null;
  /** Factor of the scores; 1/√D by default. */
  readonly scale?: number;
  /** Scores become cap·tanh(score / cap). */
  readonly softcap?: number | null;
}

/** What a layer knows of its place. */
export interface LayerContext {
  /** Which layer it is, from 0. */
  readonly index: number;
  /** i32 [T]: the tokens' positions. */
  readonly positions: Tensor;
  /** Tables of the positions. */
  readonly rotary: RotaryTables;
  /**
   * Attends to what each token sees: queries f32 [T, H, D], keys and values f32 [T, K, D] of the stream's own
   * tokens → f32 [T, H·D].
   */
  readonly attend: (q: Tensor, k: Tensor, v: Tensor, options?: AttendOptions) => Tensor;
}

/** A decoder-only transformer as functions of its parameters P and those of a layer, L. */
export interface Decoder<P, L> {
  /** Its sizes. */
  readonly config: DecoderConfig;
  /** Rotary position embeddings, as many as its layers use. */
  readonly rotary: readonly RotaryConfig[];
  /** The tree of parameters but for a head's. */
  readonly body: Readonly<Record<string, ParameterShapes>>;
  /** Parameters of the head over the vocabulary; no matrix if it is the embedding matrix. */
  readonly languageHead: Readonly<Record<string, ParameterShapes>>;
  /** Whether the head over the vocabulary is the embedding matrix. */
  readonly tied: boolean;
  /** The name of a head over labels of tokens; `score` by default, null where transformers has no such class. */
  readonly tokenHead?: "score" | "classifier" | null;
  /** Names of the root's children in files, where they are others than here. */
  readonly storedNames?: Readonly<Record<string, string>>;
  /** Embeddings of tokens, i32 [T] → f32 [T, D]. */
  readonly embed: (params: P, ids: Tensor) => Tensor;
  /** What is made of them before the first layer; nothing by default. */
  readonly begin?: (params: P, embeddings: Tensor, positions: Tensor) => Tensor;
  /** Parameters of the layers. */
  readonly layers: (params: P) => readonly L[];
  /** One layer, f32 [T, D] → [T, D]. */
  readonly layer: (params: L, x: Tensor, context: LayerContext) => Tensor;
  /** What follows the last layer. */
  readonly end: (params: P, x: Tensor) => Tensor;
  /** The output head. */
  readonly head: (params: P) => OutputHead;
}

/** Hidden states after the last layer: f32 [T, D]. */
export function decoderHidden<P, L>(
  decoder: Decoder<P, L>,
  params: P,
  stream: TokenStream,
  options: ForwardOptions,
): Tensor {
  const keySegments = stream.keySegments ?? stream.segments;
  const attend: LayerContext["attend"] = (q, k, v, how = {}) =>
    attendTo(q, k, v, { querySegments: stream.segments, keySegments }, how);
  const step = stepOf(options.gradientCheckpointing ?? false);
  return throughLayers(decoder, params, stream, options, (layer, x, place) => {
    const context = { ...place, attend };
    return step((inputs: { readonly x: Tensor; readonly layer: L }) =>
      decoder.layer(inputs.layer, inputs.x, context)
    )({ x, layer });
  });
}

/**
 * The same for a stream that continues what is in a cache: its tokens' keys and values are written there first,
 * and attention is over all of it.
 */
export function decoderHiddenCached<P, L>(
  decoder: Decoder<P, L>,
  params: P,
  stream: TokenStream,
  options: ForwardOptions,
  cache: KeyValueCache,
  places: CachePlaces,
): [hidden: Tensor, cache: KeyValueCache] {
  const keys: Tensor[] = [];
  const values: Tensor[] = [];
  const segments = { querySegments: stream.segments, keySegments: places.segments };
  const hidden = throughLayers(decoder, params, stream, options, (layer, x, place) => {
    const attend: LayerContext["attend"] = (q, k, v, how = {}) => {
      keys.push(scatterRows(cache.keys[place.index]!, places.rows, k));
      values.push(scatterRows(cache.values[place.index]!, places.rows, v));
      return attendTo(q, keys.at(-1)!, values.at(-1)!, segments, how);
    };
    return decoder.layer(layer, x, { ...place, attend });
  });
  return [hidden, { keys, values }];
}

function stepOf(recompute: boolean) {
  return <I>(compute: (inputs: I) => Tensor) => recompute ? checkpoint(compute) : compute;
}

function throughLayers<P, L>(
  decoder: Decoder<P, L>,
  params: P,
  { ids, segments }: TokenStream,
  { rotary, onEmbeddings = (x) => x }: ForwardOptions,
  layer: (params: L, x: Tensor, place: Omit<LayerContext, "attend">) => Tensor,
): Tensor {
  const positions = segments.slice(2, 3).reshape(segments.shape[1]!);
  const embeddings = onEmbeddings(decoder.embed(params, ids));
  let x = decoder.begin ? decoder.begin(params, embeddings, positions) : embeddings;
  decoder.layers(params).forEach((own, index) => {
    x = layer(own, x, { index, positions, rotary });
  });
  return decoder.end(params, x);
}

function attendTo(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  segments: { readonly querySegments: Tensor; readonly keySegments: Tensor },
  { window, scale, softcap }: AttendOptions,
): Tensor {
  const out = attention(q, k, v, {
    ...segments,
    ...(window ? { window } : {}),
    ...(scale === undefined ? {} : { scale }),
    ...(softcap ? { softcap } : {}),
  });
  return out.reshape(q.shape[0]!, -1);
}
