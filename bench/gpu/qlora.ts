/** A step of QLoRA on a model whose frozen weights are random 4-bit codes. @module */

import {
  full,
  leavesOf,
  mapTree,
  partition,
  randomBits,
  randomKey,
  realize,
  type Tensor,
  tensor,
} from "../../core/mod.ts";
import {
  adamWOptimizer,
  applyLora,
  causalModel,
  type DecoderParams,
  freshParameter,
  isAdapterParameter,
  type ParameterShape,
  type Quantized,
} from "../../nn/mod.ts";
import { nll } from "../../rl/mod.ts";
import { sftTask } from "../../train/tasks/sft.ts";
import { trainSteps } from "../../train/loop/steps.ts";
import { timeSteady } from "../measure.ts";
import type { SectionContext } from "./section.ts";
import { configOf } from "./shapes.ts";

/** Codes of a matrix: a byte holds two. */
function randomCodes([rows, columns]: readonly [number, number], seed: number): Quantized {
  const bytes = Math.ceil(rows * columns / 2);
  return {
    format: "nf4",
    shape: `${rows}x${columns}`,
    codes: randomBits(randomKey(seed), [bytes]).and(255).cast("u8"),
    absmax: full([Math.ceil(rows * columns / 64)], 0.02),
  };
}

/** Measures a step on rows of so many tokens, gradient checkpointing on, LoRA r 16 on all linears. */
export function measureQlora(
  rows: number,
  tokens: number,
): (context: SectionContext) => Promise<void> {
  return async ({ small, device: open, keep }) => {
    const device = await open();
    const config = configOf("8B", small);
    const length = small ? 32 : tokens;
    const model = causalModel(config);
    let seed = 0;
    const parameters = new Map<string, unknown>();
    for (const [path, leaf] of leavesOf(model.shapes())) {
      const { shape } = leaf as ParameterShape;
      seed++;
      const value = shape.length === 2 && /layers/.test(path)
        ? randomCodes(shape as [number, number], seed)
        : freshParameter(model, path, leaf as ParameterShape, randomKey(seed)).cast(
          shape.length === 2 ? "bf16" : "f32",
        );
      // One matrix at a time, so that no more than one is there in f32.
      parameters.set(path, await realize(value));
    }
    const base = mapTree(model.shapes(), (_, path) => parameters.get(path)) as DecoderParams;
    const { params } = await applyLora(
      base,
      { r: 16, target_modules: "all-linear" },
      randomKey(1),
      {
        modelType: String(config["model_type"]),
      },
    );
    const ids = (row: number) =>
      Int32Array.from({ length }, (_, i) => (i * 7919 + row * 31) % config.vocab_size);
    const examples = Array.from({ length: rows }, (_, row) => {
      const inputIds = ids(row);
      return { inputIds, labels: inputIds, rows: [row] };
    });
    const task = sftTask({ model, examples, objective: nll, gradientCheckpointing: true });
    const optimizer = adamWOptimizer({ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 });
    const { whole } = trainSteps(task, { optimizer, maxGradNorm: 1 });
    const batch = task.batch(examples.map((_, i) => i));
    let [trainable, frozen] = partition(params, (path, leaf) => isAdapterParameter(path, leaf)) as [
      DecoderParams,
      DecoderParams,
    ];
    let moments = optimizer.init(trainable);
    const key = { run: randomKey(0), index: tensor(Uint32Array.of(0)) };
    await realize([trainable, moments, batch.inputs, key]);
    let steps = 0;
    let metrics: { readonly values: Tensor } | null = null;
    const once = () => {
      metrics?.values.dispose();
      const numbers = { share: 1, labels: batch.items, normalizer: batch.items };
      const next = whole(trainable, moments, null, frozen, batch.inputs, key, {
        ...numbers,
        ...optimizer.scalars(1e-4, ++steps),
      });
      ({ trainable, optimizer: moments, metrics } = next);
    };
    const before = device.counters().flops;
    once();
    await device.synchronize();
    const flops = device.counters().flops - before;
    const ms = await timeSteady(device, once, {
      samples: small ? 1 : 5,
      budgetMs: small ? 1 : 15_000,
      sampleMs: small ? 1 : 200,
    });
    keep({
      rows: `${rows} × ${length}`,
      "ms a step": ms,
      "tokens/s": 1000 * rows * length / ms,
      "products GFLOP/s": flops / ms / 1e6,
      "device GB": device.counters().peakBytes / 1e9,
    });
  };
}
