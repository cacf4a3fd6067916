/** The output head: what losses need of the logits, without ever holding all of them. @module */

import { iota } from "./create.ts";
import { concat } from "./functions.ts";
import { checkpoint, customVjp } from "./grad.ts";
import { barrier } from "./operations/barrier.ts";
import { matmul, Tensor, where } from "./tensor.ts";
import { leavesOf, replaceLeaves } from "./tree.ts";

/** What turns hidden states into logits: scale·(hidden·weightᵀ + bias), then cap·tanh(logit / cap). */
export interface OutputHead {
  /** [V, D]. */
  readonly weight: Tensor;
  /** f32 [V]; none by default. */
  readonly bias?: Tensor | null;
  /** A factor of the logits, as in T5; 1 by default. */
  readonly scale?: number | null;
  /** Limits the logits smoothly to ±softCap; none by default. */
  readonly softCap?: number | null;
}

/** How statistics are taken of logits. */
export interface LogitOptions {
  /** Divides the logits; 1 by default. */
  readonly temperature?: number;
  /** The most logits in memory at once; 2²³ (32 MiB) by default. */
  readonly maxLogits?: number;
}

/** Statistics of each row's distribution p over the vocabulary, f32 [N] each. */
export interface LogitStats {
  /** log p[label]. Differentiable. */
  readonly logProb: Tensor;
  /** −Σ p log p. Differentiable. */
  readonly entropy: Tensor;
  /** The most probable token, i32; the first of several. */
  readonly argMax: Tensor;
  /** Mean of the logits. */
  readonly meanLogit: Tensor;
  /** Σ p². */
  readonly sumSquares: Tensor;
}

const defaultMaxLogits = 2 ** 23;

function rowsPerChunk(vocabulary: number, rows: number, options: LogitOptions): number {
  const most = Math.max(1, Math.floor((options.maxLogits ?? defaultMaxLogits) / vocabulary));
  const chunks = Math.ceil(rows / most);
  return chunks <= 1 ? rows : Math.min(most, Math.ceil(rows / chunks / 8) * 8);
}

/** Logits f32 [N, V] of hidden states f32 [N, D]. A matrix [V, D] by itself is a head too. */
export function headLogits(hidden: Tensor, head: Tensor | OutputHead): Tensor {
  const { weight, bias, scale, softCap } = asHead(head);
  const raw = matmul(hidden, weight, { transposeB: true });
  const biased = bias ? raw.add(bias) : raw;
  const scaled = scale ? biased.mul(scale) : biased;
  return softCap ? scaled.div(softCap).tanh().mul(softCap) : scaled;
}

/** Means over the vocabulary of the logits of hidden states f32 [N, D], f32 [N], without making them if possible. */
export function meanLogits(
  hidden: Tensor,
  head: Tensor | OutputHead,
  options: LogitOptions = {},
): Tensor {
  const { weight, bias, scale, softCap } = asHead(head);
  if (softCap) return mapLogits([{ hidden, head }], [], ([logits]) => logits!.mean(-1), options);
  // The mean over the vocabulary of h·Wᵀ is h·(mean of W's rows).
  const means = matmul(hidden, weight.mean(0, { keepDims: true }), { transposeB: true })
    .reshape(hidden.shape[0]!);
  return (bias ? means.add(bias.mean()) : means).mul(scale ?? 1);
}

function asHead(head: Tensor | OutputHead): OutputHead {
  return head instanceof Tensor ? { weight: head } : head;
}

/** The statistics of rows, and what their log-probabilities are computed from again. */
type Row = { readonly [K in keyof LogitStats]: Tensor } & {
  /** Largest logit, and log Σ e^(logit − largest). */
  readonly largest: Tensor;
  readonly logTotal: Tensor;
};

function statsOf(logits: Tensor, labels: Tensor): Row {
  const column = { keepDims: true };
  const largest = logits.max(-1, column);
  // Everything is relative to the largest logit, so that no digits are lost to its size.
  const shifted = logits.sub(largest);
  const exponentials = shifted.exp();
  const total = exponentials.sum(-1, column);
  const logTotal = total.log();
  const hit = labels.unsqueeze(1).eq(iota(logits.shape[1]!));
  const picked = where(hit, shifted, 0).sum(-1, column);
  const weighted = where(exponentials.eq(0), 0, exponentials.mul(shifted));
  const row = (x: Tensor) => x.reshape(logits.shape[0]!);
  return {
    largest: row(largest),
    logTotal: row(logTotal),
    logProb: row(picked.sub(logTotal)),
    entropy: row(logTotal.sub(weighted.sum(-1, column).div(total))),
    argMax: row(logits.argMax(-1)),
    meanLogit: row(logits.mean(-1, column)),
    sumSquares: row(exponentials.square().sum(-1, column).div(total.square())),
  };
}

/** d loss / d logits from the cotangents of log p[label] and of the entropy. */
function logitCotangents(
  logits: Tensor,
  labels: Tensor,
  row: Row,
  cotangents: Row,
): Tensor {
  const column = (x: Tensor) => x.unsqueeze(1);
  const [g, h] = [column(cotangents.logProb), column(cotangents.entropy)];
  const logP = logits.sub(column(row.largest)).sub(column(row.logTotal));
  const p = logP.exp();
  const hit = labels.unsqueeze(1).eq(iota(logits.shape[1]!));
  // ∂ log p_y / ∂l_j = [j = y] − p_j and ∂H / ∂l_j = −p_j (log p_j + H)
  // The normaliser has a cotangent when this is differentiated again: ∂ log Z / ∂l_j = p_j
  const slope = g.add(h.mul(logP.add(column(row.entropy)))).sub(column(cotangents.logTotal));
  return where(hit, g, 0).sub(where(p.eq(0), 0, p.mul(slope)));
}

/**
 * Log-probabilities of labels and statistics of the distributions. Logits are made some rows at a time; if there
 * are several such chunks they are made again in the backward pass.
 *
 * @param hidden f32 [N, D], one row per label.
 * @param head A matrix [V, D], or more.
 * @param labels i32 [N]; rows with a label outside [0, V) give zeros and no gradient.
 */
export function logitStats(
  hidden: Tensor,
  head: Tensor | OutputHead,
  labels: Tensor,
  options: LogitOptions = {},
): LogitStats {
  const { weight, bias = null, ...settings } = asHead(head);
  const [n, vocabulary] = [hidden.shape[0]!, weight.shape[0]!];
  if (
    hidden.rank !== 2 || weight.rank !== 2 || hidden.shape[1] !== weight.shape[1] ||
    labels.rank !== 1 ||
    labels.shape[0] !== n || labels.dtype !== "i32"
  ) {
    throw new RangeError(
      `Cannot take logit statistics: hidden, head, labels are ${hidden}, ${weight}, ${labels}`,
    );
  }
  const rows = rowsPerChunk(vocabulary, n, options);
  const valid = labels.ge(0).and(labels.lt(vocabulary));
  const chunks = chunkStarts(n, rows).map((start) => {
    const of = (x: Tensor) => x.slice(start, start + rows);
    return headStats({ hidden: of(hidden), weight, bias }, of(labels), {
      ...settings,
      temperature: options.temperature ?? 1,
      recompute: rows < n,
    });
  });
  const whole = (key: keyof LogitStats) =>
    where(valid, concat(chunks.map((chunk) => chunk[key])), 0);
  return {
    logProb: whole("logProb"),
    entropy: whole("entropy"),
    argMax: whole("argMax"),
    meanLogit: whole("meanLogit"),
    sumSquares: whole("sumSquares"),
  };
}

function chunkStarts(count: number, step: number): number[] {
  return count === 0 ? [0] : Array.from({ length: Math.ceil(count / step) }, (_, i) => i * step);
}

interface HeadInputs {
  readonly hidden: Tensor;
  readonly weight: Tensor;
  readonly bias: Tensor | null;
}

function headStats(
  inputs: HeadInputs,
  labels: Tensor,
  { temperature, recompute, ...settings }: Pick<OutputHead, "scale" | "softCap"> & {
    readonly temperature: number;
    readonly recompute: boolean;
  },
): Row {
  const { scale, softCap } = settings;
  const cooled = (logits: Tensor) => logits.mul(1 / temperature);
  const stats = customVjp(
    ({ hidden, ...head }: HeadInputs): Row =>
      statsOf(cooled(headLogits(hidden, { ...head, ...settings })), labels),
    ({ hidden, ...head }, row, cotangents) => {
      const tokens = [cotangents.logProb.node, cotangents.entropy.node];
      const held = recompute ? new Tensor(barrier(hidden.node, tokens)) : hidden;
      const logits = headLogits(held, { ...head, ...settings });
      const capped = cooled(logitCotangents(cooled(logits), labels, row, cotangents));
      // d cap·tanh(x / cap) / dx = 1 − tanh²(x / cap)
      const scaled = softCap ? capped.mul(logits.div(softCap).square().neg().add(1)) : capped;
      const raw = scale ? scaled.mul(scale) : scaled;
      return [
        matmul(raw, head.weight),
        matmul(raw, held, { transposeA: true }),
        ...(head.bias ? [raw.sum(0)] : []),
      ];
    },
  );
  return stats(inputs);
}

interface DistributionInputs {
  readonly heads: readonly HeadInputs[];
  readonly rows: readonly Tensor[];
}

/**
 * Applies a function of whole distributions chunk by chunk: for divergences between two models and the like.
 * The function is computed again, chunk by chunk, in the backward pass; of what it captures there is no gradient.
 *
 * @param heads Pairs of hidden states [N, D] and head ([V, D], or more), as many as the function takes logits.
 * @param f From logits [n, V] of each head (and the chunk's rows of `rows`) to a tree of tensors [n, …].
 * @returns The tree with all N rows.
 */
export function mapLogits<R>(
  heads: readonly { readonly hidden: Tensor; readonly head: Tensor | OutputHead }[],
  rows: readonly Tensor[],
  f: (logits: readonly Tensor[], rows: readonly Tensor[]) => R,
  options: LogitOptions = {},
): R {
  const whole = heads.map(({ hidden, head }) => ({ hidden, ...asHead(head) }));
  const [n, vocabulary] = [whole[0]!.hidden.shape[0]!, whole[0]!.weight.shape[0]!];
  const size = rowsPerChunk(vocabulary, n, options);
  const chunks = chunkStarts(n, size).map((start) => {
    const of = (x: Tensor) => x.slice(start, start + size);
    // Only what is an input of the recomputed function has a gradient.
    const compute = checkpoint((inputs: DistributionInputs) => {
      const logits = inputs.heads.map(({ hidden, ...head }, i) =>
        headLogits(hidden, { ...whole[i]!, ...head })
          .mul(1 / (options.temperature ?? 1))
      );
      return f(logits, inputs.rows);
    });
    return compute({
      heads: whole.map(({ hidden, weight, bias = null }) => ({ hidden: of(hidden), weight, bias })),
      rows: rows.map(of),
    });
  });
  const lists = chunks.map((chunk) => leavesOf(chunk).map(([, leaf]) => leaf as Tensor));
  return replaceLeaves(chunks[0]!, lists[0]!.map((_, i) => concat(lists.map((list) => list[i]!))));
}
