/**
 * Buffers beyond the adapter's largest binding. Such a buffer is bound in several parts of equal
 * size, and the shader chooses the part by the index; all kernels gain this by one rewriting of
 * their text, which costs nothing where buffers are small.
 *
 * @module
 */

import { UserError } from "../../errors.ts";
import { bytesPerElement } from "../../dtype.ts";
import type { Access, FusedKernel, Int } from "../../kernel.ts";
import { isLaunchOf, type Launch, recordOf } from "../../launch.ts";
import { bindingText, cachedShader, type Shader } from "./shader.ts";

/** Bytes of each argument that a launch can reach, from its start. */
export function reachedBytes(launch: Launch): readonly number[] {
  if (isLaunchOf(launch, "fused")) return reachedByFused(launch.kernel, launch.ints);
  return recordOf(launch.kernel).reach(launch.kernel, launch.sizes);
}

function reachedByFused(kernel: FusedKernel, ints: readonly number[]): number[] {
  const value = (int: Int) => int === 1 ? 1 : ints[int.slot]!;
  const highest = (access: Access): number => {
    let at = access.offset === null ? 0 : ints[access.offset.slot]!;
    for (const { dim, stride } of access.terms) {
      let [low, high] = [0, ints[dim]! - 1];
      for (const mask of access.masks) {
        if (mask.dim !== dim) continue;
        low = Math.max(low, value(mask.low));
        high = Math.min(high, value(mask.high) - 1);
      }
      if (high < low) return -1;
      at += Math.max(low * value(stride), high * value(stride));
    }
    if (access.gather === null) return at;
    return at + (value(access.gather.count) - 1) * value(access.gather.stride);
  };
  const bytes = kernel.args.map(() => 0);
  for (const instruction of kernel.body) {
    if (instruction.op !== "load" && instruction.op !== "store") continue;
    const { arg, access } = instruction;
    const reached = (highest(access) + 1) * bytesPerElement[kernel.args[arg]!.dtype];
    bytes[arg] = Math.max(bytes[arg]!, reached);
  }
  return bytes;
}

/** Bytes of a part: the largest power of two within the limit. */
export function partBytes(limit: number): number {
  return 2 ** Math.floor(Math.log2(limit));
}

const declaration = /^@group\(0\) @binding\(\d+\) var<storage, read_write> b(\d+): array<(.+)>;$/;
const typeBytes: Readonly<Record<string, number>> = { "vec2<u32>": 8, "vec4<f32>": 16 };

/** The shader with binding i in `parts[i]` parts of `bytes` bytes. */
export function splitShader(shader: Shader, parts: readonly number[], bytes: number): Shader {
  if (parts.every((count) => count === 1)) return shader;
  return cachedShader(`${parts}|${bytes}|${shader.code}`, () => rewrite(shader, parts, bytes));
}

function rewrite(shader: Shader, parts: readonly number[], bytes: number): Shader {
  const lines = shader.code.split("\n");
  const types = lines.slice(0, parts.length).map((line) => declaration.exec(line)![2]!);
  const uniforms = shader.scalars > 0 ? 2 : 1;
  const split = new Set(parts.flatMap((count, i) => count > 1 ? [i] : []));
  const names = parts.flatMap((count, i) =>
    Array.from({ length: count }, (_, part) => count === 1 ? `b${i}` : `b${i}_${part}`)
  );
  const arrays = parts.flatMap((count, i) => Array.from({ length: count }, () => types[i]!));
  const header = bindingText(arrays, shader.numbers, shader.scalars).split("\n").map((line, i) =>
    i < names.length ? line.replace(` b${i}:`, ` ${names[i]}:`) : line
  );
  const accessors = [...split].map((i) => {
    const type = types[i]!;
    if (type.startsWith("atomic")) {
      throw new UserError(
        `The kernel ${shader.name} writes narrow elements that share words into a buffer of more ` +
          `than ${bytes} bytes, which this GPU cannot bind at once. Use f32, or --device cpu.`,
      );
    }
    const length = bytes / (typeBytes[type] ?? 4);
    const count = parts[i]!;
    const branches = (leaf: (name: string, index: string) => string) =>
      Array.from({ length: count }, (_, part) => {
        const body = leaf(`b${i}_${part}`, `i - ${part * length}u`);
        return part < count - 1 ? `if (i < ${(part + 1) * length}u) { ${body} }` : body;
      }).join("\n  ");
    return `fn load_b${i}(i: u32) -> ${type} {
  ${branches((name, index) => `return ${name}[${index}];`)}
}
fn store_b${i}(i: u32, x: ${type}) {
  ${branches((name, index) => `${name}[${index}] = x; return;`)}
}`;
  });
  const body = lines.slice(parts.length + uniforms).join("\n");
  return {
    ...shader,
    code: [...header, ...accessors, rewriteAccesses(body, split)].join("\n"),
    buffers: names.length,
  };
}

/** Replaces `bN[index]` by calls, for the buffers in `split`. */
function rewriteAccesses(text: string, split: ReadonlySet<number>): string {
  let result = "";
  let rest = text;
  for (;;) {
    const found = /\bb(\d+)\[/.exec(rest);
    if (found === null) return result + rest;
    const open = found.index + found[0].length;
    if (!split.has(Number(found[1]))) {
      result += rest.slice(0, open);
      rest = rest.slice(open);
      continue;
    }
    const close = closingBracket(rest, open);
    const index = rewriteAccesses(rest.slice(open, close), split);
    result += rest.slice(0, found.index);
    rest = rest.slice(close + 1);
    const assigned = /^\s*=(?!=)/.exec(rest);
    if (assigned === null) {
      result += `load_b${found[1]}(u32(${index}))`;
      continue;
    }
    const end = rest.indexOf(";");
    const value = rewriteAccesses(rest.slice(assigned[0].length, end), split);
    result += `store_b${found[1]}(u32(${index}), ${value.trim()})`;
    rest = rest.slice(end);
  }
}

function closingBracket(text: string, from: number): number {
  let depth = 1;
  for (let i = from; i < text.length; i++) {
    if (text[i] === "[") depth++;
    else if (text[i] === "]" && --depth === 0) return i;
  }
  throw new Error("A bracket is not closed.");
}
