/**
 * numpy's default generator (PCG64 seeded through SeedSequence), as far as shuffling needs it:
 * `datasets.Dataset.shuffle(seed)` is `numpy.random.default_rng(seed).permutation(rows)`.
 * PCG: O'Neill, 2014.
 */

const MASK32 = 0xffffffffn;
const MASK64 = (1n << 64n) - 1n;
const MASK128 = (1n << 128n) - 1n;
const PCG_MULTIPLIER = (2549297995355413924n << 64n) + 4865540595714422341n;

/** numpy's SeedSequence: entropy mixed into a pool of four words, expanded to 32-bit words. */
function seedSequence(seed: bigint, words: number): number[] {
  const entropy: number[] = [];
  let rest = seed;
  do {
    entropy.push(Number(rest & MASK32));
    rest >>= 32n;
  } while (rest > 0n);

  let hashConstant = 0x43b0d7e5;
  const hash = (value: number) => {
    value = (value ^ hashConstant) >>> 0;
    hashConstant = Math.imul(hashConstant, 0x931e8875) >>> 0;
    value = Math.imul(value, hashConstant) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  };
  const mix = (x: number, y: number) => {
    const mixed = (Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y)) >>> 0;
    return (mixed ^ (mixed >>> 16)) >>> 0;
  };

  const pool = [0, 1, 2, 3].map((i) => hash(entropy[i] ?? 0));
  for (let source = 0; source < 4; source++) {
    for (let target = 0; target < 4; target++) {
      if (source !== target) pool[target] = mix(pool[target]!, hash(pool[source]!));
    }
  }
  for (const word of entropy.slice(4)) {
    for (let target = 0; target < 4; target++) pool[target] = mix(pool[target]!, hash(word));
  }

  let outputConstant = 0x8b51f9dd;
  return Array.from({ length: words }, (_, i) => {
    let value = (pool[i % 4]! ^ outputConstant) >>> 0;
    outputConstant = Math.imul(outputConstant, 0x58f38ded) >>> 0;
    value = Math.imul(value, outputConstant) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  });
}

/** 32-bit outputs of numpy's PCG64 (XSL-RR): the low half of each 64-bit word, then the high half. */
function pcg64(seed: bigint): () => number {
  const words = seedSequence(seed, 8).map(BigInt);
  const word64 = (i: number) => words[2 * i]! | (words[2 * i + 1]! << 32n);
  const initial = (word64(0) << 64n) | word64(1);
  const increment = ((((word64(2) << 64n) | word64(3)) << 1n) | 1n) & MASK128;
  let state = ((increment + initial) * PCG_MULTIPLIER + increment) & MASK128;

  let buffered: number | undefined;
  return () => {
    if (buffered !== undefined) {
      const high = buffered;
      buffered = undefined;
      return high;
    }
    state = (state * PCG_MULTIPLIER + increment) & MASK128;
    const folded = (state >> 64n) ^ (state & MASK64);
    const rotation = state >> 122n;
    const value = ((folded >> rotation) | (folded << (64n - rotation))) & MASK64;
    buffered = Number(value >> 32n);
    return Number(value & MASK32);
  };
}

/**
 * `numpy.random.default_rng(seed).permutation(count)`: a random order of 0 … count − 1.
 *
 * @param seed a non-negative integer of any size
 */
export function numpyPermutation(count: number, seed: number | bigint): Int32Array {
  const next = pcg64(BigInt(seed));
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let last = count - 1; last > 0; last--) {
    // Bounded draws by rejection under the smallest covering mask, as numpy's shuffle makes them.
    const mask = 2 ** (32 - Math.clz32(last)) - 1;
    let other = next() & mask;
    while (other > last) other = next() & mask;
    const kept = order[last]!;
    order[last] = order[other]!;
    order[other] = kept;
  }
  return order;
}
