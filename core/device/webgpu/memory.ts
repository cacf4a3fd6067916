/** Buffers of a WebGPU device, pooled by size class. @module */

import { UserError } from "../../errors.ts";
import type { Allocation } from "../device.ts";

/** A buffer and what is asked of it. */
export interface Block extends Allocation {
  readonly buffer: GPUBuffer;
  /** Bytes of the buffer, at least `bytes`. */
  readonly capacity: number;
}

/** What the pool needs of its device. */
export interface PoolOwner {
  readonly device: GPUDevice;
  /** Counts a new device object. */
  created(): void;
  /** Watches the errors of what `f` creates. */
  guard<T>(what: string, f: () => T): T;
}

/** Pooled bytes that are kept although nothing uses them. */
const keptBytes = 512 * 2 ** 20;

/** Allocates and recycles buffers. The same sequence of requests gets the same buffers again. */
export class BufferPool {
  readonly #owner: PoolOwner;
  /** Free buffers of each capacity, sorted by id. */
  readonly #free = new Map<number, { readonly id: number; readonly buffer: GPUBuffer }[]>();
  readonly #live = new Map<number, Block>();
  #nextId = 1;
  #bytes = 0;
  #peakBytes = 0;
  #freeBytes = 0;

  /** An empty pool. */
  constructor(owner: PoolOwner) {
    this.#owner = owner;
  }

  /** Bytes of all buffers, free ones included. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The most bytes there ever were. */
  get peakBytes(): number {
    return this.#peakBytes;
  }

  /** A block of at least `bytes` bytes. Throws UserError above the adapter's largest buffer. */
  allocate(bytes: number): Block {
    const { device } = this.#owner;
    const capacity = Math.min(sizeClass(bytes), Math.max(roundUp(bytes, 4), maxBuffer(device)));
    if (bytes > maxBuffer(device)) {
      throw tooLarge(bytes, device.limits.maxBufferSize);
    }
    const reused = this.#free.get(capacity)?.shift();
    if (reused !== undefined) this.#freeBytes -= capacity;
    const { id, buffer } = reused ?? { id: this.#nextId++, buffer: this.#create(capacity) };
    const block: Block = { id, bytes, buffer, capacity };
    this.#live.set(id, block);
    return block;
  }

  /** The live block of an allocation. Throws when it was freed, or belongs to another device. */
  get(allocation: Allocation): Block {
    const block = this.#live.get(allocation.id);
    if (block === undefined || block !== allocation) {
      throw new Error(`Allocation ${allocation.id} (${allocation.bytes} bytes) is not live here.`);
    }
    return block;
  }

  /** Takes a block back; work already enqueued still sees it, because the queue keeps its order. */
  free(allocation: Allocation): void {
    const { id, buffer, capacity } = this.get(allocation);
    this.#live.delete(id);
    if (this.#freeBytes + capacity > Math.max(keptBytes, this.#bytes / 2)) {
      buffer.destroy();
      this.#bytes -= capacity;
      return;
    }
    this.#freeBytes += capacity;
    const list = this.#free.get(capacity) ?? [];
    this.#free.set(capacity, list);
    let at = list.length;
    while (at > 0 && list[at - 1]!.id > id) at--;
    list.splice(at, 0, { id, buffer });
  }

  #create(capacity: number): GPUBuffer {
    const { STORAGE, UNIFORM, COPY_SRC, COPY_DST } = GPUBufferUsage;
    const create = () =>
      this.#owner.device.createBuffer({
        label: `buffer of ${capacity} bytes`,
        size: capacity,
        usage: STORAGE | COPY_SRC | COPY_DST | (capacity <= 4 * 2 ** 20 ? UNIFORM : 0),
      });
    this.#owner.created();
    this.#bytes += capacity;
    this.#peakBytes = Math.max(this.#peakBytes, this.#bytes);
    return this.#owner.guard(
      `allocating ${capacity} bytes (the device holds ${this.#bytes} bytes)`,
      create,
    );
  }
}

/** The error for what no buffer can hold. */
export function tooLarge(bytes: number, largest: number): UserError {
  return new UserError(
    `A buffer of ${bytes} bytes does not fit this GPU: its largest buffer is ` +
      `${largest} bytes. Use a smaller model, batch or sequence, or --device cpu.`,
  );
}

function maxBuffer(device: GPUDevice): number {
  return Math.floor(device.limits.maxBufferSize / 4) * 4;
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}

/** Capacities: powers of two with three steps between, at least 256; at most 1/4 is wasted. */
function sizeClass(bytes: number): number {
  if (bytes <= 256) return 256;
  const power = 2 ** Math.floor(Math.log2(bytes));
  return roundUp(bytes, Math.max(256, power / 4));
}
