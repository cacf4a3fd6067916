/** Seeds of draws that must differ from one another. @module */

/** Seeds are below 2⁵³; what a run draws with its n-th seed must not be what the next run draws with its first. */
const DRAWS = 2 ** 20;

/** The seed of the draw `index` of a run with the seed `base`. */
export function drawSeed(base: number, index: number): number {
  return (base % 2 ** 33) * DRAWS + index % DRAWS;
}

/** A seed that nobody chose. */
export function freshSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}
