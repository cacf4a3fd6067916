/** What tensors ask of the memory they lie in. @module */

/** A range of device memory, owned by whoever allocated it until it is freed. */
export interface Allocation {
  /** Unique on its device. */
  readonly id: number;
  /** Size in bytes. */
  readonly bytes: number;
}

/** A device as the holder of memory. */
export interface MemoryHolder {
  /** Which sort of device. */
  readonly kind: "cpu" | "webgpu";
  /** Memory for `bytes` bytes (rounded up), from a pool where possible. Contents are undefined. */
  allocate(bytes: number): Allocation;
  /** Returns memory to the pool. Work already enqueued still sees it. */
  free(allocation: Allocation): void;
  /** Copies host bytes (a multiple of 4) into memory, ordered with the programs run before and after. */
  write(allocation: Allocation, data: Uint8Array): void;
  /** Reads the first `bytes` bytes, after everything enqueued so far. Device errors reject here. */
  read(allocation: Allocation, bytes: number): Promise<Uint8Array>;
}
