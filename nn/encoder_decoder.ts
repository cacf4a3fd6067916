/**
 * Encoder–decoder models: one stream of tokens is encoded, another continues under the sight of it. Texts belong
 * together by their segments.
 *
 * @module
 */

import { headLogits, type OutputHead, type Tensor, UserError } from "../core/mod.ts";
import type { Architecture } from "./architecture.ts";
import { type CachedLogits, emptyCache } from "./cached_logits.ts";
import { configPlace, type HuggingFaceConfig } from "./config.ts";
import { checkFields } from "./config_fields.ts";
import type {
  CachePlaces,
  DecoderConfig,
  DecoderParams,
  ForwardOptions,
  KeyValueCache,
  TokenStream,
} from "./decoder.ts";
import { t5 } from "./families/t5.ts";
import type { ParameterShapes } from "./parameter_shapes.ts";

/** An encoded stream of S tokens as the decoder's layers see it. */
export interface EncodedSource extends KeyValueCache {
  /** i32 [5, S]: as of the stream that was encoded. */
  readonly segments: Tensor;
}

/** A stream of T tokens whose segments, or their parents, have the numbers of the source's segments they belong to. */
export interface TargetStream extends TokenStream {
  /**
   * i32 [5, T]: its segments with ranges of the source's tokens (`crossSegments` of data makes them), so that no others
   * are looked at. Without it all are looked through, to the same result.
   */
  readonly crossSegments?: Tensor;
}

/** Options of a forward pass. */
export type EncoderDecoderOptions = Pick<ForwardOptions, "gradientCheckpointing">;

/** An encoder–decoder model without its parameters: pure functions of them. */
export interface EncoderDecoder extends Architecture {
  /** Sizes; layers and heads are the decoder's. */
  readonly config: DecoderConfig;
  /** The token that every target begins with. */
  readonly startId: number;
  /** Shapes of its parameters, under their Hugging Face names. */
  readonly shapes: () => ParameterShapes;
  /** Hidden states of the encoder, f32 [S, D]. */
  readonly encode: (
    params: DecoderParams,
    source: TokenStream,
    options?: EncoderDecoderOptions,
  ) => Tensor;
  /** What the decoder's layers make of the encoder's hidden states, f32 [S, D]: once for all target tokens. */
  readonly project: (params: DecoderParams, states: Tensor, segments: Tensor) => EncodedSource;
  /** Hidden states of the decoder, f32 [T, D]. */
  readonly hidden: (
    params: DecoderParams,
    target: TargetStream,
    source: EncodedSource,
    options?: EncoderDecoderOptions,
  ) => Tensor;
  /** The same for a stream that continues a cache; also gives the cache with its keys and values. */
  readonly hiddenCached: (
    params: DecoderParams,
    target: TargetStream,
    source: EncodedSource,
    cache: KeyValueCache,
    places: CachePlaces,
  ) => [hidden: Tensor, cache: KeyValueCache];
  /** What turns the decoder's hidden states into logits. */
  readonly head: (params: DecoderParams) => OutputHead;
}

const families: Readonly<Record<string, (config: HuggingFaceConfig) => EncoderDecoder>> = { t5 };

/**
 * The encoder–decoder model of a parsed `config.json`.
 *
 * @throws UserError if its `model_type` is not supported.
 */
export function encoderDecoder(config: HuggingFaceConfig): EncoderDecoder {
  const type = config["model_type"];
  if (typeof type === "string" && Object.hasOwn(families, type)) {
    checkFields(config);
    return families[type]!(config);
  }
  throw new UserError(
    `${configPlace(config)} has model_type = ${
      JSON.stringify(type)
    }, which is not an encoder–decoder model that is ` +
      `supported. Supported: ${Object.keys(families).join(", ")}.`,
  );
}

/** What decoding needs: the model's parameters, and sources by number of prompt. */
export interface SourcedParams {
  /** The parameters. */
  readonly params: DecoderParams;
  /** As segment p, what prompt p is to be decoded under the sight of. */
  readonly source: EncodedSource;
}

/**
 * The model for `generatorOf`, which decodes under the sight of sources; its prompts are what the targets begin with,
 * `[startId]` for each.
 */
export function encoderDecoderLogits(model: EncoderDecoder): CachedLogits<SourcedParams> {
  return {
    maxPositions: null,
    emptyCaches: (rows) => [emptyCache(model.config, rows)],
    tables: () => [[]],
    next: ({ params, source }, stream, { caches: [cache], places, wanted }) => {
      const [hidden, filled] = model.hiddenCached(params, stream, source, cache!, places);
      const states = wanted ? hidden.gather(wanted) : hidden;
      return { logits: headLogits(states, model.head(params)), caches: [filled] };
    },
  };
}
