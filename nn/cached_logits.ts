/** What decoding needs of a model, or of several that decide together: logits of the newest tokens. @module */

import { headLogits, type Tensor, zeros } from "../core/mod.ts";
import type {
  CachePlaces,
  DecoderConfig,
  DecoderParams,
  KeyValueCache,
  TokenStream,
} from "./decoder.ts";
import type { CausalModel } from "./model.ts";
import type { RotaryTables } from "./rotary.ts";

/** Logits over a key/value cache. `P` is the tree of parameters. */
export interface CachedLogits<P> {
  /** How many positions there are; null for any number. */
  readonly maxPositions: number | null;
  /** A cache of so many rows for each model, without anything in it. */
  readonly emptyCaches: (rows: number) => readonly KeyValueCache[];
  /** Rotary tables of each model. */
  readonly tables: (positions: number) => readonly RotaryTables[];
  /** Logits f32 [N, V] of the stream's tokens, or of some of them, i32 [N]; and the caches with its keys and values. */
  readonly next: (
    params: P,
    stream: TokenStream,
    context: DecodingContext,
  ) => { readonly logits: Tensor; readonly caches: readonly KeyValueCache[] };
}

/** What a stream continues. */
export interface DecodingContext {
  /** Of each model. */
  readonly rotary: readonly RotaryTables[];
  /** Of each model. */
  readonly caches: readonly KeyValueCache[];
  /** Where the stream's keys and values go. */
  readonly places: CachePlaces;
  /** i32 [N]: the tokens whose logits are wanted; all by default. */
  readonly wanted?: Tensor;
}

/** A model by itself. */
export function modelLogits(model: CausalModel): CachedLogits<DecoderParams> {
  const { learnedPositions, maxPositions } = model.config;
  const most = learnedPositions ? maxPositions : null;
  return {
    maxPositions: most,
    emptyCaches: (rows) => [emptyCache(model.config, rows)],
    // Positions come in buckets, the last of which may be larger than there are.
    tables: (positions) => [model.tables(Math.min(positions, most ?? Infinity))],
    next: (params, stream, { rotary: [rotary], caches: [cache], places, wanted }) => {
      const [hidden, filled] = model.hiddenCached(
        params,
        stream,
        { rotary: rotary! },
        cache!,
        places,
      );
      const states = wanted ? hidden.gather(wanted) : hidden;
      return { logits: headLogits(states, model.head(params)), caches: [filled] };
    },
  };
}

/** A cache of so many rows without anything in it. */
export function emptyCache(
  { layers, keyValueHeads, headDim }: DecoderConfig,
  rows: number,
): KeyValueCache {
  const empty = () => Array.from({ length: layers }, () => zeros([rows, keyValueHeads, headDim]));
  return { keys: empty(), values: empty() };
}
