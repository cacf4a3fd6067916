/** Where in the loops of a fused kernel each instruction belongs. @module */

import type { Access, FusedKernel, Instruction } from "../../kernel.ts";

/** Kinds of loops a value can vary along: bits of a mask. */
export const along = {
  /** Dims that are neither reduced (in column kernels) nor last. */
  outer: 1,
  /** The dim before the last, in column kernels. */
  rows: 2,
  /** The last dim, which vectors run along. */
  lanes: 4,
} as const;

/** What is known of a kernel's instructions, by index. */
export interface Analysis {
  /** Dims of the iteration space, at least one: a kernel of rank 0 has one dim of size 1. */
  readonly rank: number;
  readonly body: readonly Instruction[];
  /** Along which loops the value varies. */
  readonly varies: readonly number[];
  /** How many reductions must be complete, one after the other, before the value is known. */
  readonly stage: readonly number[];
  /** Along which loops an access moves, a vector of gathered row numbers aside. */
  readonly accessVaries: (access: Access) => number;
  /** The loop that a dim is. */
  readonly loopOf: (dim: number) => number;
}

/** The instructions whose values an instruction needs. */
export function operands(instruction: Instruction): number[] {
  switch (instruction.op) {
    case "load":
      return instruction.access.gather ? [instruction.access.gather.index] : [];
    case "store":
    case "unary":
    case "cast":
    case "bitcast":
    case "reduce":
      return [instruction.x];
    case "binary":
      return [instruction.x, instruction.y];
    case "where":
      return [instruction.condition, instruction.x, instruction.y];
    default:
      return [];
  }
}

/** Analyses a kernel. */
export function analyse(kernel: FusedKernel): Analysis {
  const { kind, body } = kernel;
  const rank = Math.max(kernel.rank, 1);
  const reducedLoop = kind === "column" ? along.rows : along.lanes;
  const resultLoops = kind === "column" ? along.outer | along.lanes : along.outer;
  const loopOf = (dim: number): number => {
    if (dim === rank - 1) return along.lanes;
    return kind === "column" && dim === rank - 2 ? along.rows : along.outer;
  };
  const accessVaries = (access: Access): number =>
    [...access.terms, ...access.masks].reduce((bits, { dim }) => bits | loopOf(dim), 0);

  const varies: number[] = [];
  const stage: number[] = [];
  for (const instruction of body) {
    let bits = 0;
    let after = 0;
    for (const operand of operands(instruction)) {
      bits |= varies[operand]!;
      after = Math.max(after, stage[operand]!);
    }
    if (instruction.op === "load" || instruction.op === "store") {
      bits |= accessVaries(instruction.access);
    }
    if (instruction.op === "index") bits |= loopOf(instruction.dim);
    if (instruction.op === "reduce") {
      bits = (bits & ~reducedLoop) | resultLoops;
      after++;
    }
    varies.push(bits);
    stage.push(after);
  }
  return { rank, body, varies, stage, accessVaries, loopOf };
}

/** The roots and what they need, of the instructions that `inside` admits, in order. */
export function needed(
  body: readonly Instruction[],
  roots: readonly number[],
  inside: (index: number) => boolean,
): number[] {
  const found = new Set<number>();
  const pending = roots.filter(inside);
  for (let index = pending.pop(); index !== undefined; index = pending.pop()) {
    if (found.has(index)) continue;
    found.add(index);
    pending.push(...operands(body[index]!).filter(inside));
  }
  return [...found].sort((a, b) => a - b);
}
