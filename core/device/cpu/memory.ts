/** One shared 64-bit WebAssembly memory and the pool that hands out pieces of it. @module */

import { UserError } from "../../errors.ts";

const pageBytes = 65536;
/** What may be read, though never written, behind the end of every piece. */
const slackBytes = 64;
const alignment = 64;
/** The most a 64-bit WebAssembly memory can hold: 16 GiB. */
const mostPages = 262144;
/** Growing has a fixed price, so the memory grows by at least this much. */
const growthPages = 256;

function createMemory(pages: number): { memory: WebAssembly.Memory; maximumPages: number } {
  for (let maximumPages = mostPages;; maximumPages /= 2) {
    try {
      const descriptor = {
        address: "i64",
        initial: BigInt(pages),
        maximum: BigInt(maximumPages),
        shared: true,
      };
      // The library types do not know 64-bit memories yet.
      return { memory: Reflect.construct(WebAssembly.Memory, [descriptor]), maximumPages };
    } catch (error) {
      // Address space may be limited (ulimit -v, containers): reserve less.
      if (!(error instanceof RangeError) || maximumPages <= 4096) {
        throw new UserError(
          `Cannot reserve memory for the CPU device: even ${
            maximumPages / 16
          } MiB of shared 64-bit ` +
            `WebAssembly memory were refused (${error}). Raise the address space limit (ulimit -v) ` +
            `or use a runtime with WebAssembly memory64 and threads.`,
        );
      }
    }
  }
}

interface Block {
  readonly address: number;
  readonly bytes: number;
}

/** Free blocks ordered by size, then address. */
function before(a: Block, b: Block): boolean {
  return a.bytes < b.bytes || (a.bytes === b.bytes && a.address < b.address);
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 24 ? 2 : 0)} MiB`;
}

/** The memory of a CPU device: best fit with coalescing, 64-byte aligned, grown on demand. */
export class DeviceMemory {
  /** The WebAssembly memory itself. */
  readonly memory: WebAssembly.Memory;
  /** The size it may grow to, in pages of 64 KiB; modules that import it declare the same. */
  readonly maximumPages: number;
  readonly #free: Block[] = [];
  readonly #byStart: Map<number, Block> = new Map();
  readonly #byEnd: Map<number, Block> = new Map();
  readonly #used: Map<number, number> = new Map();
  #pages: number;
  #growths = 0;
  #reached = 0;

  /** @param reservedBytes Bytes at address 0 that the pool leaves alone. */
  constructor(reservedBytes: number) {
    this.#pages = growthPages;
    const { memory, maximumPages } = createMemory(this.#pages);
    this.memory = memory;
    this.maximumPages = maximumPages;
    const start = Math.ceil(reservedBytes / alignment) * alignment;
    this.#insert({ address: start, bytes: this.#pages * pageBytes - start });
  }

  /** Bytes of the whole memory. It never shrinks. */
  get bytes(): number {
    return this.#pages * pageBytes;
  }

  /**
   * The end of the highest piece there ever was. What lies beyond is reserved, and the system gives memory to nothing
   * that was not written.
   */
  get reached(): number {
    return this.#reached;
  }

  /** How often the memory has grown. */
  get growths(): number {
    return this.#growths;
  }

  /** A view of `bytes` bytes at `address`. It stays valid when the memory grows. */
  view(address: number, bytes: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, address, bytes);
  }

  /** The address of a piece of at least `bytes` bytes, with undefined contents. */
  allocate(bytes: number): number {
    const size = Math.ceil((bytes + slackBytes) / alignment) * alignment;
    let position = this.#lowerBound({ address: 0, bytes: size });
    if (position === this.#free.length) {
      this.#grow(size, bytes);
      position = this.#lowerBound({ address: 0, bytes: size });
    }
    const block = this.#free[position]!;
    this.#remove(block);
    if (block.bytes > size) {
      this.#insert({ address: block.address + size, bytes: block.bytes - size });
    }
    this.#used.set(block.address, size);
    this.#reached = Math.max(this.#reached, block.address + size);
    return block.address;
  }

  /** Gives a piece back. */
  free(address: number): void {
    let bytes = this.#used.get(address);
    if (bytes === undefined) throw new Error(`No memory is allocated at address ${address}.`);
    this.#used.delete(address);
    const next = this.#byStart.get(address + bytes);
    if (next) {
      this.#remove(next);
      bytes += next.bytes;
    }
    const previous = this.#byEnd.get(address);
    if (previous) {
      this.#remove(previous);
      address = previous.address;
      bytes += previous.bytes;
    }
    this.#insert({ address, bytes });
  }

  #grow(size: number, requested: number): void {
    const end = this.#pages * pageBytes;
    const last = this.#byEnd.get(end);
    const missing = Math.ceil((size - (last?.bytes ?? 0)) / pageBytes);
    const wanted = Math.min(
      Math.max(missing, growthPages, Math.ceil(this.#pages / 8)),
      this.maximumPages - this.#pages,
    );
    const pages = Math.max(missing, wanted);
    try {
      if (this.#pages + pages > this.maximumPages) throw new RangeError("limit reached");
      // The library types do not know 64-bit memories yet.
      Reflect.apply(this.memory.grow, this.memory, [BigInt(pages)]);
    } catch (error) {
      let used = 0;
      for (const bytes of this.#used.values()) used += bytes;
      throw new UserError(
        `Cannot allocate ${mebibytes(requested)} on the CPU device: ${
          mebibytes(used)
        } are in use ` +
          `and its memory is limited to ${mebibytes(this.maximumPages * pageBytes)} ` +
          `(${(error as Error).message}). Use a smaller batch, shorter sequences, gradient ` +
          `checkpointing, LoRA or quantised weights.`,
      );
    }
    this.#growths++;
    this.#pages += pages;
    if (last) this.#remove(last);
    this.#insert({
      address: last?.address ?? end,
      bytes: (last?.bytes ?? 0) + pages * pageBytes,
    });
  }

  #lowerBound(block: Block): number {
    let low = 0;
    let high = this.#free.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (before(this.#free[middle]!, block)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #insert(block: Block): void {
    this.#free.splice(this.#lowerBound(block), 0, block);
    this.#byStart.set(block.address, block);
    this.#byEnd.set(block.address + block.bytes, block);
  }

  #remove(block: Block): void {
    this.#free.splice(this.#lowerBound(block), 1);
    this.#byStart.delete(block.address);
    this.#byEnd.delete(block.address + block.bytes);
  }
}
