/** Sampling: prompts into the cache, then one token per sequence and step. @module */

import {
  leavesOf,
  randomKey,
  realize,
  setDevice,
  showProfile,
  startProfile,
  type Tensor,
} from "../core/mod.ts";
import { causalModel, generator, headIsTied, initParameters } from "../nn/mod.ts";
import type { Backend } from "./backend.ts";
import { median, pseudoRandom } from "./measure.ts";
import type { Piece, PieceOptions, Row } from "./piece.ts";
import { large, small } from "./sft_step.ts";
import { watchDevice } from "./watched_device.ts";

/** Speed of sampling, beside the weights that every step has to read. */
export const samplingPiece: Piece = {
  name: "sampling",
  title: "Sampling at temperature 1, f32, Llama, 64 new tokens after prompts of 48 to 80",
  casesAre: "columns",
  run: async (backend, options) => {
    const rows: Row[] = [];
    for (const completions of options.quick || backend.software ? [1] : [1, 8]) {
      rows.push(await measure(backend, options, completions));
    }
    return rows;
  },
};

const prompts = 8;
const newTokens = 64;

/** Prompts of 64 tokens on average. */
function promptsFor(vocabulary: number): number[][] {
  const random = pseudoRandom(prompts * 80, 3);
  return Array.from({ length: prompts }, (_, p) => {
    const length = 48 + Math.round(32 * p / (prompts - 1));
    return Array.from(
      random.subarray(80 * p, 80 * p + length),
      (x) => Math.floor((x + 1) / 2 * vocabulary),
    );
  });
}

/** Milliseconds of a whole call, and of a decoding step in it. */
interface Timing {
  readonly ms: number;
  readonly stepMs: number;
  readonly runMs: number;
}

async function measure(
  backend: Backend,
  { quick, onProfile }: PieceOptions,
  completions: number,
): Promise<Row> {
  const { device, spent } = watchDevice(backend.device);
  setDevice(device);
  const reduced = quick || backend.software;
  const model = causalModel(reduced ? small : large);
  const params = initParameters(model, randomKey(0));
  await realize(params);
  const generate = generator(model, { maxNewTokens: newTokens, doSample: true });
  const ids = promptsFor(model.config.vocabularySize);
  const sequences = prompts * completions;

  const once = async (seed: number): Promise<Timing> => {
    const [start, before] = [performance.now(), spent().runMs];
    let [first, tokensAtFirst, tokens] = [0, 0, 0];
    for await (const block of generate.stream(params, ids, { completions, seed })) {
      if (first === 0) {
        first = performance.now();
        tokensAtFirst = block.tokens.length;
      }
      tokens += block.tokens.length;
    }
    if (tokens !== sequences * newTokens) {
      throw new Error(`${tokens} tokens were sampled, not ${sequences * newTokens}`);
    }
    const end = performance.now();
    return {
      ms: end - start,
      stepMs: (end - first) / (newTokens - tokensAtFirst),
      runMs: spent().runMs - before,
    };
  };

  const { ms: firstMs } = await once(0);
  await once(1);
  const timings: Timing[] = [];
  const [samples, budgetMs] = [quick ? 2 : 7, quick ? 1000 : 20_000];
  const start = performance.now();
  do timings.push(await once(2 + timings.length)); while (
    timings.length < samples && performance.now() - start < budgetMs
  );
  const ms = median(timings.map((timing) => timing.ms));
  const stepMs = median(timings.map((timing) => timing.stepMs));
  const hostMs = median(timings.map((timing) => timing.ms - timing.runMs));
  const { peakBytes } = device.counters();
  if (onProfile) {
    const profile = await startProfile(device);
    profile.step();
    await generate(params, ids, { completions });
    onProfile(showProfile(await profile.stop()));
  }
  const { bytes, elements } = weightsPerStep(params);
  const gflop = 2 * sequences * elements / 1e9;
  return {
    ...(reduced ? { note: quick ? "quick: small model" : "small model: software adapter" } : {}),
    sequences: completions === 1
      ? `${sequences}`
      : `${sequences} (${prompts} prompts × ${completions})`,
    "tokens/s": sequences * newTokens / ms * 1000,
    "call ms": ms,
    "prompts ms": ms - stepMs * (newTokens - 1),
    "decoding step ms": stepMs,
    "weights MB per step": bytes / 1e6,
    "weights GB/s": bytes / stepMs / 1e6,
    "products GFLOP per step": gflop,
    "products GFLOP/s": gflop / stepMs * 1000,
    // A GPU's run only enqueues: there the rest is waiting.
    ...(device.kind === "cpu" ? { "host ms per step": hostMs / newTokens } : {}),
    "first call ms": firstMs,
    "peak device MB": peakBytes / 1e6,
    "process RSS MB": Deno.memoryUsage().rss / 1e6,
  };
}

/** What every step multiplies with: all matrices, the embeddings being the head's. */
function weightsPerStep(
  params: unknown,
): { readonly bytes: number; readonly elements: number } {
  if (!headIsTied(params)) throw new Error("The embeddings are expected to be the head");
  const sizes = leavesOf(params).map(([, leaf]) => leaf as Tensor).filter(({ shape }) =>
    shape.length === 2
  );
  const elements = sizes.reduce((sum, { size }) => sum + size, 0);
  return { bytes: 4 * elements, elements };
}
