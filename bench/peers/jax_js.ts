/**
 * Multiplies square f32 matrices with jax-js; prints a line of JSON for each round.
 *
 *     deno run -A --no-lock bench/peers/jax_js.ts wasm|webgpu SIDE ROUNDS
 *
 * jax-js is loaded here alone, and by a name made at run time, so that it is no dependency of anything.
 *
 * @module
 */

import process from "node:process";

/** An array of jax-js: using one gives it up, unless it is asked for another reference first. */
interface JaxArray {
  readonly ref: JaxArray;
  blockUntilReady(): Promise<JaxArray>;
  dispose(): void;
  data(): Promise<Float32Array>;
}

/** What is used of jax-js. */
interface JaxJs {
  init(...devices: string[]): Promise<readonly string[]>;
  defaultDevice(device: string): unknown;
  readonly random: {
    key(seed: number): JaxArray;
    uniform(key: JaxArray, shape: readonly number[]): JaxArray;
  };
  readonly numpy: { matmul(a: JaxArray, b: JaxArray): JaxArray };
}

const version = "0.1.25";

async function main([device, side, rounds]: readonly string[]): Promise<void> {
  const jax: JaxJs = await import(["npm:@jax-js", `jax@${version}`].join("/"));
  const offered = await jax.init();
  if (!offered.includes(device!)) throw new Error(`jax-js offers ${offered.join(", ")} here.`);
  jax.defaultDevice(device!);
  const shape = [Number(side), Number(side)];
  const a = jax.random.uniform(jax.random.key(1), shape);
  const b = jax.random.uniform(jax.random.key(2), shape);
  await a.blockUntilReady();
  await b.blockUntilReady();
  for (let step = 1; step <= Number(rounds); step++) {
    const start = performance.now();
    const product = jax.numpy.matmul(a.ref, b.ref);
    await product.blockUntilReady();
    const ms = performance.now() - start;
    product.dispose();
    process.stdout.write(`${JSON.stringify({ step, ms })}\n`);
  }
}

if (import.meta.main) {
  await main(Deno.args);
  // Workers and the GPU would keep the process alive.
  Deno.exit(0);
}
