/** Matrix products in f32. @module */

import { jit, matmul, realize, setDevice, type Tensor, tensor } from "../core/mod.ts";
import type { Backend } from "./backend.ts";
import { pseudoRandom, timeSteady } from "./measure.ts";
import type { Piece, PieceOptions, Row } from "./piece.ts";

interface Product {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

const products: readonly Product[] = [
  { m: 256, k: 256, n: 256 },
  { m: 512, k: 512, n: 512 },
  { m: 1024, k: 1024, n: 1024 },
  { m: 1024, k: 1024, n: 1024, transposeA: true },
  { m: 1024, k: 1024, n: 1024, transposeB: true },
  { m: 1024, k: 1024, n: 1024, transposeA: true, transposeB: true },
  { m: 1023, k: 1025, n: 1027 },
  // A decoding step of eight sequences: bound by reading the weights.
  { m: 8, k: 512, n: 1376, transposeB: true },
];

/** GFLOP/s of matrix products, of square, odd and thin shapes. */
export const matmulPiece: Piece = {
  name: "matmul",
  title: "Matrix products, f32: [m, k] · [k, n]; T marks an operand that is stored transposed",
  casesAre: "rows",
  run: async (backend, options) => {
    setDevice(backend.device);
    const rows: Row[] = [];
    for (const product of options.quick ? [products[0]!, products.at(-1)!] : products) {
      rows.push(await measure(product, backend, options));
    }
    return rows;
  },
};

async function measure(
  product: Product,
  { device, software }: Backend,
  { quick }: PieceOptions,
): Promise<Row> {
  const { m, k, n, transposeA = false, transposeB = false } = product;
  const [x, y] = [pseudoRandom(m * k, 1), pseudoRandom(k * n, 2)];
  const a = tensor(x, { shape: transposeA ? [k, m] : [m, k] });
  const b = tensor(y, { shape: transposeB ? [n, k] : [k, n] });
  await realize([a, b]);
  const multiply = jit((left: Tensor, right: Tensor) =>
    matmul(left, right, { transposeA, transposeB })
  );
  const result = multiply(a, b);
  const error = largestError(await result.data(), x, y, product);
  result.dispose();
  const ms = await timeSteady(device, () => multiply(a, b).dispose(), {
    samples: quick ? 3 : software ? 5 : 15,
    budgetMs: quick ? 500 : 4000,
    sampleMs: device.kind === "webgpu" ? 100 : 5,
  });
  for (const t of [a, b]) t.dispose();
  return {
    case: `${m}×${k}${transposeA ? "T" : ""} · ${k}×${n}${transposeB ? "T" : ""}`,
    "ms": ms,
    "GFLOP/s": 2 * m * k * n / ms / 1e6,
    "largest error": error,
  };
}

/** Of 64 elements spread over the product, the largest distance to sums in double precision. */
function largestError(
  product: ArrayLike<number>,
  x: Float32Array,
  y: Float32Array,
  { m, k, n, transposeA, transposeB }: Product,
): number {
  let largest = 0;
  for (let sample = 0; sample < 64; sample++) {
    const [i, j] = [(sample * 7919) % m, (sample * 104729 + 3) % n];
    let sum = 0;
    for (let l = 0; l < k; l++) {
      sum += x[transposeA ? l * m + i : i * k + l]! * y[transposeB ? j * k + l : l * n + j]!;
    }
    largest = Math.max(largest, Math.abs(product[i * n + j]! - sum));
  }
  // The error of a sum of k products below 1 in f32, far on the safe side.
  if (!(largest < k * 2 ** -22)) {
    throw new Error(`The product ${m}×${k}×${n} is wrong by ${largest}`);
  }
  return largest;
}
