/** What a launch needs at the least: bytes moved and, for products, arithmetic. @module */

import { codeBytes, isBlockCode, scaleCount } from "../block_codes.ts";
import { bytesPerElement } from "../dtype.ts";
import type { Access, FusedKernel, Int, Launch, MatmulKernel, Plan } from "../kernel.ts";

/** The least a launch has to do. */
export interface Cost {
  /** Bytes read and written when each element is fetched once; caches may spare the memory some. */
  readonly bytes: number;
  /** Multiplications and additions of a matrix product; 0 for other kernels. */
  readonly flops: number;
}

/**
 * The cost of a launch. What depends on data is not in it: attention's arithmetic (which follows the segments)
 * counts as 0, and a gather is taken to find all its rows.
 */
export function launchCost({ kernel, ints, args }: Launch): Cost {
  switch (kernel.op) {
    case "fused": {
      const perArgument = fusedBytes(kernel, ints);
      const bytes = perArgument.reduce((sum, each, i) => {
        const ref = args[i]!;
        // Different slices of one buffer may overlap; each byte of it is fetched once.
        const limit = "arena" in ref ? ref.bytes : Infinity;
        return sum + Math.min(each.read, limit) + Math.min(each.written, limit);
      }, 0);
      return { bytes, flops: 0 };
    }
    case "matmul":
      return matmulCost(kernel, ints);
    case "attention": {
      const { q, k, perHead, segments } = attentionSizes(ints);
      return { bytes: 2 * q + 2 * k + perHead + segments, flops: 0 };
    }
    case "attentionGrad": {
      const { q, k, perHead, segments } = attentionSizes(ints);
      return { bytes: 3 * q + 4 * k + 2 * perHead + segments, flops: 0 };
    }
    case "scatter": {
      const [, width, rows] = ints as readonly [number, number, number];
      const row = width * bytesPerElement[kernel.dtype];
      return { bytes: rows * ((kernel.add ? 3 : 2) * row + 4), flops: 0 };
    }
  }
}

/** Multiplications and additions of a plan's matrix products. */
export function productFlops({ launches }: Pick<Plan, "launches">): number {
  return launches.reduce((sum, launch) => sum + launchCost(launch).flops, 0);
}

/** Bytes of queries, of keys, of one number per query and head, and of both arrays of segments. */
function attentionSizes(ints: readonly number[]) {
  const [t, s, h, k, d] = ints as readonly [number, number, number, number, number];
  return { q: 4 * t * h * d, k: 4 * s * k * d, perHead: 4 * t * h, segments: 20 * (t + s) };
}

function matmulCost({ a, b, transposeB, accumulate }: MatmulKernel, ints: readonly number[]): Cost {
  const [batch, m, n, k] = ints as readonly [number, number, number, number];
  // A matrix that all products of a batch share is read once.
  const copies = (batchStride: number | undefined) => batchStride === 0 ? 1 : batch;
  const weights = isBlockCode(b)
    ? codeBytes(b, n * k) + 4 * scaleCount(b, transposeB ? n : k, transposeB ? k : n)
    : n * k * bytesPerElement[b];
  const bytes = copies(ints[5]) * m * k * bytesPerElement[a] + copies(ints[8]) * weights +
    batch * m * n * 4 * (accumulate ? 2 : 1);
  return { bytes, flops: 2 * batch * m * n * k };
}

/** Bytes read and written of each argument. */
function fusedBytes(
  { rank, kind, args, body }: FusedKernel,
  ints: readonly number[],
): { readonly read: number; readonly written: number }[] {
  const value = (int: Int) => int === 1 ? 1 : ints[int.slot]!;
  const totals = args.map(() => ({ read: 0, written: 0 }));
  // The dims along which each instruction's value varies.
  const varies: ReadonlySet<number>[] = [];
  const reduced = kind === "row" ? rank - 1 : rank - 2;
  const elements = (dims: Iterable<number>, masks: Access["masks"] = []) => {
    let count = 1;
    for (const dim of dims) {
      const mask = masks.find((each) => each.dim === dim);
      const low = mask ? Math.max(0, value(mask.low)) : 0;
      const high = mask ? Math.min(ints[dim]!, value(mask.high)) : ints[dim]!;
      count *= Math.max(0, high - low);
    }
    return count;
  };
  const seen = new Set<string>();
  for (const instruction of body) {
    let dims = new Set<number>();
    switch (instruction.op) {
      case "load":
      case "store": {
        const { arg, access } = instruction;
        dims = new Set(access.terms.map(({ dim }) => dim));
        if (access.gather) { for (const dim of varies[access.gather.index]!) dims.add(dim); }
        const key = `${instruction.op} ${arg} ${JSON.stringify(access)}`;
        if (seen.has(key)) break;
        seen.add(key);
        const bytes = elements(dims, access.masks) * bytesPerElement[args[arg]!.dtype];
        totals[arg]![instruction.op === "load" ? "read" : "written"] += bytes;
        break;
      }
      case "index":
        dims.add(instruction.dim);
        break;
      case "const":
      case "scalar":
        break;
      case "binary":
        dims = new Set([...varies[instruction.x]!, ...varies[instruction.y]!]);
        break;
      case "where": {
        const { condition, x, y } = instruction;
        dims = new Set([...varies[condition]!, ...varies[x]!, ...varies[y]!]);
        break;
      }
      case "reduce":
        dims = new Set([...varies[instruction.x]!].filter((dim) => dim !== reduced));
        break;
      default:
        dims = new Set(varies[instruction.x]!);
    }
    varies.push(dims);
  }
  return totals;
}
