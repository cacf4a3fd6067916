/** AdamW with moments of 8 bits. @module */

import { full, type Path, type Tensor, type Tree, where, zeros } from "../../core/mod.ts";
import { type AdamWOptions, adamWRule, type AdamWScalar, adamWUpdate } from "./adamw.ts";
import { decode, type DynamicMap, encode } from "./dynamic_map.ts";
import { decayed, movingAverage, optimizerOf, type ParameterRule, stateTensor } from "./rule.ts";
import type { Optimizer } from "./types.ts";

/** Settings of {@link adamW8bit}. */
export interface AdamW8bitOptions extends AdamWOptions {
  /** Elements from which on a parameter's moments have 8 bits. 4096 by default. */
  readonly minSize?: number;
  /** Parameters whose moments stay f32 whatever their size. None by default. */
  readonly exact?: (path: Path) => boolean;
}

/** Elements that share a scale. */
const block = 256;

/**
 * AdamW whose moments are stored as codes of the dynamic map, u8, with the largest magnitude of every 256
 * elements as scale (Dettmers et al., "8-bit Optimizers via Block-wise Quantization", 2022; `AdamW8bit` of
 * bitsandbytes). The step itself is computed in f32 from the moments before they are rounded again. Small
 * parameters have moments in f32.
 */
export function adamW8bit(options: AdamW8bitOptions): Optimizer {
  const { beta1, beta2, epsilon, weightDecay, decays = () => true } = options;
  const { minSize = 4096, exact = () => false } = options;
  const exactly = adamWRule(options);
  const [signed, unsigned] = [{ signed: true }, { signed: false }];
  const rule: ParameterRule<AdamWScalar> = {
    scalars: exactly.scalars,
    init: (param, path) => {
      if (param.size < minSize || exact(path)) return exactly.init(param, path);
      const blocks = Math.ceil(param.size / block);
      return { first: zeroCodes(signed, blocks), second: zeroCodes(unsigned, blocks) };
    },
    update: (step, scalars) => {
      const { path, param } = step;
      if (param.size < minSize || exact(path)) return exactly.update(step, scalars);
      const gradient = inBlocks(step.gradient);
      const moment = (map: DynamicMap, slot: string) =>
        decode(map, stateTensor(step, slot, "codes")).mul(stateTensor(step, slot, "absmax"));
      const first = movingAverage(moment(signed, "first"), gradient, beta1);
      const second = movingAverage(moment(unsigned, "second"), gradient.square(), beta2);
      const kept = decayed({ ...step, param: inBlocks(param) }, scalars.learningRate, {
        weightDecay,
        decays,
      });
      return {
        param: outOfBlocks(adamWUpdate(kept, { first, second }, scalars, epsilon), param.shape),
        state: { first: quantized(signed, first), second: quantized(unsigned, second) },
      };
    },
  };
  return optimizerOf(rule);
}

function zeroCodes({ signed }: DynamicMap, blocks: number): Tree<Tensor> {
  const codes = signed ? full([blocks, block], 127, "u8") : zeros([blocks, block], "u8");
  return { codes, absmax: zeros([blocks, 1]) };
}

/** Rows of {@link block} elements, the last filled up with zeros. */
function inBlocks(x: Tensor): Tensor {
  const missing = -x.size & (block - 1);
  return (missing === 0 ? x : x.reshape(-1).pad(0, missing)).reshape(-1, block);
}

function outOfBlocks(x: Tensor, shape: readonly number[]): Tensor {
  const size = shape.reduce((a, n) => a * n, 1);
  return (size === x.size ? x : x.reshape(-1).slice(0, size)).reshape(...shape);
}

function quantized(map: DynamicMap, x: Tensor): Tree<Tensor> {
  const absmax = x.abs().max(1, { keepDims: true });
  // A block of less than this is as good as zero, and its reciprocal might overflow.
  const reciprocal = full([], 1).div(where(absmax.lt(1e-30), 1, absmax));
  return { codes: encode(map, x.mul(reciprocal)), absmax };
}
