/** Sampling continuations: one compiled step over a key/value cache, for all prompts at once. @module */

import {
  foldKey,
  jit,
  type Key,
  matmul,
  type Operand,
  randomKey,
  randomUniform,
  scope,
  type Tensor,
  tensor,
  zeros,
} from "../core/mod.ts";
import type { DecoderParams, KeyValueCache } from "./decoder.ts";
import type { CausalModel } from "./model.ts";
import type { RotaryTables } from "./rotary.ts";

/** Chooses the next tokens, i32 [B], from the logits f32 [B, V] of each sequence. */
export type Sampler = (logits: Tensor, key: Key) => Tensor;

/** The most probable token. */
export const greedy: Sampler = (logits: Tensor): Tensor => logits.argMax(-1);

/** A token drawn from softmax(logits / temperature), by the Gumbel trick. */
export function atTemperature(temperature: number): Sampler {
  return (logits, key) => {
    const u = randomUniform(key, logits.shape).neg().add(1);
    return logits.mul(1 / temperature).sub(u.log().neg().log()).argMax(-1);
  };
}

/** Options of {@link generate}. */
export interface GenerateOptions {
  /** The most tokens to add to each prompt. */
  readonly maxNewTokens: number;
  /** Tokens that end a sequence; they are kept in the result. */
  readonly eosTokenIds?: readonly number[];
  /** Greedy by default. */
  readonly sampler?: Sampler;
  /** Seed of all randomness. */
  readonly seed?: number;
  /** Steps between two looks at the tokens; looking waits for the device. */
  readonly stepsPerRead?: number;
}

/** A generator compiled for a model; call it with parameters and prompts. */
export type Generator = (
  params: DecoderParams,
  prompts: readonly ArrayLike<number>[],
) => Promise<number[][]>;

/** Where things are while a batch is decoded. All i32. */
interface Layout {
  /** [5, rows] of the cache. */
  readonly cacheSegments: Tensor;
  /** [B]: length of each prompt, and the cache row its first new token goes to. */
  readonly promptLengths: Tensor;
  readonly firstRows: Tensor;
  /** [B]: the first cache row of each sequence. */
  readonly begins: Tensor;
}

/**
 * Makes a generator. Sequence b owns a run of cache rows: its prompt's, then one per new token; what is not
 * written yet lies at later positions and so is not visible.
 *
 * @example
 * ```ts
 * import { openDevice, randomKey } from "@plumb/plumb/core";
 * import { causalModel, generator, initParameters } from "@plumb/plumb/nn";
 *
 * await openDevice("cpu");
 * const model = causalModel({
 *   model_type: "llama", vocab_size: 64, hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2,
 * });
 * const generate = generator(model, { maxNewTokens: 4 });
 * console.log((await generate(initParameters(model.config, randomKey(0)), [[1, 2, 3]]))[0]!.length); // 4
 * ```
 */
export function generator(model: CausalModel, options: GenerateOptions): Generator {
  const { maxNewTokens, eosTokenIds = [], sampler = greedy, seed = 0, stepsPerRead = 8 } = options;
  const key = randomKey(seed);

  const prefill = jit((
    params: DecoderParams,
    stream: { readonly ids: Tensor; readonly segments: Tensor },
    lasts: Tensor,
    rows: Tensor,
    cache: KeyValueCache,
    layout: Layout,
    rotary: RotaryTables,
  ) => {
    const places = { rows, segments: layout.cacheSegments };
    const [hidden, filled] = model.hiddenCached(params, stream, { rotary }, cache, places);
    const logits = matmul(hidden.gather(lasts), model.head(params), { transposeB: true });
    return { cache: filled, tokens: sampler(logits, foldKey(key, 0)) };
  }, { donate: [4], name: "prefill" });

  const decode = jit((
    params: DecoderParams,
    tokens: Tensor,
    step: Operand,
    cache: KeyValueCache,
    layout: Layout,
    rotary: RotaryTables,
  ) => {
    const count = tokens.shape[0]!;
    const at = (tensor(0).add(step)).cast("i32");
    const rows = layout.firstRows.add(at);
    const positions = layout.promptLengths.add(at);
    const ids = layout.cacheSegments.slice(0, 1).reshape(-1).gather(rows);
    const parents = ids.mul(0).sub(1);
    const segments = [ids, parents, positions, layout.begins, rows.add(1)];
    const stacked = segments.map((row, i) => row.reshape(1, count).pad(i, 4 - i)).reduce((a, b) =>
      a.add(b)
    );
    const [hidden, filled] = model.hiddenCached(
      params,
      { ids: tokens, segments: stacked },
      { rotary },
      cache,
      { rows, segments: layout.cacheSegments },
    );
    const logits = matmul(hidden, model.head(params), { transposeB: true });
    return { cache: filled, tokens: sampler(logits, foldKey(key, at.add(1))) };
  }, { donate: [3], name: "the decoding step" });

  return (params, prompts) =>
    scope(async () => {
      const batch = layOut(prompts, maxNewTokens);
      const { config } = model;
      const rotary = model.tables(batch.positions);
      const emptyCache = () => zeros([batch.rows, config.keyValueHeads, config.headDim]);
      const layers = Array.from({ length: config.layers });
      let cache: KeyValueCache = { keys: layers.map(emptyCache), values: layers.map(emptyCache) };
      const first = prefill(
        params,
        batch.stream,
        batch.lasts,
        batch.tokenRows,
        cache,
        batch.layout,
        rotary,
      );
      cache = first.cache;
      let tokens = first.tokens;
      const results: number[][] = prompts.map(() => []);
      const open = new Set(prompts.keys());
      let unread: Tensor[] = [tokens];
      for (let step = 0; open.size > 0; step++) {
        if (unread.length >= stepsPerRead || step === maxNewTokens - 1) {
          for (const data of await Promise.all(unread.map((t) => t.data()))) {
            for (const b of open) {
              results[b]!.push(data[b]!);
              if (eosTokenIds.includes(data[b]!) || results[b]!.length >= maxNewTokens) {
                open.delete(b);
              }
            }
          }
          unread = [];
          if (open.size === 0) break;
        }
        const next = decode(params, tokens, step, cache, batch.layout, rotary);
        cache = next.cache;
        tokens = next.tokens;
        unread.push(tokens);
      }
      return results;
    });
}

/** Prompts as a stream, and the cache rows of their tokens. */
function layOut(prompts: readonly ArrayLike<number>[], maxNewTokens: number) {
  const lengths = prompts.map((prompt) => prompt.length);
  const empty = lengths.indexOf(0);
  if (prompts.length === 0 || empty >= 0) {
    throw new RangeError(
      `Cannot generate: ${
        prompts.length === 0 ? "there are no prompts" : `prompt ${empty} is empty`
      }`,
    );
  }
  const total = lengths.reduce((a, b) => a + b, 0);
  const rows = total + prompts.length * maxNewTokens;
  const segments = new Int32Array(5 * total);
  const cacheSegments = new Int32Array(5 * rows);
  const ids = new Int32Array(total);
  const tokenRows = new Int32Array(total);
  const begins: number[] = [];
  let t = 0;
  let begin = 0;
  prompts.forEach((prompt, b) => {
    begins.push(begin);
    const owned = prompt.length + maxNewTokens;
    for (let i = 0; i < owned; i++) {
      const column = [b, -1, i, begin, begin + owned];
      column.forEach((value, k) => cacheSegments[k * rows + begin + i] = value);
      if (i >= prompt.length) continue;
      column.forEach((value, k) => segments[k * total + t] = value);
      ids[t] = prompt[i]!;
      tokenRows[t] = begin + i;
      t++;
    }
    begin += owned;
  });
  let end = 0;
  const lasts = lengths.map((n) => (end += n) - 1);
  const integers = (values: ArrayLike<number>) => tensor(Int32Array.from(values));
  const layout: Layout = {
    cacheSegments: tensor(cacheSegments, { shape: [5, rows] }),
    promptLengths: integers(lengths),
    firstRows: integers(begins.map((row, b) => row + lengths[b]!)),
    begins: integers(begins),
  };
  return {
    rows,
    positions: Math.max(...lengths) + maxNewTokens,
    stream: { ids: tensor(ids), segments: tensor(segments, { shape: [5, total] }) },
    lasts: integers(lasts),
    tokenRows: tensor(tokenRows),
    layout,
  };
}
