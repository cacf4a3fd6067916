/** Kernels and plans as text, for tests and for eyes: one line per instruction. @module */

import type { Access, FusedKernel, Instruction, Int } from "./kernel.ts";
import { type BufferRef, isLaunchOf, type Kernel, type Launch, type Plan } from "./launch.ts";

/** How a number of the launch is written: its slot, or its value where the launch is known. */
type Show = (int: Int) => string;

/**
 * A kernel as text. A fused kernel is its kind, its arguments and its body; the coordinates are i, j, k, …,
 * arguments a0, a1, …, values %0, %1, …, numbers of the launch n0, n1, … or, given `ints`, their values. A kernel
 * made by hand is its name and its settings.
 */
export function printKernel(kernel: Kernel, ints?: readonly number[]): string {
  if (kernel.op === "fused") return printFused(kernel, ints);
  const settings = Object.entries(kernel).filter(([key, value]) => key !== "op" && value !== false);
  const words = settings.map(([key, value]) => value === true ? key : `${key}=${value}`);
  return [kernel.op, ...words].join(" ");
}

function printFused(kernel: FusedKernel, ints?: readonly number[]): string {
  const show: Show = (int) => int === 1 ? "1" : ints ? `${ints[int.slot]}` : `n${int.slot}`;
  const space = Array.from({ length: kernel.rank }, (_, slot) => show({ slot })).join(", ");
  const args = kernel.args.map(({ access, dtype }, i) => `a${i}: ${access} ${dtype}`).join(", ");
  const body = kernel.body.map((instruction, i) => `  ${printInstruction(instruction, i, show)}`);
  return [`${kernel.kind} [${space}] (${args})`, ...body].join("\n");
}

function printInstruction(instruction: Instruction, index: number, show: Show): string {
  const line = (text: string) => `%${index} = ${text}`;
  switch (instruction.op) {
    case "load":
      return line(printAccess(instruction.arg, instruction.access, show));
    case "store":
      return `${printAccess(instruction.arg, instruction.access, show)} = %${instruction.x}`;
    case "const":
      return line(`${instruction.type} ${instruction.value}`);
    case "scalar":
      return line(`scalar ${instruction.index}`);
    case "index":
      return line(coordinate(instruction.dim));
    case "unary":
      return line(`${instruction.fn} %${instruction.x}`);
    case "binary":
      return line(`${instruction.fn} %${instruction.x} %${instruction.y}`);
    case "where":
      return line(`where %${instruction.condition} %${instruction.x} %${instruction.y}`);
    case "cast":
    case "bitcast":
      return line(`${instruction.op} ${instruction.type} %${instruction.x}`);
    case "reduce":
      return line(`reduce ${instruction.fn} %${instruction.x}`);
  }
}

function coordinate(dim: number): string {
  return "ijklmnopq"[dim] ?? `i${dim}`;
}

function printAccess(arg: number, access: Access, show: Show): string {
  const term = (factor: string, stride: Int) => stride === 1 ? factor : `${show(stride)}·${factor}`;
  const { offset, terms, masks, gather } = access;
  const sum = [
    ...(offset ? [show(offset)] : []),
    ...(gather ? [term(`%${gather.index}`, gather.stride)] : []),
    ...terms.map(({ dim, stride }) => term(coordinate(dim), stride)),
  ];
  const conditions = [
    ...masks.map(({ dim, low, high }) => `${show(low)} ≤ ${coordinate(dim)} < ${show(high)}`),
    ...(gather ? [`0 ≤ %${gather.index} < ${show(gather.count)}`] : []),
  ];
  return `a${arg}[${sum.join(" + ") || "0"}]${
    conditions.length ? ` if ${conditions.join(", ")}` : ""
  }`;
}

/** A plan as text: its memory, then the launches with their numbers and buffers. */
export function printPlan(plan: Plan): string {
  const head =
    `${plan.launches.length} launches, ${plan.externals} externals, arena ${plan.arenaBytes}`;
  return [head, ...plan.launches.map(printLaunch)].join("\n");
}

function printLaunch(launch: Launch): string {
  const buffers = launch.args.map((ref, i) => `a${i}=${printBuffer(ref)}`).join(" ");
  const [head, ...body] = printNumbered(launch).split("\n");
  return [`${head} <- ${buffers}`, ...body].join("\n");
}

function printNumbered(launch: Launch): string {
  if (isLaunchOf(launch, "fused")) return printFused(launch.kernel, launch.ints);
  return `${printKernel(launch.kernel)} (${sizesText(launch)})`;
}

/** The numbers of a kernel made by hand: "batch 1, m 64, …". */
export function sizesText({ sizes }: { readonly sizes: Readonly<Record<string, number>> }): string {
  return Object.entries(sizes).map(([name, value]) => `${name} ${value}`).join(", ");
}

function printBuffer(ref: BufferRef): string {
  return "external" in ref ? `external ${ref.external}` : `arena ${ref.arena}+${ref.bytes}`;
}
