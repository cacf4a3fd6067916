/**
 * The Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998), seeded and read as torch's CPU
 * generator does, so that data orders agree with PyTorch's digit for digit.
 */

const SIZE = 624;
const SHIFT = 397;

/** A stream of uniform 32-bit unsigned integers. Each call of `next` advances the state. */
export interface MersenneTwister {
  /** The next integer, in [0, 2³²). */
  readonly next: () => number;
}

/**
 * A generator in the state of `torch.Generator().manual_seed(seed)`.
 *
 * Only the low 32 bits of the seed count, as in torch; negative seeds wrap around.
 */
export function mersenneTwister(seed: number | bigint): MersenneTwister {
  const state = new Uint32Array(SIZE);
  state[0] = Number(BigInt.asUintN(32, BigInt(seed)));
  for (let i = 1; i < SIZE; i++) {
    const previous = state[i - 1]! ^ (state[i - 1]! >>> 30);
    state[i] = Math.imul(1812433253, previous) + i;
  }
  let position = SIZE;

  const twist = () => {
    for (let i = 0; i < SIZE; i++) {
      const mixed = (state[i]! & 0x80000000) | (state[(i + 1) % SIZE]! & 0x7fffffff);
      state[i] = state[(i + SHIFT) % SIZE]! ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
    }
    position = 0;
  };

  const next = () => {
    if (position === SIZE) twist();
    let value = state[position++]!;
    value ^= value >>> 11;
    value ^= (value << 7) & 0x9d2c5680;
    value ^= (value << 15) & 0xefc60000;
    value ^= value >>> 18;
    return value >>> 0;
  };
  return { next };
}

/**
 * A random permutation of 0 … count − 1: `torch.randperm(count, generator)` on the CPU.
 *
 * Exact for counts below 2³² / 20, where torch draws 32 bits per element.
 */
export function randomPermutation(count: number, generator: MersenneTwister): Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = 0; i < count - 1; i++) {
    const other = i + generator.next() % (count - i);
    const kept = order[i]!;
    order[i] = order[other]!;
    order[other] = kept;
  }
  return order;
}
