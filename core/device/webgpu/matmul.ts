/**
 * Matrix products as WGSL. Hardware adapters get tiles in workgroup memory; a software adapter gets
 * large register tiles and reads four elements at a time, as reading is what costs most there.
 *
 * @module
 */

import { isBlockCode } from "../../block_codes.ts";
import { type HandMadeLaunch, kernelKey } from "../../launch.ts";
import type { MatmulKernel } from "../../operations/matmul.ts";
import { sizesText } from "../../print.ts";
import { registerShader, registerTile } from "./matmul_registers.ts";
import { sharedShader, sharedTile } from "./matmul_shared.ts";
import { isAligned } from "./matmul_text.ts";
import { cachedShader, type Dispatch, packNumbers, refuseHuge, type Traits } from "./shader.ts";

/** Dispatches of a matrix product: one, or none when C has no elements. */
export function lowerMatmul(launch: HandMadeLaunch<MatmulKernel>, traits: Traits): Dispatch[] {
  const { kernel, sizes } = launch;
  const { batch, m, n, k, aOffset, aBatch, aRow, bOffset, bBatch, bRow } = sizes;
  if (batch * m * n === 0 || (k === 0 && kernel.accumulate)) return [];
  const name = matmulName(kernel);
  refuseHuge(
    `${name} (${sizesText(launch)})`,
    Math.max(
      batch * m * n,
      (batch - 1) * aBatch + (kernel.transposeA ? k : m) * aRow,
      (batch - 1) * bBatch + (kernel.transposeB ? n : k) * bRow,
    ),
  );
  if (traits.software && k > 2 ** 14) {
    // llvmpipe ends loops after 65,535 iterations; shorter sums are more precise, too.
    return splitInner(launch, 2 ** 13, traits);
  }
  const tile = traits.software ? registerTile(m, n) : sharedTile(m, n, traits);
  const [tilesM, tilesN] = [Math.ceil(m / tile.rows), Math.ceil(n / tile.columns)];
  const aAligned = isAligned(kernel.a, [aOffset, aBatch, aRow, kernel.transposeA ? m : k]);
  const bAligned = isAligned(kernel.b, [bOffset, bBatch, bRow, kernel.transposeB ? k : n]);
  const key = `${kernelKey(kernel)}|${
    JSON.stringify(tile)
  }|${traits.software}|${aAligned},${bAligned}`;
  const shader = cachedShader(
    key,
    () =>
      traits.software
        ? registerShader(kernel, tile, name, aAligned && bAligned)
        : sharedShader(kernel, tile, name, aAligned, bAligned),
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
  { kernel, sizes, args }: HandMadeLaunch<MatmulKernel>,
  limit: number,
  traits: Traits,
): Dispatch[] {
  const { k, aOffset, aRow, bOffset, bRow } = sizes;
  const rest: MatmulKernel = { ...kernel, accumulate: true };
  return Array.from({ length: Math.ceil(k / limit) }, (_, i) => {
    const from = i * limit;
    const part = {
      ...sizes,
      k: Math.min(limit, k - from),
      aOffset: aOffset + from * (kernel.transposeA ? aRow : 1),
      bOffset: bOffset + from * (kernel.transposeB ? 1 : bRow),
    };
    return lowerMatmul({ kernel: i === 0 ? kernel : rest, sizes: part, args }, traits);
  }).flat();
}

function matmulName(kernel: MatmulKernel): string {
  const a = `${kernel.a}${kernel.transposeA ? " transposed" : ""}`;
  const b = `${kernel.b}${kernel.transposeB ? " transposed" : ""}`;
  return `matmul of ${a} and ${b}${kernel.accumulate ? ", accumulating" : ""}`;
}
