/** A small decoder-only transformer by hand, with its training step: a graph of the size that matters. @module */

import {
  attention,
  concat,
  logitStats,
  matmul,
  type Operand,
  silu,
  type Tensor,
  tensor,
  valueAndGrad,
} from "../../core/mod.ts";
import { leavesOf, replaceLeaves } from "../../core/tree.ts";
import { familySegments, generator, uniform } from "./attention_cases.ts";

/** Weights of one layer. */
export interface Layer {
  readonly norm1: Tensor;
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly o: Tensor;
  readonly norm2: Tensor;
  readonly gate: Tensor;
  readonly up: Tensor;
  readonly down: Tensor;
}

/** All weights. */
export interface Params {
  readonly embed: Tensor;
  readonly layers: readonly Layer[];
  readonly norm: Tensor;
}

/** A training step's data. */
export interface Batch {
  readonly ids: Tensor;
  readonly labels: Tensor;
  readonly segments: Tensor;
  readonly cos: Tensor;
  readonly sin: Tensor;
}

const [width, heads, keyHeads, mlp, vocabulary] = [16, 4, 2, 24, 32];
const headWidth = width / heads;

/** Random weights. */
export function decoderParams(layers: number, seed = 1): Params {
  const random = generator(seed);
  const weight = (...shape: number[]) => {
    const values = uniform(random, shape.reduce((a, n) => a * n, 1));
    return tensor(values.map((v) => v / Math.sqrt(shape.at(-1)!)), { shape });
  };
  const gain = () => tensor(new Float32Array(width).fill(1));
  return {
    embed: weight(vocabulary, width),
    layers: Array.from({ length: layers }, () => ({
      norm1: gain(),
      q: weight(width, width),
      k: weight(keyHeads * headWidth, width),
      v: weight(keyHeads * headWidth, width),
      o: weight(width, width),
      norm2: gain(),
      gate: weight(mlp, width),
      up: weight(mlp, width),
      down: weight(width, mlp),
    })),
    norm: gain(),
  };
}

/** Random tokens in two sequences. */
export function decoderBatch(tokens: number, seed = 2): Batch {
  const random = generator(seed);
  const ids = () => tensor(Int32Array.from({ length: tokens }, () => random() * vocabulary | 0));
  const half = tokens >> 1;
  const families = [{ prompt: half, children: [] }, { prompt: tokens - half, children: [] }];
  const angles = Float32Array.from(
    { length: tokens * headWidth },
    (_, i) => Math.floor(i / headWidth) / 100 ** ((i % headWidth % (headWidth / 2)) / headWidth),
  );
  return {
    ids: ids(),
    labels: ids(),
    segments: tensor(familySegments(families, 0, true), { shape: [5, tokens] }),
    cos: tensor(angles.map(Math.cos), { shape: [tokens, 1, headWidth] }),
    sin: tensor(angles.map(Math.sin), { shape: [tokens, 1, headWidth] }),
  };
}

/** x / √(mean x² + ε) · gain. */
export function rmsNorm(x: Tensor, gain: Tensor): Tensor {
  return x.mul(x.square().mean(-1, { keepDims: true }).add(1e-6).rsqrt()).mul(gain);
}

function rotate(x: Tensor, { cos, sin }: Batch): Tensor {
  const half = headWidth / 2;
  const turned = concat([x.slice(half, headWidth, 2).neg(), x.slice(0, half, 2)], 2);
  return x.mul(cos).add(turned.mul(sin));
}

function layer(x: Tensor, p: Layer, batch: Batch): Tensor {
  const linear = (x: Tensor, w: Tensor) => matmul(x, w, { transposeB: true });
  const tokens = x.shape[0]!;
  const h = rmsNorm(x, p.norm1);
  const split = (w: Tensor, count: number) => linear(h, w).reshape(tokens, count, headWidth);
  const mixed = attention(
    rotate(split(p.q, heads), batch),
    rotate(split(p.k, keyHeads), batch),
    split(p.v, keyHeads),
    { querySegments: batch.segments },
  );
  const y = x.add(linear(mixed.reshape(tokens, width), p.o));
  const g = rmsNorm(y, p.norm2);
  return y.add(linear(silu(linear(g, p.gate)).mul(linear(g, p.up)), p.down));
}

/** Mean negative log-likelihood of the labels. */
export function decoderLoss(
  params: Params,
  batch: Batch,
  wrap: (f: typeof layerOf) => typeof layerOf = (f) => f,
): Tensor {
  let x = params.embed.gather(batch.ids);
  const apply = wrap(layerOf);
  for (const p of params.layers) x = apply({ x, p, batch });
  return logitStats(rmsNorm(x, params.norm), params.embed, batch.labels).logProb.mean().neg();
}

/** A layer as a function of one tree, as `checkpoint` takes it. */
export function layerOf(inputs: { x: Tensor; p: Layer; batch: Batch }): Tensor {
  return layer(inputs.x, inputs.p, inputs.batch);
}

/** Parameters and the moments of AdamW. */
export interface State {
  readonly params: Params;
  readonly first: Params;
  readonly second: Params;
}

/** A state with zero moments, in memory of its own. */
export function decoderState(layers: number): State {
  const params = decoderParams(layers);
  const zeros = () =>
    replaceLeaves(
      params,
      leavesOf(params).map(([, leaf]) => {
        const { size, shape } = leaf as Tensor;
        return tensor(new Float32Array(size), { shape });
      }),
    );
  return { params, first: zeros(), second: zeros() };
}

/** AdamW of one tensor; corrections are 1 − βᵗ. */
export function adamW(
  [p, g, m, v]: readonly [Tensor, Tensor, Tensor, Tensor],
  rate: Operand,
  correction1: Operand,
  correction2: Operand,
): [Tensor, Tensor, Tensor] {
  const m1 = m.mul(0.9).add(g.mul(0.1));
  const v1 = v.mul(0.999).add(g.square().mul(0.001));
  const update = m1.div(correction1).div(v1.div(correction2).sqrt().add(1e-8));
  return [p.sub(p.mul(0.01).add(update).mul(rate)), m1, v1];
}

/** Loss, gradients and AdamW. */
export function trainStep(
  state: State,
  batch: Batch,
  scalars: { readonly rate: Operand; readonly correction1: Operand; readonly correction2: Operand },
): { state: State; loss: Tensor } {
  const [loss, gradient] = valueAndGrad(decoderLoss)(state.params, batch);
  const list = (tree: Params) => leavesOf(tree).map(([, leaf]) => leaf as Tensor);
  const [g, m, v] = [list(gradient), list(state.first), list(state.second)];
  const updated = list(state.params).map((p, i) =>
    adamW([p, g[i]!, m[i]!, v[i]!], scalars.rate, scalars.correction1, scalars.correction2)
  );
  const tree = (k: 0 | 1 | 2) => replaceLeaves(state.params, updated.map((u) => u[k]));
  return { state: { params: tree(0), first: tree(1), second: tree(2) }, loss };
}
