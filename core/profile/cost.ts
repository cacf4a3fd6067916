/** What a launch needs at the least: bytes moved and, for products, arithmetic. @module */

import { bytesPerElement } from "../dtype.ts";
import type { Access, FusedKernel, Int } from "../kernel.ts";
import { isLaunchOf, type Launch, type Plan, recordOf } from "../launch.ts";
import type { Cost } from "../operations/record.ts";

export type { Cost } from "../operations/record.ts";

/** The cost of a launch. What depends on data is not in it: a gather is taken to find all its rows. */
export function launchCost(launch: Launch): Cost {
  if (!isLaunchOf(launch, "fused")) {
    return recordOf(launch.kernel).cost(launch.kernel, launch.sizes);
  }
  const bytes = fusedBytes(launch.kernel, launch.ints).reduce((sum, each, i) => {
    const ref = launch.args[i]!;
    // Different slices of one buffer may overlap; each byte of it is fetched once.
    const limit = "arena" in ref ? ref.bytes : Infinity;
    return sum + Math.min(each.read, limit) + Math.min(each.written, limit);
  }, 0);
  return { bytes, flops: 0 };
}

/** Multiplications and additions of a plan's matrix products. */
export function productFlops({ launches }: Pick<Plan, "launches">): number {
  return launches.reduce((sum, launch) => sum + launchCost(launch).flops, 0);
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
