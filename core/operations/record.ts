/** What devices and profiles must know of a kernel made by hand. @module */

/** The least a launch has to do. */
export interface Cost {
  /** Bytes read and written when each element is fetched once; caches may spare the memory some. */
  readonly bytes: number;
  /** Multiplications and additions of a matrix product; 0 for other kernels. */
  readonly flops: number;
}

/** A kernel made by hand: `K` is its name and settings, `Z` the numbers of its launches. */
export interface KernelRecord<
  K extends { readonly op: string },
  Z extends { readonly [name in keyof Z]: number },
> {
  /** Names of the whole numbers of a launch, in the order in which devices keep them. */
  readonly integers: readonly (string & keyof Z)[];
  /** Names of its other numbers. */
  readonly floats: readonly (string & keyof Z)[];
  /** Names of the arguments, in order. */
  args(kernel: K): readonly string[];
  /** Bytes of each argument that a launch can reach, from the argument's start. */
  reach(kernel: K, sizes: Z): readonly number[];
  /** What depends on data is not in it: attention's arithmetic, which follows the segments, counts as 0. */
  cost(kernel: K, sizes: Z): Cost;
  /** Kernels of one sort, for sums: "matmul f32", "attention". */
  family(kernel: K): string;
  /** A launch for people: "matmul 1520x512x1376 f32" is [1520, 1376] by [1376, 512]. */
  label(kernel: K, sizes: Z): string;
}
