/**
 * Values of tokens: a value head beside the language model, as in TRL's `AutoModelForCausalLMWithValueHead`, or a
 * classifier with one label as a value model of its own.
 *
 * @module
 */

import {
  foldKey,
  type Key,
  type Path,
  randomNormal,
  randomUniform,
  type Shape,
  type Tensor,
  zeros,
} from "../core/mod.ts";
import { type ClassifierParams, classify } from "./classifier.ts";
import type { DecoderParams } from "./decoder.ts";
import { dropOut } from "./dropout.ts";
import { linear } from "./linear.ts";

/** A language model with a value head, under its names in TRL's checkpoints. */
export interface ValueHeadParams extends DecoderParams {
  /** One linear layer. */
  readonly v_head: {
    readonly summary: {
      /** f32 [1, D]. */
      readonly weight: Tensor;
      /** f32 [1]. */
      readonly bias: Tensor;
    };
  };
}

/** How a value head begins that a checkpoint lacks. */
export interface ValueHeadOptions {
  /**
   * TRL's `v_head_init_strategy`: `normal` is a normal weight and no bias; null, the default, is as PyTorch's
   * linear layers begin, both uniform on ±1/√D.
   */
  readonly initStrategy?: "normal" | null | undefined;
  /** TRL's `v_head_initializer_range`: the standard deviation of `normal`; 0.2 by default. */
  readonly initializerRange?: number | undefined;
}

/** Dropout of the hidden states under a value head. */
export interface ValueDropout {
  /** TRL's `summary_dropout_prob`; 0.1 by default. */
  readonly dropout?: number;
  /** Which elements are dropped, in training; without it none is. */
  readonly key?: Key | null;
}

/** Values by a value head: hidden states f32 [..., D] → f32 [...]. */
export function headValues(
  { v_head }: ValueHeadParams,
  hidden: Tensor,
  { dropout = 0.1, key = null }: ValueDropout = {},
): Tensor {
  const input = key && dropout > 0 ? dropOut(hidden, dropout, key) : hidden;
  return linear(v_head.summary, input).reshape(...hidden.shape.slice(0, -1));
}

/**
 * Values by the head of a sequence classifier with one label: hidden states f32 [..., D] → f32 [...].
 *
 * @throws RangeError if it has more labels.
 */
export function scoreValues(params: ClassifierParams, hidden: Tensor): Tensor {
  const scores = classify(params, hidden);
  if (scores.shape.at(-1) === 1) return scores.reshape(...hidden.shape.slice(0, -1));
  throw new RangeError(
    `A model with ${scores.shape.at(-1)} labels gives no value of a token: a value model has 1.`,
  );
}

/** Whether a parameter of a model is one of its value head's. */
export function isValueHeadParameter(path: Path): boolean {
  return path.startsWith("v_head.");
}

/** The tree without its value head. */
export function withoutValueHead<P extends object>(params: P): P {
  if (!("v_head" in params)) return params;
  const { v_head: _, ...rest } = params;
  return rest as P;
}

/**
 * A fresh parameter of a value head.
 *
 * @param width D.
 */
export function freshValueHead(
  path: Path,
  { shape, width, key }: { readonly shape: Shape; readonly width: number; readonly key: Key },
  { initStrategy = null, initializerRange = 0.2 }: ValueHeadOptions = {},
): Tensor {
  const isBias = path.endsWith("bias");
  if (initStrategy === "normal") {
    return isBias ? zeros(shape) : randomNormal(key, shape).mul(initializerRange);
  }
  const bound = 1 / Math.sqrt(width);
  return randomUniform(foldKey(key, isBias ? 1 : 0), shape).mul(2 * bound).sub(bound);
}
