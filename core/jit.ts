/** Traced once, compiled once, replayed: functions of trees of tensors. @module */

import { currentDevice } from "./device/current.ts";
import type { Allocation, Device, Program } from "./device/device.ts";
import { bindExternals, computeNodes, givenAllocation, upload } from "./execute.ts";
import { makeNode, type Node, topologicalOrder } from "./graph.ts";
import { planGraph, type PlannedGraph } from "./lower/plan.ts";
import { sameShape } from "./shape.ts";
import { Storage } from "./storage.ts";
import { Tensor } from "./tensor.ts";
import { warn } from "./terminal.ts";
import { eachLeaf, leavesOf, mapTree } from "./tree.ts";

/** Options of {@link jit}. */
export interface JitOptions {
  /**
   * Arguments (by position) whose memory the results may take over, as parameters and optimiser state do.
   * A donated tensor must not be used afterwards: doing so throws.
   */
  readonly donate?: readonly number[];
  /** For messages. */
  readonly name?: string;
}

/** What was compiled for one signature. */
interface Trace {
  readonly planned: PlannedGraph;
  readonly device: Device;
  /** Compiled at the first run. */
  program: Program | null;
  /** The result, with positions of roots in place of tensors. */
  readonly result: unknown;
}

/** A root's position in a traced result. */
class RootPosition {
  constructor(readonly index: number, readonly node: Node) {}
}

/** An argument list taken apart. */
interface Arguments {
  readonly signature: string;
  /** Distinct tensors; the same memory twice is one of them. */
  readonly tensors: readonly Tensor[];
  readonly scalars: readonly number[];
  /** Positions in `tensors` that are donated. */
  readonly donated: ReadonlySet<number>;
  /** The arguments with placeholders and scalar nodes as leaves. */
  readonly traced: () => unknown[];
}

/** A jitted function, with a look inside. */
export interface Jitted<A extends readonly unknown[], R> {
  (...args: A): R;
  /** Signatures compiled so far. */
  readonly traces: () => number;
  /** The plan for these arguments, which is not compiled before it has to run. */
  readonly plan: (...args: A) => PlannedGraph;
}

const manyTraces = 64;

/**
 * Compiles a pure function of trees of tensors. It is traced once per signature: the structure of the
 * arguments, shapes, dtypes, strings and booleans. Numbers among the arguments are not part of the
 * signature; inside, they arrive as tensors without axes (declare them `Operand`). Tensors it captures are
 * read anew at every call.
 *
 * Results are tensors that are already being computed; nothing is awaited.
 *
 * @example
 * ```ts
 * import { jit, openDevice, tensor, type Operand, type Tensor } from "@plumb/plumb/core";
 *
 * await openDevice("cpu");
 * const axpy = jit((a: Operand, x: Tensor, y: Tensor) => x.mul(a).add(y));
 * console.log(await axpy(2, tensor([1, 2]), tensor([3, 4])).data()); // [5, 8]
 * ```
 */
export function jit<A extends readonly unknown[], R>(
  f: (...args: A) => R,
  options: JitOptions = {},
): Jitted<A, R> {
  const traces = new Map<string, Trace>();
  const name = options.name ?? (f.name || "a jitted function");
  const traceOf = (args: Arguments): Trace => {
    const device = currentDevice();
    const key = `${device.kind}|${args.signature}`;
    let trace = traces.get(key);
    if (trace?.device !== device) {
      trace?.program?.dispose();
      traces.set(key, trace = lower(f as (...args: readonly unknown[]) => unknown, args, device));
      if (traces.size === manyTraces) {
        warn(
          `${name} was traced ${manyTraces} times: pass lengths in buckets, and numbers as arguments`,
        );
      }
    }
    return trace;
  };
  const call = (...args: A): R => {
    computePending(args);
    const parts = takeApart(args, options.donate ?? []);
    return run(traceOf(parts), parts, name) as R;
  };
  return Object.assign(call, {
    traces: () => traces.size,
    plan: (...args: A) => {
      computePending(args);
      return traceOf(takeApart(args, options.donate ?? [])).planned;
    },
  });
}

/** Arguments that are not computed yet are computed now, so that shared memory shows. */
function computePending(args: readonly unknown[]): void {
  const nodes: Node[] = [];
  eachLeaf(args, (leaf) => {
    if (leaf instanceof Tensor && !leaf.node.storage) nodes.push(leaf.node);
  });
  if (nodes.length === 0) return;
  const open = topologicalOrder(nodes).find(({ storage, operation }) =>
    storage === null && ["variable", "placeholder", "scalar"].includes(operation.name)
  );
  if (open) {
    throw new Error(
      open.operation.name === "variable"
        ? "A jitted function cannot be differentiated from outside: call grad inside of jit, jit(grad(f))"
        : "A jitted function cannot be called inside of another one: call the function itself there",
    );
  }
  computeNodes(nodes, currentDevice());
}

function takeApart(args: readonly unknown[], donate: readonly number[]): Arguments {
  const tensors: Tensor[] = [];
  const scalars: number[] = [];
  const donated = new Set<number>();
  const seen = new Map<unknown, number>();
  const slots: (number | null)[] = [];
  let signature = "";
  args.forEach((arg, position) => {
    const donates = donate.includes(position);
    eachLeaf(arg, (leaf) => {
      if (leaf instanceof Tensor) {
        const identity = leaf.node.storage ?? leaf.node;
        let index = seen.get(identity);
        if (index === undefined) seen.set(identity, index = tensors.push(leaf) - 1);
        if (donates) donated.add(index);
        slots.push(index);
        signature += `${index}${leaf.dtype}${leaf.shape.join()};`;
      } else if (typeof leaf === "number") {
        slots.push(scalars.push(leaf) - 1);
        signature += "n;";
      } else if (typeof leaf === "string" || typeof leaf === "boolean") {
        slots.push(null);
        signature += `${JSON.stringify(leaf)};`;
      } else throw unknownLeaf(arg, leaf, position);
    }, (mark) => signature += mark);
  });
  const traced = () => {
    let next = 0;
    const placeholders = tensors.map(({ node }, index) =>
      makeNode({ name: "placeholder", index }, [], node.shape, node.dtype)
    );
    return args.map((arg) =>
      mapTree(arg, (leaf) => {
        const slot = slots[next++]!;
        if (leaf instanceof Tensor) {
          const node = placeholders[slot]!;
          // The same memory may have been passed in two shapes.
          return new Tensor(node).reshape(...leaf.shape);
        }
        return typeof leaf === "number"
          ? new Tensor(makeNode({ name: "scalar", index: slot }, [], [], "f32"))
          : leaf;
      })
    );
  };
  return { signature, tensors, scalars, donated, traced };
}

function unknownLeaf(argument: unknown, leaf: unknown, position: number): TypeError {
  const path = leavesOf(argument).find(([, other]) => other === leaf)![0];
  return new TypeError(
    `Argument ${position}${
      path && ` at ${path}`
    } is a ${typeof leaf}: jit takes tensors, numbers, strings, booleans, and trees of them`,
  );
}

function lower(
  f: (...args: readonly unknown[]) => unknown,
  args: Arguments,
  device: Device,
): Trace {
  const roots: Node[] = [];
  const result = mapTree(
    f(...args.traced()),
    (leaf) =>
      leaf instanceof Tensor ? new RootPosition(roots.push(leaf.node) - 1, leaf.node) : leaf,
  );
  const planned = planGraph({
    roots,
    donations: pairDonations(args, roots),
    maxArguments: device.maxKernelArguments,
    maxBufferBytes: device.maxBufferBytes,
  });
  return { planned, program: null, device, result };
}

function compile({ planned, device }: Trace): Program {
  for (const external of planned.externals) {
    if (external.kind === "given") upload(external.node, device, true);
  }
  return device.compile(planned.plan);
}

/** Which result each donated tensor makes room for: the first of its shape and dtype not yet taken. */
function pairDonations(
  { tensors, donated }: Arguments,
  roots: readonly Node[],
): Map<number, number> {
  const pairs = new Map<number, number>();
  const taken = new Set<number>();
  for (const index of donated) {
    const { shape, dtype } = tensors[index]!;
    const at = roots.findIndex((root, i) =>
      !taken.has(i) && root.dtype === dtype && sameShape(root.shape, shape)
    );
    if (at < 0) continue;
    taken.add(at);
    pairs.set(index, at);
  }
  return pairs;
}

function run(trace: Trace, args: Arguments, name: string): unknown {
  const { planned, device, result } = trace;
  const program = trace.program ??= compile(trace);
  const given = args.tensors.map(({ node }) => givenAllocation(node, device));
  const donatedStorages = new Set(
    [...args.donated].map((index) => args.tensors[index]!.node.storage),
  );
  for (const external of planned.externals) {
    if (
      external.kind === "given" && external.node.storage &&
      donatedStorages.has(external.node.storage)
    ) {
      throw new Error(
        `${name} captures a tensor that is donated to it: pass it as the argument alone, or do not donate it`,
      );
    }
  }
  const bound: Allocation[] = bindExternals(planned.externals, device, (index) => given[index]!);
  device.run(program, bound, Float32Array.from(args.scalars));

  const storages = new Map<number, Storage>();
  const storageOf = (external: number, node: Node): Storage => {
    let storage = storages.get(external);
    if (storage) return storage;
    const binding = planned.externals[external]!;
    if (binding.kind === "result") storage = new Storage(device, bound[external]!, node);
    else {
      const { operation } = binding.node;
      const donor = operation.name === "placeholder" ? operation.index : -1;
      const owner = donor >= 0 ? args.tensors[donor]!.node.storage! : binding.node.storage!;
      storage = args.donated.has(donor)
        ? new Storage(device, owner.release(`donated to ${name}`)!, node)
        : owner;
    }
    storages.set(external, storage);
    return storage;
  };
  const output = mapTree(result, (leaf) => {
    if (!(leaf instanceof RootPosition)) return leaf;
    const node = makeNode({ name: "leaf" }, [], leaf.node.shape, leaf.node.dtype);
    node.storage = storageOf(planned.roots[leaf.index]!, node);
    return new Tensor(node);
  });
  for (const index of args.donated) {
    const { storage } = args.tensors[index]!.node;
    if (storage?.alive) storage.dispose(`donated to ${name}`);
  }
  return output;
}
