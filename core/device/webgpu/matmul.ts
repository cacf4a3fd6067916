/**
 * Matrix products as WGSL. Hardware adapters get tiles in workgroup memory; a software adapter gets
 * large register tiles and reads four elements at a time, as reading is what costs most there.
 *
 * @module
 */

import { isBlockCode } from "../../block_codes.ts";
import { kernelKey, type Launch, type MatmulKernel } from "../../kernel.ts";
import { registerShader, registerTile } from "./matmul_registers.ts";
import { sharedShader, sharedTile } from "./matmul_shared.ts";
import { isAligned } from "./matmul_text.ts";
import { cachedShader, type Dispatch, packNumbers, refuseHuge, type Traits } from "./shader.ts";

/** Dispatches of a matrix product: one, or none when C has no elements. */
export function lowerMatmul(kernel: MatmulKernel, launch: Launch, traits: Traits): Dispatch[] {
  const [batch, m, n, k] = launch.ints as [number, number, number, number];
  if (batch * m * n === 0 || (k === 0 && kernel.accumulate)) return [];
  const name = matmulName(kernel);
  const [aBatch, aRow, bBatch, bRow] = [5, 6, 8, 9].map((slot) => launch.ints[slot]!);
  refuseHuge(
    `${name} [${batch}, ${m}, ${n}, ${k}]`,
    Math.max(
      batch * m * n,
      (batch - 1) * aBatch! + (kernel.transposeA ? k : m) * aRow!,
      (batch - 1) * bBatch! + (kernel.transposeB ? n : k) * bRow!,
    ),
  );
  if (traits.software && k > 2 ** 14) {
    // llvmpipe ends loops after 65,535 iterations; shorter sums are more precise, too.
    return splitInner(kernel, launch, 2 ** 13, traits);
  }
  const tile = traits.software ? registerTile(m, n) : sharedTile(m, n, traits);
  const [tilesM, tilesN] = [Math.ceil(m / tile.rows), Math.ceil(n / tile.columns)];
  const aligned = [
    isAligned(kernel.a, launch.ints, 4, kernel.transposeA ? m : k),
    isAligned(kernel.b, launch.ints, 7, kernel.transposeB ? k : n),
  ];
  const key = `${kernelKey(kernel)}|${JSON.stringify(tile)}|${traits.software}|${aligned}`;
  const shader = cachedShader(
    key,
    () =>
      traits.software
        ? registerShader(kernel, tile, name, aligned[0]! && aligned[1]!)
        : sharedShader(kernel, tile, name, aligned[0]!, aligned[1]!),
  );
  const total = batch * tilesM * tilesN;
  return [{
    shader,
    args: isBlockCode(kernel.b) ? [0, 1, 2, 3] : [0, 1, 2],
    numbers: packNumbers([total, tilesM, tilesN], launch),
    workgroups: total,
  }];
}

/** The parts of a product whose inner size is beyond `limit`: all but the first accumulate. */
function splitInner(
  kernel: MatmulKernel,
  launch: Launch,
  limit: number,
  traits: Traits,
): Dispatch[] {
  const k = launch.ints[3]!;
  const rest: MatmulKernel = { ...kernel, accumulate: true };
  return Array.from({ length: Math.ceil(k / limit) }, (_, i) => {
    const from = i * limit;
    const ints = [...launch.ints];
    ints[3] = Math.min(limit, k - from);
    ints[4]! += from * (kernel.transposeA ? ints[6]! : 1);
    ints[7]! += from * (kernel.transposeB ? 1 : ints[9]!);
    return lowerMatmul(i === 0 ? kernel : rest, { ...launch, ints }, traits);
  }).flat();
}

function matmulName(kernel: MatmulKernel): string {
  const a = `${kernel.a}${kernel.transposeA ? " transposed" : ""}`;
  const b = `${kernel.b}${kernel.transposeB ? " transposed" : ""}`;
  return `matmul of ${a} and ${b}${kernel.accumulate ? ", accumulating" : ""}`;
}
