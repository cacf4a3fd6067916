/** Models by `model_type`: architecture, the shapes of parameters, fresh parameters. @module */

import {
  foldKey,
  type Key,
  mapTree,
  ones,
  type Path,
  randomNormal,
  type Shape,
  type Tensor,
  UserError,
  zeros,
} from "../core/mod.ts";
import type { ModelHead } from "./classifier.ts";
import type { HuggingFaceConfig } from "./config.ts";
import {
  type CachePlaces,
  type DecoderConfig,
  decoderHead,
  decoderHidden,
  decoderHiddenCached,
  type DecoderParams,
  type ForwardOptions,
  type KeyValueCache,
  type TokenStream,
} from "./decoder.ts";
import { llama } from "./families/llama.ts";
import { mistral } from "./families/mistral.ts";
import { qwen2 } from "./families/qwen2.ts";
import { qwen3 } from "./families/qwen3.ts";
import { type RotaryTables, rotaryTables } from "./rotary.ts";
import { freshValueHead, isValueHeadParameter } from "./value_head.ts";

/** Families by the `model_type` of their config. */
export const families: Readonly<Record<string, (config: HuggingFaceConfig) => DecoderConfig>> = {
  llama,
  mistral,
  qwen2,
  qwen3,
};

/** A causal language model without its parameters: pure functions of them. */
export interface CausalModel {
  /** Its architecture. */
  readonly config: DecoderConfig;
  /** Hidden states f32 [T, D] of a token stream. */
  readonly hidden: (params: DecoderParams, stream: TokenStream, options: ForwardOptions) => Tensor;
  /** The same for a stream that continues a cache; also gives the cache with its keys and values. */
  readonly hiddenCached: (
    params: DecoderParams,
    stream: TokenStream,
    options: ForwardOptions,
    cache: KeyValueCache,
    places: CachePlaces,
  ) => [hidden: Tensor, cache: KeyValueCache];
  /** The head [V, D]: logits are hidden · headᵀ. */
  readonly head: (params: DecoderParams) => Tensor;
  /** Rotary tables for so many positions. */
  readonly tables: (positions: number) => RotaryTables;
}

/**
 * The model of a parsed `config.json`.
 *
 * @throws UserError if its `model_type` is not supported.
 */
export function causalModel(config: HuggingFaceConfig): CausalModel {
  const type = config["model_type"];
  const family = typeof type === "string" && Object.hasOwn(families, type)
    ? families[type]
    : undefined;
  if (!family) {
    throw new UserError(
      `The model's config.json has model_type = ${JSON.stringify(type)}, which is not supported. ` +
        `Supported: ${Object.keys(families).join(", ")}.`,
    );
  }
  const decoder = family(config);
  return {
    config: decoder,
    hidden: (params, stream, options) => decoderHidden(params, stream, decoder, options),
    hiddenCached: (params, stream, options, cache, places) =>
      decoderHiddenCached(params, stream, decoder, options, cache, places),
    head: decoderHead,
    tables: (positions) => rotaryTables(decoder.rotary, positions),
  };
}

/** The tree of parameters with shapes as leaves (as `{ shape }`, so that they are leaves). */
export type ParameterShapes = unknown;

/** A leaf of {@link parameterShapes}. */
export class ParameterShape {
  /** Wraps a shape. */
  constructor(readonly shape: Shape) {}
}

/** Shapes of all parameters, under their Hugging Face names; with a head over the vocabulary by default. */
export function parameterShapes(
  c: DecoderConfig,
  head: ModelHead = { kind: "language" },
): ParameterShapes {
  const linear = (out: number, inner: number, bias: boolean) => ({
    weight: new ParameterShape([out, inner]),
    ...(bias ? { bias: new ParameterShape([out]) } : {}),
  });
  const norm = (size: number) => ({ weight: new ParameterShape([size]) });
  const [queries, keys] = [c.heads * c.headDim, c.keyValueHeads * c.headDim];
  const layer = () => ({
    input_layernorm: norm(c.hiddenSize),
    self_attn: {
      q_proj: linear(queries, c.hiddenSize, c.queryKeyValueBias),
      k_proj: linear(keys, c.hiddenSize, c.queryKeyValueBias),
      v_proj: linear(keys, c.hiddenSize, c.queryKeyValueBias),
      o_proj: linear(c.hiddenSize, queries, c.outputBias),
      ...(c.queryKeyNorm ? { q_norm: norm(c.headDim), k_norm: norm(c.headDim) } : {}),
    },
    post_attention_layernorm: norm(c.hiddenSize),
    mlp: {
      gate_proj: linear(c.intermediateSize, c.hiddenSize, c.mlpBias),
      up_proj: linear(c.intermediateSize, c.hiddenSize, c.mlpBias),
      down_proj: linear(c.hiddenSize, c.intermediateSize, c.mlpBias),
    },
  });
  const headShapes = () => {
    if (head.kind !== "language") {
      return { score: linear(head.labels, c.hiddenSize, head.kind === "token") };
    }
    return {
      ...(c.tied ? {} : { lm_head: linear(c.vocabularySize, c.hiddenSize, false) }),
      ...(head.values ? { v_head: { summary: linear(1, c.hiddenSize, true) } } : {}),
    };
  };
  return {
    model: {
      embed_tokens: { weight: new ParameterShape([c.vocabularySize, c.hiddenSize]) },
      layers: Array.from({ length: c.layers }, layer),
      norm: norm(c.hiddenSize),
    },
    ...headShapes(),
  };
}

/** Fresh parameters: matrices from a normal distribution, gains one, biases zero. */
export function initParameters(config: DecoderConfig, key: Key, head?: ModelHead): DecoderParams {
  let index = 0;
  return mapTree(parameterShapes(config, head), (leaf, path) => {
    index++;
    const { shape } = leaf as ParameterShape;
    return freshParameter({ path, shape, key: foldKey(key, index) }, config, head);
  }) as DecoderParams;
}

/** One fresh parameter. */
export function freshParameter(
  { path, shape, key }: { readonly path: Path; readonly shape: Shape; readonly key: Key },
  config: DecoderConfig,
  head?: ModelHead,
): Tensor {
  if (isValueHeadParameter(path)) {
    const options = head?.kind === "language" ? head.values : undefined;
    return freshValueHead(path, { shape, width: config.hiddenSize, key }, options);
  }
  if (path.endsWith("bias")) return zeros(shape);
  if (/norm\.weight$/.test(path)) return ones(shape);
  return randomNormal(key, shape).mul(config.initializerRange);
}
