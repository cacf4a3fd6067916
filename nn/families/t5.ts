/** T5 (Raffel et al., arXiv:1910.10683), its version 1.1 and FLAN-T5. @module */

import {
  attention,
  type AttentionOptions,
  checkpoint,
  concat,
  full,
  scatterRows,
  type Tensor,
  UserError,
} from "../../core/mod.ts";
import { activationOf } from "../activations.ts";
import {
  configBoolean,
  configDeviation,
  configEpsilon,
  configLayers,
  configNumber,
  configPlace,
  configSize,
  type HuggingFaceConfig,
} from "../config.ts";
import type { DecoderConfig, DecoderParams } from "../decoder.ts";
import type { EncodedSource, EncoderDecoder, TargetStream } from "../encoder_decoder.ts";
import { asHeads } from "../heads.ts";
import { linear, type LinearParams } from "../linear.ts";
import { type NormParams, rmsNorm } from "../norm.ts";
import { outputWeight } from "../output_weight.ts";
import {
  embeddingShapes,
  linearShapes,
  normShapes,
  ParameterShape,
  type ParameterShapes,
} from "../parameter_shapes.ts";
import { relativeBias, relativeBuckets } from "../relative_positions.ts";
import { embed, type Weight } from "../weight.ts";

/** Parameters, under their Hugging Face names. */
export interface T5Params extends DecoderParams {
  /** Embeddings of both sides. */
  readonly shared: { readonly weight: Weight };
  readonly encoder: T5StackParams<readonly [T5SelfAttention, T5FeedForward]>;
  readonly decoder: T5StackParams<readonly [T5SelfAttention, T5CrossAttention, T5FeedForward]>;
  /** Absent when the head is the embedding matrix. */
  readonly lm_head?: { readonly weight: Weight };
}

/** Parameters of the encoder or the decoder. */
export interface T5StackParams<Layer> {
  readonly block: readonly { readonly layer: Layer }[];
  readonly final_layer_norm: NormParams;
}

/** Parameters of an attention, with biases by relative position in the first layer. */
export interface T5AttentionParams {
  readonly q: LinearParams;
  readonly k: LinearParams;
  readonly v: LinearParams;
  readonly o: LinearParams;
  readonly relative_attention_bias?: { readonly weight: Weight };
}

/** A sublayer: attention to what its own side says. */
export interface T5SelfAttention {
  readonly layer_norm: NormParams;
  readonly SelfAttention: T5AttentionParams;
}

/** A sublayer: attention to the encoder's hidden states. */
export interface T5CrossAttention {
  readonly layer_norm: NormParams;
  readonly EncDecAttention: T5AttentionParams;
}

/** A sublayer: what is made of each token by itself; with a gate `wi_0` in version 1.1. */
export interface T5FeedForward {
  readonly layer_norm: NormParams;
  readonly DenseReluDense: {
    readonly wi?: LinearParams;
    readonly wi_0?: LinearParams;
    readonly wi_1?: LinearParams;
    readonly wo: LinearParams;
  };
}

/**
 * The model. Scores of attention are not divided by √D: fresh weights are small instead.
 *
 * @throws UserError if the config lacks a size or has a feed-forward layer that is not known.
 */
export function t5(config: HuggingFaceConfig): EncoderDecoder {
  const sizes = t5Sizes(config);
  const { headDim, hiddenSize } = sizes;
  const epsilon = configEpsilon(config, "layer_norm_epsilon", 1e-6);
  const { activation } = feedForwardOf(config);
  const { scaled } = headOf(config);
  const bucketsOf = (bidirectional: boolean) =>
    relativeBuckets({
      buckets: configSize(config, "relative_attention_num_buckets", 32),
      maxDistance: configSize(config, "relative_attention_max_distance", 128),
      bidirectional,
    });
  const [encoderBuckets, decoderBuckets] = [bucketsOf(true), bucketsOf(false)];

  const heads = (projection: LinearParams, x: Tensor) => asHeads(linear(projection, x), headDim);
  const attend = (
    o: LinearParams,
    { q, k, v }: { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor },
    options: AttentionOptions,
  ) => linear(o, attention(q, k, v, { ...options, scale: 1 }).reshape(q.shape[0]!, -1));
  const queriesKeysValues = ({ layer_norm, SelfAttention }: T5SelfAttention, x: Tensor) => {
    const normed = rmsNorm(layer_norm, x, epsilon);
    const { q, k, v } = SelfAttention;
    return { q: heads(q, normed), k: heads(k, normed), v: heads(v, normed) };
  };
  const feedForward = ({ layer_norm, DenseReluDense }: T5FeedForward, x: Tensor) => {
    const { wi, wi_0, wi_1, wo } = DenseReluDense;
    const normed = rmsNorm(layer_norm, x, epsilon);
    const inner = wi
      ? activation(linear(wi, normed))
      : activation(linear(wi_0!, normed)).mul(linear(wi_1!, normed));
    return x.add(linear(wo, inner));
  };
  const cross = (
    { layer_norm, EncDecAttention: { q, o } }: T5CrossAttention,
    x: Tensor,
    source: { readonly k: Tensor; readonly v: Tensor },
    segments: { readonly querySegments: Tensor; readonly keySegments: Tensor },
  ) => {
    const queries = heads(q, rmsNorm(layer_norm, x, epsilon));
    return x.add(attend(o, { q: queries, ...source }, { ...segments, causal: false }));
  };

  /** The decoder, given what its self attention adds in each layer. */
  const decodeWith = (
    params: DecoderParams,
    { ids, segments, crossSegments }: TargetStream,
    source: EncodedSource,
    recompute: boolean,
    selfAttend: (own: T5SelfAttention, x: Tensor, bias: Tensor, index: number) => Tensor,
  ): Tensor => {
    const { shared, decoder } = params as T5Params;
    const crossing = {
      querySegments: crossSegments ?? lookingThrough(segments, source.segments),
      keySegments: source.segments,
    };
    const bias = biasOf(decoder.block[0]!.layer[0], decoderBuckets);
    const last = decoder.block.reduce((x, { layer }, index) => {
      const step = (inputs: {
        readonly x: Tensor;
        readonly layer: typeof layer;
        readonly bias: Tensor;
        readonly source: { readonly k: Tensor; readonly v: Tensor };
      }) => {
        const [own, other, inner] = inputs.layer;
        const attended = inputs.x.add(selfAttend(own, inputs.x, inputs.bias, index));
        return feedForward(inner, cross(other, attended, inputs.source, crossing));
      };
      const seen = { k: source.keys[index]!, v: source.values[index]! };
      return (recompute ? checkpoint(step) : step)({ x, layer, bias, source: seen });
    }, embed(shared.weight, ids));
    return rmsNorm(decoder.final_layer_norm, last, epsilon);
  };

  return {
    config: sizes,
    startId: configNumber(
      config,
      "decoder_start_token_id",
      configNumber(config, "pad_token_id", 0),
    ),
    shapes: () => t5Shapes(config, sizes),
    encode: (params, { ids, segments, keySegments }, { gradientCheckpointing = false } = {}) => {
      const { shared, encoder } = params as T5Params;
      const options = { querySegments: segments, keySegments: keySegments ?? segments };
      const bias = biasOf(encoder.block[0]!.layer[0], encoderBuckets);
      const last = encoder.block.reduce((x, { layer }) => {
        const step = (inputs: {
          readonly x: Tensor;
          readonly layer: typeof layer;
          readonly bias: Tensor;
        }) => {
          const [own, inner] = inputs.layer;
          const attended = attend(own.SelfAttention.o, queriesKeysValues(own, inputs.x), {
            ...options,
            causal: false,
            bias: inputs.bias,
          });
          return feedForward(inner, inputs.x.add(attended));
        };
        return (gradientCheckpointing ? checkpoint(step) : step)({ x, layer, bias });
      }, embed(shared.weight, ids));
      return rmsNorm(encoder.final_layer_norm, last, epsilon);
    },
    project: (params, states, segments) => {
      const layers = (params as T5Params).decoder.block
        .map(({ layer: [, { EncDecAttention }] }) => EncDecAttention);
      return {
        keys: layers.map(({ k }) => heads(k, states)),
        values: layers.map(({ v }) => heads(v, states)),
        segments,
      };
    },
    hidden: (params, target, source, { gradientCheckpointing = false } = {}) => {
      const { segments, keySegments = segments } = target;
      return decodeWith(
        params,
        target,
        source,
        gradientCheckpointing,
        (own, x, bias) =>
          attend(own.SelfAttention.o, queriesKeysValues(own, x), {
            querySegments: segments,
            keySegments,
            bias,
          }),
      );
    },
    hiddenCached: (params, target, source, cache, places) => {
      const [keys, values]: [Tensor[], Tensor[]] = [[], []];
      const hidden = decodeWith(params, target, source, false, (own, x, bias, index) => {
        const { q, k, v } = queriesKeysValues(own, x);
        keys.push(scatterRows(cache.keys[index]!, places.rows, k));
        values.push(scatterRows(cache.values[index]!, places.rows, v));
        return attend(own.SelfAttention.o, { q, k: keys.at(-1)!, v: values.at(-1)! }, {
          querySegments: target.segments,
          keySegments: places.segments,
          bias,
        });
      });
      return [hidden, { keys, values }];
    },
    head: (params) => {
      const { shared, lm_head } = params as T5Params;
      return {
        weight: outputWeight((lm_head ?? shared).weight),
        ...(scaled ? { scale: 1 / Math.sqrt(hiddenSize) } : {}),
      };
    },
  };
}

/** All layers of a stack share the biases of the first. */
function biasOf({ SelfAttention }: T5SelfAttention, buckets: Int32Array): Tensor {
  return relativeBias(SelfAttention.relative_attention_bias!.weight, buckets);
}

/** What cross attention is told of target tokens where nobody says which source tokens they may see. */
function lookingThrough(segments: Tensor, source: Tensor): Tensor {
  const tokens = segments.shape[1]!;
  return concat([
    segments.slice(0, 3),
    full([1, tokens], 0, "i32"),
    full([1, tokens], source.shape[1]!, "i32"),
  ]);
}

function t5Sizes(config: HuggingFaceConfig): DecoderConfig {
  const heads = configSize(config, "num_heads");
  return {
    vocabularySize: configSize(config, "vocab_size"),
    hiddenSize: configSize(config, "d_model"),
    layers: configLayers(config, "num_decoder_layers", configLayers(config, "num_layers")),
    heads,
    keyValueHeads: heads,
    headDim: configSize(config, "d_kv"),
    maxPositions: configSize(config, "n_positions", 512),
    learnedPositions: false,
    initializerRange: configDeviation(config, "initializer_factor", 1),
  };
}

/** The activation, and whether it is a gate: `relu`, `gated-gelu`, …; the gate's GELU is by tanh. */
function feedForwardOf(
  config: HuggingFaceConfig,
): { readonly gated: boolean; readonly activation: (x: Tensor) => Tensor } {
  const key = "feed_forward_proj";
  const named = config[key] ?? "relu";
  if (named === "gated-gelu") {
    return { gated: true, activation: activationOf({}, key, "gelu_new") };
  }
  const [, gate, name] = /^(gated-)?([^-]+)$/.exec(String(named)) ?? [];
  if (name === undefined) {
    throw new UserError(
      `${configPlace(config)} has ${key} = ${
        JSON.stringify(named)
      }; the name of an activation is expected, with ` +
        `"gated-" before it if it is a gate.`,
    );
  }
  return { gated: gate !== undefined, activation: activationOf({ [key]: name }, key, name) };
}

/**
 * Version 1.1 has a head of its own and leaves the logits as they are. Its configs say so by `tie_word_embeddings` =
 * false; since transformers 5 that is always true, and there is `scale_decoder_outputs`.
 */
function headOf(config: HuggingFaceConfig): { readonly scaled: boolean; readonly tied: boolean } {
  const plain = configBoolean(config, "tie_word_embeddings", true);
  const scaled = configBoolean(config, "scale_decoder_outputs", plain);
  return { scaled, tied: plain && scaled };
}

function t5Shapes(config: HuggingFaceConfig, sizes: DecoderConfig): ParameterShapes {
  const { hiddenSize, heads, headDim, vocabularySize } = sizes;
  const inner = configSize(config, "d_ff");
  const buckets = configSize(config, "relative_attention_num_buckets", 32);
  const { gated } = feedForwardOf(config);
  const matrix = (outputs: number, inputs: number, deviation: number) =>
    linearShapes(outputs, inputs, { deviation });
  const deviation = 1 / Math.sqrt(hiddenSize);

  const attentionShapes = (first: boolean) => ({
    q: matrix(heads * headDim, hiddenSize, deviation / Math.sqrt(headDim)),
    k: matrix(heads * headDim, hiddenSize, deviation),
    v: matrix(heads * headDim, hiddenSize, deviation),
    o: matrix(hiddenSize, heads * headDim, 1 / Math.sqrt(heads * headDim)),
    ...(first
      ? {
        relative_attention_bias: {
          weight: new ParameterShape([buckets, heads], { init: { normal: deviation } }),
        },
      }
      : {}),
  });
  const layer_norm = normShapes(hiddenSize);
  const up = matrix(inner, hiddenSize, deviation);
  const feedForward = {
    DenseReluDense: {
      ...(gated ? { wi_0: up, wi_1: up } : { wi: up }),
      wo: matrix(hiddenSize, inner, 1 / Math.sqrt(inner)),
    },
    layer_norm,
  };
  const stack = (layers: number, crosses: boolean) => ({
    block: Array.from({ length: layers }, (_, index) => ({
      layer: [
        { SelfAttention: attentionShapes(index === 0), layer_norm },
        ...(crosses ? [{ EncDecAttention: attentionShapes(false), layer_norm }] : []),
        feedForward,
      ],
    })),
    final_layer_norm: layer_norm,
  });
  return {
    shared: embeddingShapes(vocabularySize, hiddenSize),
    encoder: stack(configLayers(config, "num_layers"), false),
    decoder: stack(sizes.layers, true),
    ...(headOf(config).tied ? {} : { lm_head: matrix(vocabularySize, hiddenSize, 1) }),
  };
}
