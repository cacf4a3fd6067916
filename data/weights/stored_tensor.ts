/** Tensors that lie in a file, whatever its format. @module */

import type { StoredDtype } from "./safetensors_dtypes.ts";

/** A tensor in a file: described by the header, its contents read when asked for. */
export type StoredTensor = {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  /** Size of the contents in bytes. */
  readonly byteLength: number;
  /** The file that holds the tensor. */
  readonly path: string;
  /**
   * Reads the contents (little-endian, row-major) into a new buffer, which the caller then owns.
   * Rejects with a `UserError` if the file was closed or has shrunk.
   */
  readonly bytes: () => Promise<Uint8Array<ArrayBuffer>>;
  /**
   * The same for numbers that have to be finite: each piece is looked at as it comes from the disk. Rejects with a
   * `UserError` that names the tensor, the file and the place of a NaN or an infinity. Integers always pass.
   */
  readonly finiteBytes: () => Promise<Uint8Array<ArrayBuffer>>;
};

/** An open file of tensors. Close it when they have been read. */
export type TensorFile = {
  readonly path: string;
  /** The tensors by name, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly close: () => void;
  readonly [Symbol.dispose]: () => void;
};
