/**
 * The decoder-only transformer of the Llama family: what its members share. A family (`families/`) says how
 * its `config.json` maps to a {@link DecoderConfig}.
 *
 * @module
 */

import { attention, checkpoint, scatterRows, silu, Tensor } from "../core/mod.ts";
import { linear, type LinearParams } from "./linear.ts";
import { type NormParams, rmsNorm } from "./norm.ts";
import { applyRotary, type RotaryConfig, type RotaryTables } from "./rotary.ts";
import { denseWeight, embed, type Weight } from "./weight.ts";

/** Everything about the architecture that is not a parameter. */
export interface DecoderConfig {
  /** Tokens of the vocabulary. */
  readonly vocabularySize: number;
  /** Width of hidden states. */
  readonly hiddenSize: number;
  /** Width inside the feed-forward layers. */
  readonly intermediateSize: number;
  /** Number of layers. */
  readonly layers: number;
  /** Query heads. */
  readonly heads: number;
  /** Key and value heads. */
  readonly keyValueHeads: number;
  /** Width of a head. */
  readonly headDim: number;
  /** ε of normalisation. */
  readonly normEpsilon: number;
  /** Rotary position embedding. */
  readonly rotary: RotaryConfig;
  /** Whether the output head is the embedding matrix. */
  readonly tied: boolean;
  /** Which projections have biases. */
  readonly queryKeyValueBias: boolean;
  /** Whether attention's output projection has a bias. */
  readonly outputBias: boolean;
  /** Whether feed-forward layers have biases. */
  readonly mlpBias: boolean;
  /** Whether queries and keys are normalised per head. */
  readonly queryKeyNorm: boolean;
  /** How many positions back layer i sees; null is no limit. */
  readonly window: (layer: number) => number | null;
  /** Positions the model was made for. */
  readonly maxPositions: number;
  /** Standard deviation of fresh weights. */
  readonly initializerRange: number;
}

/** Parameters, under their Hugging Face names. */
export interface DecoderParams {
  /** The decoder. */
  readonly model: {
    readonly embed_tokens: { readonly weight: Weight };
    readonly layers: readonly LayerParams[];
    readonly norm: NormParams;
  };
  /** Absent when the head is the embedding matrix. */
  readonly lm_head?: { readonly weight: Weight };
}

/** Parameters of one layer. */
export interface LayerParams {
  /** Before attention. */
  readonly input_layernorm: NormParams;
  /** Attention's projections. */
  readonly self_attn: {
    readonly q_proj: LinearParams;
    readonly k_proj: LinearParams;
    readonly v_proj: LinearParams;
    readonly o_proj: LinearParams;
    readonly q_norm?: NormParams;
    readonly k_norm?: NormParams;
  };
  /** Before the feed-forward layer. */
  readonly post_attention_layernorm: NormParams;
  /** The feed-forward layer. */
  readonly mlp: {
    readonly gate_proj: LinearParams;
    readonly up_proj: LinearParams;
    readonly down_proj: LinearParams;
  };
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
  /** Rotary position embedding. */
  readonly rotary: RotaryTables;
  /** Recompute each layer in the backward pass instead of keeping its intermediate values. */
  readonly gradientCheckpointing?: boolean;
  /** Changes the embeddings [T, D] before the first layer, as NEFTune does. */
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

/** Hidden states of the last layer, normalised: f32 [T, D]. */
export function decoderHidden(
  params: DecoderParams,
  stream: TokenStream,
  config: DecoderConfig,
  options: ForwardOptions,
): Tensor {
  let x = embedTokens(params, stream, options);
  params.model.layers.forEach((layer, index) => {
    const place = placeOf(stream, stream.keySegments ?? stream.segments, config.window(index));
    const compute = (inputs: { x: Tensor; layer: LayerParams }) =>
      decoderLayer(inputs.layer, inputs.x, place, config, options.rotary, (fresh) => fresh);
    x = (options.gradientCheckpointing ? checkpoint(compute) : compute)({ x, layer });
  });
  return rmsNorm(params.model.norm, x, config.normEpsilon);
}

/**
 * The same for a stream that continues what is in a cache: its tokens' keys and values are written there first,
 * and attention is over all of it.
 */
export function decoderHiddenCached(
  params: DecoderParams,
  stream: TokenStream,
  config: DecoderConfig,
  options: ForwardOptions,
  cache: KeyValueCache,
  places: CachePlaces,
): [hidden: Tensor, cache: KeyValueCache] {
  const keys: Tensor[] = [];
  const values: Tensor[] = [];
  let x = embedTokens(params, stream, options);
  params.model.layers.forEach((layer, index) => {
    const place = placeOf(stream, places.segments, config.window(index));
    x = decoderLayer(layer, x, place, config, options.rotary, (fresh) => {
      keys.push(scatterRows(cache.keys[index]!, places.rows, fresh.k));
      values.push(scatterRows(cache.values[index]!, places.rows, fresh.v));
      return { k: keys.at(-1)!, v: values.at(-1)! };
    });
  });
  return [rmsNorm(params.model.norm, x, config.normEpsilon), { keys, values }];
}

function embedTokens(
  params: DecoderParams,
  { ids }: TokenStream,
  options: ForwardOptions,
): Tensor {
  const embedded = embed(params.model.embed_tokens.weight, ids);
  return options.onEmbeddings ? options.onEmbeddings(embedded) : embedded;
}

function placeOf({ segments }: TokenStream, keySegments: Tensor, window: number | null): Place {
  const positions = segments.slice(2, 3).reshape(segments.shape[1]!);
  return { segments, keySegments, positions, window };
}

/** The matrix [V, D] that turns hidden states into logits. */
export function decoderHead(params: DecoderParams): Tensor {
  const { weight } = params.lm_head ?? params.model.embed_tokens;
  return weight instanceof Tensor ? weight : denseWeight(weight);
}

interface Place {
  readonly segments: Tensor;
  readonly keySegments: Tensor;
  readonly positions: Tensor;
  readonly window: number | null;
}

/** Keys and values [rows, K, D] that queries attend to, from those of the stream's own tokens. */
type Remember = (
  fresh: { readonly k: Tensor; readonly v: Tensor },
) => { readonly k: Tensor; readonly v: Tensor };

function decoderLayer(
  layer: LayerParams,
  x: Tensor,
  place: Place,
  config: DecoderConfig,
  rotary: RotaryTables,
  remember: Remember,
): Tensor {
  const input = rmsNorm(layer.input_layernorm, x, config.normEpsilon);
  const attended = x.add(selfAttention(layer, input, place, config, rotary, remember));
  const normed = rmsNorm(layer.post_attention_layernorm, attended, config.normEpsilon);
  const { gate_proj, up_proj, down_proj } = layer.mlp;
  return attended.add(
    linear(down_proj, silu(linear(gate_proj, normed)).mul(linear(up_proj, normed))),
  );
}

function selfAttention(
  { self_attn: p }: LayerParams,
  x: Tensor,
  { segments, keySegments, positions, window }: Place,
  { headDim, normEpsilon }: DecoderConfig,
  rotary: RotaryTables,
  remember: Remember,
): Tensor {
  const heads = (projected: Tensor) => projected.reshape(x.shape[0]!, -1, headDim);
  const normed = (projected: Tensor, norm?: NormParams) =>
    norm ? rmsNorm(norm, heads(projected), normEpsilon) : heads(projected);
  const q = applyRotary(normed(linear(p.q_proj, x), p.q_norm), positions, rotary);
  const { k, v } = remember({
    k: applyRotary(normed(linear(p.k_proj, x), p.k_norm), positions, rotary),
    v: heads(linear(p.v_proj, x)),
  });
  const out = attention(q, k, v, {
    querySegments: segments,
    keySegments,
    ...(window === null ? {} : { window }),
  });
  return linear(p.o_proj, out.reshape(x.shape[0]!, -1));
}
