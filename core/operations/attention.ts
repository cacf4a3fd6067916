/** Attention and its gradient. @module */

import { binary } from "../elementwise.ts";
import { type GraphRecord, makeNode, type Node } from "../graph.ts";
import * as p from "../primitives.ts";
import { reduceAxes } from "../reduction.ts";
import { showShape } from "../shape.ts";
import type { KernelRecord } from "./record.ts";

/** Settings that both kernels have. */
export interface AttentionVariant {
  /** Whether a token sees only positions up to its own. */
  readonly causal: boolean;
  /** Limit of the scores, if there is one. */
  readonly softcap: boolean;
  /** Whether a bias by relative position is added. */
  readonly bias: boolean;
}

/**
 * Block-wise attention over flat token streams; no [T, S] matrix in memory. Query head h reads
 * key/value head ⌊h·K/H⌋, where T, S, H, K, D, R are `queries`, `keys`, `queryHeads`, `keyHeads`, `width`, `reach`.
 *
 * Arguments: q f32 [T, H, D], k f32 [S, K, D], v f32 [S, K, D], querySegments i32 [5, T],
 * keySegments i32 [5, S], bias f32 [H, 2R+1] when `bias`; then out f32 [T, H, D], lse f32 [T, H].
 *
 * Rows of a segments array: segment, parent, position, first, last. Key j is visible to query i when
 * first[i] ≤ j < last[i] (a hint that only skips), segment[j] ≥ 0, segment[j] is segment[i] or
 * parent[i], and, when `causal`, 0 ≤ position[i] − position[j] < window; when not,
 * |position[i] − position[j]| < window. A query with segment < 0 sees nothing.
 *
 * score = scale·q·k; with `softcap`, cap·tanh(score / cap); plus
 * bias[h, clamp(position[i] − position[j], −R, R) + R]. lse is the log of the sum of exponentials;
 * a query that sees no key gives out = 0, lse = −∞.
 */
export interface AttentionKernel extends AttentionVariant {
  /** Which kernel. */
  readonly op: "attention";
}

/**
 * Gradients of {@link AttentionKernel}. Arguments: q, k, v, querySegments, keySegments, [bias],
 * lse f32 [T, H], delta f32 [T, H] (= Σ_d out·dOut), dOut f32 [T, H, D]; then dq [T, H, D],
 * dk [S, K, D], dv [S, K, D], [dBias [H, 2R+1]]. Same sizes. Rows and columns that
 * nothing touched are zeros. The result does not depend on timing.
 */
export interface AttentionGradKernel extends AttentionVariant {
  /** Which kernel. */
  readonly op: "attentionGrad";
}

/** Numbers of attention. */
export type AttentionSizes = {
  /** Tokens that look. */
  readonly queries: number;
  /** Tokens that are looked at. */
  readonly keys: number;
  /** Heads of the queries. */
  readonly queryHeads: number;
  /** Heads of keys and values, a divisor of `queryHeads`. */
  readonly keyHeads: number;
  /** Features of a head. */
  readonly width: number;
  /** Keys at this distance or more are not seen. */
  readonly window: number;
  /** The largest relative position that has a bias of its own. */
  readonly reach: number;
  /** Factor of the scores. */
  readonly scale: number;
  /** Limit of the scores; 0 if there is none. */
  readonly softcap: number;
};

/** Settings of an attention node. */
export interface AttentionSettings {
  /** Whether a token sees only positions up to its own. */
  readonly causal: boolean;
  /** Keys at this distance or more are not seen. 2³¹ − 1 is no limit. */
  readonly window: number;
  /** Factor of the scores. */
  readonly scale: number;
  /** Limit of the scores, if there is one. */
  readonly softcap: number | null;
  /** Whether a bias by relative position is added. */
  readonly bias: boolean;
}

/** Inputs of attention, as {@link AttentionKernel} has them. */
export interface AttentionInputs {
  /** f32 [T, H, D]. */
  readonly q: Node;
  /** f32 [S, K, D]. */
  readonly k: Node;
  /** f32 [S, K, D]. */
  readonly v: Node;
  /** i32 [5, T]. */
  readonly querySegments: Node;
  /** i32 [5, S]. */
  readonly keySegments: Node;
  /** f32 [H, 2R + 1]; null for none. */
  readonly bias: Node | null;
}

/**
 * The output of attention.
 *
 * @throws RangeError if shapes or dtypes do not fit.
 */
export function attend(inputs: AttentionInputs, settings: Omit<AttentionSettings, "bias">): Node {
  const { q, k, v, querySegments, keySegments, bias } = inputs;
  const [t, heads, width] = q.shape;
  const [s, keyHeads] = k.shape;
  const fits = q.shape.length === 3 && k.shape.length === 3 &&
    showShape(k.shape) === showShape(v.shape) && k.shape[2] === width &&
    heads! % keyHeads! === 0 && showShape(querySegments.shape) === `[5, ${t}]` &&
    showShape(keySegments.shape) === `[5, ${s}]` &&
    (!bias || (bias.shape.length === 2 && bias.shape[0] === heads && bias.shape[1]! % 2 === 1));
  const typed = [q, k, v, ...(bias ? [bias] : [])].every((x) => x.dtype === "f32") &&
    querySegments.dtype === "i32" && keySegments.dtype === "i32";
  const all = [q, k, v, querySegments, keySegments, ...(bias ? [bias] : [])];
  if (!fits || !typed) {
    throw new RangeError(
      `Cannot attend: q, k, v, querySegments, keySegments${bias ? ", bias" : ""} are ` +
        `${all.map(p.showNode).join(", ")}; need f32 [T, H, D], [S, K, D], [S, K, D] with H a ` +
        "multiple of K, i32 [5, T], [5, S] and f32 [H, 2R + 1]",
    );
  }
  const operation = {
    name: "call",
    record: attention,
    settings: { ...settings, bias: bias !== null },
  } as const;
  const node = makeNode(operation, all, q.shape, "f32", [q.shape, q.shape.slice(0, 2)]);
  return p.part(node, 0);
}

/** The launch of either kernel: all inputs, then all outputs. */
function launchOf<K extends AttentionKernel["op"] | AttentionGradKernel["op"]>(
  op: K,
): NonNullable<GraphRecord<AttentionSettings>["launch"]> {
  return ({ inputs }, { causal, window, scale, softcap, bias }, sources, outputs) => {
    const [queries, queryHeads, width] = inputs[0]!.shape as [number, number, number];
    const [keys, keyHeads] = inputs[1]!.shape as [number, number];
    const sizes: AttentionSizes = {
      ...{ queries, keys, queryHeads, keyHeads, width, window },
      reach: bias ? (inputs[5]!.shape[1]! - 1) / 2 : 0,
      scale,
      softcap: softcap ?? 0,
    };
    return {
      kernel: { op, causal, softcap: softcap !== null, bias },
      sizes,
      args: [...sources.map(({ base }) => base), ...outputs],
    };
  };
}

const integers = [
  ...["queries", "keys", "queryHeads", "keyHeads", "width", "window", "reach"] as const,
] as const;
const floats = ["scale", "softcap"] as const;

/** Elements of an argument; all have four bytes. */
function elementsOf(name: string, sizes: AttentionSizes): number {
  const { queries, keys, queryHeads, keyHeads, width, reach } = sizes;
  switch (name) {
    case "k":
    case "v":
    case "dk":
    case "dv":
      return keys * keyHeads * width;
    case "querySegments":
      return 5 * queries;
    case "keySegments":
      return 5 * keys;
    case "bias":
    case "dBias":
      return queryHeads * (2 * reach + 1);
    case "lse":
    case "delta":
      return queries * queryHeads;
    default:
      return queries * queryHeads * width;
  }
}

/** What both kernels' records have in common. */
function recordOf<K extends AttentionVariant & { readonly op: string }>(
  op: K["op"],
  args: (kernel: K) => readonly string[],
): KernelRecord<K, AttentionSizes> {
  return {
    integers,
    floats,
    args,
    reach: (kernel, sizes) => args(kernel).map((name) => 4 * elementsOf(name, sizes)),
    cost(kernel, sizes) {
      // Biases are small.
      const moved = args(kernel).filter((name) => name !== "bias" && name !== "dBias");
      const bytes = moved.reduce((sum, name) => sum + 4 * elementsOf(name, sizes), 0);
      return { bytes, flops: 0 };
    },
    family: () => op,
    label: ({ causal }, { queries, keys, queryHeads, keyHeads, width }) =>
      `${op} ${queries}x${keys}, ${queryHeads}/${keyHeads} heads of ${width}` +
      (causal ? ", causal" : ""),
  };
}

function inputNames(bias: boolean): string[] {
  return ["q", "k", "v", "querySegments", "keySegments", ...(bias ? ["bias"] : [])];
}

/** The record of attention. Its node's parts are out and lse. */
export const attention:
  & GraphRecord<AttentionSettings>
  & KernelRecord<AttentionKernel, AttentionSizes> = {
    ...recordOf<AttentionKernel>("attention", ({ bias }) => [...inputNames(bias), "out", "lse"]),
    name: "attention",
    alone: true,
    gradient(node, settings, [g, gLse]) {
      if (gLse) throw new Error("Attention's log-sum-exp output has no gradient rule");
      if (!g) return node.inputs.map(() => null);
      const delta = reduceAxes("sum", binary("mul", g, p.part(node, 0)), -1, {});
      const inputs = [...node.inputs, p.part(node, 1), delta, g];
      const [q, k, v, , , bias] = node.inputs as [Node, Node, Node, Node, Node, Node?];
      const parts = [q, k, v, ...(bias ? [bias] : [])].map(({ shape }) => shape);
      const operation = { name: "call", record: attentionGrad, settings } as const;
      const gradients = makeNode(operation, inputs, q.shape, "f32", parts);
      const [dq, dk, dv, ...dBias] = parts.map((_, i) => p.part(gradients, i)) as [
        ...[Node, Node, Node],
        Node?,
      ];
      return [dq, dk, dv, null, null, ...dBias as Node[]];
    },
    launch: launchOf("attention"),
  };

/** The record of its gradient. Its node's parts are dq, dk, dv and, with a bias, dBias. */
export const attentionGrad:
  & GraphRecord<AttentionSettings>
  & KernelRecord<AttentionGradKernel, AttentionSizes> = {
    ...recordOf<AttentionGradKernel>("attentionGrad", ({ bias }) => {
      const ofBias = bias ? ["dBias"] : [];
      return [...inputNames(bias), "lse", "delta", "dOut", "dq", "dk", "dv", ...ofBias];
    }),
    name: "attentionGrad",
    alone: true,
    gradient() {
      throw new Error(
        "Attention has no second derivative: compute the attention by matmul and softmax",
      );
    },
    launch: launchOf("attentionGrad"),
  };
