/** A whole step of supervised fine-tuning. @module */

import {
  jit,
  leavesOf,
  logitStats,
  type Operand,
  randomKey,
  realize,
  setDevice,
  type Tensor,
  tensor,
  valueAndGrad,
} from "../core/mod.ts";
import { type Kernel, kernelKey, type Launch } from "../core/launch.ts";
import { productFlops } from "../core/profile/cost.ts";
import {
  adamW,
  type AdamWState,
  adamWStep,
  type CausalModel,
  causalModel,
  clipByNorm,
  type DecoderParams,
  globalNorm,
  initAdamW,
  initParameters,
  type RotaryTables,
} from "../nn/mod.ts";
import type { Backend } from "./backend.ts";
import { profileSteps, timeSteady } from "./measure.ts";
import type { Piece, PieceOptions, Row } from "./piece.ts";
import { sftBatch } from "./sft_batch.ts";
import { watchDevice } from "./watched_device.ts";

/** Time and memory of a step: forward, backward, clipping, AdamW. */
export const sftStepPiece: Piece = {
  name: "sft",
  title: "A step of supervised fine-tuning, f32, Llama, 8 rows, labels on completions, AdamW",
  casesAre: "columns",
  run: async (backend, options) => [await measure(backend, options)],
};

/** A Llama of 27 M parameters. */
export const large = {
  model_type: "llama",
  vocab_size: 8192,
  hidden_size: 512,
  num_hidden_layers: 8,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  intermediate_size: 1376,
  tie_word_embeddings: true,
  max_position_embeddings: 1024,
};

/** A small one for quick runs and software adapters. */
export const small = {
  ...large,
  vocab_size: 1024,
  hidden_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 344,
};

interface Batch {
  readonly stream: { readonly ids: Tensor; readonly segments: Tensor };
  readonly sources: Tensor;
  readonly targets: Tensor;
  readonly rotary: RotaryTables;
}

type Numbers = Record<"learningRate" | "correction1" | "correction2", Operand>;

const adamWOptions = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 };

function trainingStep(model: CausalModel) {
  const lossOf = (params: DecoderParams, { stream, sources, targets, rotary }: Batch) => {
    const hidden = model.hidden(params, stream, { rotary });
    const { logProb } = logitStats(hidden.gather(sources), model.head(params), targets);
    return logProb.sum().neg().div(targets.ge(0).cast("f32").sum());
  };
  return jit((
    params: DecoderParams,
    state: AdamWState<DecoderParams>,
    batch: Batch,
    numbers: Numbers,
  ) => {
    const [loss, gradients] = valueAndGrad(lossOf)(params, batch);
    const norm = globalNorm(gradients);
    const [nextParams, nextState] = adamW(
      params,
      clipByNorm(gradients, norm, 1),
      state,
      numbers,
      adamWOptions,
    );
    return { params: nextParams, state: nextState, loss, norm };
  }, { donate: [0, 1], name: "the training step" });
}

async function measure(backend: Backend, { quick, onProfile }: PieceOptions): Promise<Row> {
  const { device, spent } = watchDevice(backend.device);
  setDevice(device);
  const reduced = quick || backend.software;
  const model = causalModel(reduced ? small : large);
  const arrays = sftBatch(model.config.vocabularySize);
  const batch: Batch = {
    stream: {
      ids: tensor(arrays.ids),
      segments: tensor(arrays.segments, { shape: [5, arrays.length] }),
    },
    sources: tensor(arrays.sources),
    targets: tensor(arrays.targets),
    rotary: model.tables(512),
  };
  let params = initParameters(model, randomKey(0));
  let state = initAdamW(params);
  await realize([params, state, batch]);
  const parameters = leavesOf(params).reduce((sum, [, leaf]) => sum + (leaf as Tensor).size, 0);

  const step = trainingStep(model);
  const planning = performance.now();
  const { plan } = step.plan(params, state, batch, adamWStep(0, 1, adamWOptions));
  const traceMs = performance.now() - planning;

  let [steps, callMs] = [0, 0];
  let loss: Tensor | null = null;
  const once = () => {
    loss?.dispose();
    const start = performance.now();
    const result = step(params, state, batch, adamWStep(1e-3, ++steps, adamWOptions));
    callMs += performance.now() - start;
    ({ params, state, loss } = result);
    result.norm.dispose();
  };
  const lossNow = async () => await loss!.item();
  const [starting, compiledBefore] = [performance.now(), spent().compileMs];
  once();
  const firstLoss = await lossNow();
  const firstMs = performance.now() - starting;
  const compileMs = spent().compileMs - compiledBefore;

  const [callBefore, runBefore, stepsBefore] = [callMs, spent().runMs, steps];
  const ms = await timeSteady(device, once, {
    samples: quick ? 2 : 7,
    budgetMs: quick ? 1000 : backend.software ? 15_000 : 30_000,
    sampleMs: device.kind === "webgpu" ? 100 : 1,
  });
  const measured = steps - stepsBefore;
  const runMs = (spent().runMs - runBefore) / measured;
  const hostMs = (callMs - callBefore) / measured - runMs;
  const lastLoss = await lossNow();
  if (!(lastLoss < firstLoss)) {
    throw new Error(`The loss went from ${firstLoss} to ${lastLoss} in ${steps} steps`);
  }
  const { peakBytes } = device.counters();
  const { rss } = Deno.memoryUsage();
  if (onProfile) onProfile(await profileSteps(device, once));
  const products = productFlops(plan);
  return {
    ...(reduced ? { note: quick ? "quick: small model" : "small model: software adapter" } : {}),
    parameters: `${(parameters / 1e6).toFixed(1)} M`,
    "tokens (with padding)": `${arrays.tokens} (${arrays.length})`,
    "labels (with padding)": `${arrays.labels} (${arrays.labelCount})`,
    "step ms": ms,
    "tokens/s": arrays.tokens / ms * 1000,
    "products GFLOP": products / 1e9,
    "products GFLOP/s": products / ms / 1e6,
    "host ms outside run": hostMs,
    ...(device.kind === "webgpu" ? { "host ms inside run (encoding)": runMs } : {}),
    "host share %": 100 * (device.kind === "webgpu" ? hostMs + runMs : hostMs) / ms,
    "trace and plan ms": traceMs,
    "compile ms": compileMs,
    "first step ms": firstMs,
    "arena MB": plan.arenaBytes / 1e6,
    "peak device MB": peakBytes / 1e6,
    "process RSS MB": rss / 1e6,
    "distinct kernels": new Set(plan.launches.map(({ kernel }) => kernelKey(kernel))).size,
    launches: plan.launches.length,
    ...launchesByKind(plan.launches),
    "loss, first and last": `${firstLoss.toFixed(3)} ${lastLoss.toFixed(3)} (${steps} steps)`,
  };
}

function kindOf(kernel: Kernel): string {
  return kernel.op === "fused" ? `fused ${kernel.kind}` : kernel.op;
}

function launchesByKind(launches: readonly Launch[]): Row {
  const counts = new Map<string, number>();
  for (const { kernel } of launches) {
    const kind = `… ${kindOf(kernel)}`;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return Object.fromEntries([...counts].toSorted(([, a], [, b]) => b - a));
}
