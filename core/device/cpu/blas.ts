/** Single-precision matrix products by a BLAS of the system, through FFI. @module */

import { UserError } from "../../errors.ts";
import { deno } from "../../runtime.ts";
import type { FunctionType } from "./wasm_module.ts";

/**
 * C ← A·B or C + A·B on row-major f32 matrices; a, b, c are addresses in the device's memory.
 * `flags`: 1 if A is stored transposed, 2 if B is, 4 to add to C.
 */
export type Sgemm = (
  flags: number,
  m: number,
  n: number,
  k: number,
  a: number,
  aRowStride: number,
  b: number,
  bRowStride: number,
  c: number,
  cRowStride: number,
) => void;

/** {@link Sgemm} as modules import it: function 0 of every module of kernels. */
export const sgemmImport: { readonly name: string; readonly type: FunctionType } = {
  name: "sgemm",
  type: {
    parameters: ["i32", "i32", "i32", "i32", "f64", "i32", "f64", "i32", "f64", "i32"],
    results: [],
  },
};

/** Transposition flags of {@link Sgemm}. */
export const sgemmFlags = { transposeA: 1, transposeB: 2, accumulate: 4 } as const;

const candidates: Readonly<Record<string, readonly string[]>> = {
  linux: ["libopenblas.so.0", "libopenblas.so", "libblis.so.4", "libblis.so", "libcblas.so.3"],
  darwin: [
    "/System/Library/Frameworks/Accelerate.framework/Accelerate",
    "/opt/homebrew/opt/openblas/lib/libopenblas.dylib",
  ],
  windows: ["libopenblas.dll", "openblas.dll"],
};

// CBLAS's enumerations.
const rowMajor = 101;
const noTranspose = 111;
const transpose = 112;

const symbols = {
  cblas_sgemm: {
    parameters: [
      ...["i32", "i32", "i32", "i32", "i32", "i32", "f32"] as const,
      ...["usize", "i32", "usize", "i32", "f32", "usize", "i32"] as const,
    ],
    result: "void",
  },
  // Our threads call concurrently, so the library must not start threads of its own.
  openblas_set_num_threads: { parameters: ["i32"], result: "void", optional: true },
  bli_thread_set_num_threads: { parameters: ["i64"], result: "void", optional: true },
  openblas_get_corename: { parameters: [], result: "pointer", optional: true },
} as const;

/** OpenBLAS's kernels that do small products (see {@link Blas.small}). */
const coresOfSmallProducts: readonly string[] = ["SkylakeX", "Cooperlake", "SapphireRapids"];

/** An opened library. */
export interface Blas {
  readonly path: string;
  /** The processor its kernels are made for, where it says so. */
  readonly core: string | null;
  /**
   * Whether products of up to a million multiplications read both operands where they lie. Larger ones copy
   * them into panels first, which with few rows takes longer than the product.
   */
  readonly small: boolean;
  readonly sgemm: Sgemm;
}

/** Opens the library at `path`, for matrices in `memory`. Throws where that fails. */
export function openBlasAt(path: string, memory: WebAssembly.Memory): Blas {
  const library = Deno.dlopen(path, symbols);
  library.symbols.openblas_set_num_threads?.(1);
  library.symbols.bli_thread_set_num_threads?.(1n);
  const { cblas_sgemm } = library.symbols;
  const name = library.symbols.openblas_get_corename?.() ?? null;
  const core = name && new Deno.UnsafePointerView(name).getCString();
  // The whole address range is reserved, so the memory does not move when it grows.
  const base = Number(
    Deno.UnsafePointer.value(Deno.UnsafePointer.of(new Uint8Array(memory.buffer, 0, 8))),
  );
  // Argument by argument: spreading arrays takes longer than the smallest products.
  const sgemm: Sgemm = (flags, m, n, k, a, aRowStride, b, bRowStride, c, cRowStride) =>
    cblas_sgemm(
      rowMajor,
      (flags & sgemmFlags.transposeA) === 0 ? noTranspose : transpose,
      (flags & sgemmFlags.transposeB) === 0 ? noTranspose : transpose,
      m,
      n,
      k,
      1,
      BigInt(base + a),
      aRowStride,
      BigInt(base + b),
      bRowStride,
      (flags & sgemmFlags.accumulate) === 0 ? 0 : 1,
      BigInt(base + c),
      cRowStride,
    );
  return { path, core, small: core !== null && coresOfSmallProducts.includes(core), sgemm };
}

/**
 * Opens the first BLAS of the system. With `required` false, returns null where there is none or
 * where the permission for FFI was not given (nobody is asked); with true, asks and throws.
 */
export function openBlas(memory: WebAssembly.Memory, required: boolean): Blas | null {
  // Only Deno calls native functions.
  const paths = deno ? candidates[deno.build.os] ?? [] : [];
  for (const path of paths) {
    if (!required && Deno.permissions.querySync({ name: "ffi", path }).state !== "granted") {
      continue;
    }
    try {
      return openBlasAt(path, memory);
    } catch {
      continue;
    }
  }
  if (!required) return null;
  throw new UserError(
    `Cannot use a BLAS on the CPU device: none of ${paths.join(", ")} could be opened. Install ` +
      `OpenBLAS (on Debian: libopenblas0), allow FFI (--allow-ffi), or leave the option out: the ` +
      `built-in matrix product needs neither.`,
  );
}

/** The import where there is no BLAS; kernels are then emitted without calls to it. */
export function noSgemm(): never {
  throw new Error("A kernel called sgemm on a device without a BLAS.");
}
