/**
 * Multiplies square f32 matrices on a device; prints a line of JSON for each round.
 *
 *     deno run -A bench/peers/product.ts cpu+blas|cpu|webgpu SIDE ROUNDS
 *
 * @module
 */

import process from "node:process";
import { jit, realize, setDevice, type Tensor, tensor } from "../../core/mod.ts";
import { type BackendName, openBackend } from "../backend.ts";
import { pseudoRandom } from "../measure.ts";

async function main([name, side, rounds]: readonly string[]): Promise<void> {
  const backend = await openBackend(name as BackendName);
  if (backend === undefined) throw new Error(`There is no ${name} on this system.`);
  const { device } = backend;
  setDevice(device);
  const size = Number(side);
  const matrix = (seed: number) => tensor(pseudoRandom(size ** 2, seed), { shape: [size, size] });
  const [a, b] = [matrix(1), matrix(2)];
  await realize([a, b]);
  const multiply = jit((x: Tensor, y: Tensor) => x.matmul(y));
  for (let step = 1; step <= Number(rounds); step++) {
    const start = performance.now();
    const product = multiply(a, b);
    await device.synchronize();
    const ms = performance.now() - start;
    product.dispose();
    process.stdout.write(`${JSON.stringify({ step, ms })}\n`);
  }
  device.destroy();
}

if (import.meta.main) await main(Deno.args);
