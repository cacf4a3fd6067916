/** Device memory that tensors share, and when it is given back. @module */

import { AsyncLocalStorage } from "node:async_hooks";
import type { Allocation, MemoryHolder } from "./device/memory.ts";
import { nextNodeId } from "./node_id.ts";

/** A realised tensor's memory. Freed when its scope ends, by `dispose`, or by finalisation. */
export class Storage {
  #allocation: Allocation | null;
  #gone = "freed at the end of its scope";

  /**
   * Takes ownership of the allocation.
   *
   * @param node The node whose elements it holds: the storage belongs to the scope in which that node was
   *   made, which may be an outer one. Null belongs to no scope.
   */
  constructor(
    readonly device: MemoryHolder,
    allocation: Allocation,
    node: { readonly id: number } | null,
  ) {
    this.#allocation = allocation;
    if (node) scopeOf(node)?.storages.add(this);
    finalisation.register(this, { device, allocation }, this);
  }

  /** Whether the memory is still there. */
  get alive(): boolean {
    return this.#allocation !== null;
  }

  /**
   * The memory.
   *
   * @throws Error if it was freed or donated.
   */
  get allocation(): Allocation {
    if (this.#allocation === null) {
      throw new Error(`This tensor's memory was ${this.#gone}${remedy(this.#gone)}`);
    }
    return this.#allocation;
  }

  /** Gives the memory back; later uses throw and say why. */
  dispose(reason?: string): void {
    const allocation = this.release(reason);
    if (allocation) this.device.free(allocation);
  }

  /** Gives the memory to the caller instead. */
  release(reason?: string): Allocation | null {
    const allocation = this.#allocation;
    if (reason !== undefined) this.#gone = reason;
    this.#allocation = null;
    finalisation.unregister(this);
    return allocation;
  }
}

function remedy(reason: string): string {
  return reason.startsWith("donated")
    ? ". Use the tensor that it returned in its place, or do not donate this argument."
    : "";
}

// The engine does not see device memory, so this is a safety net, not the plan: scopes are.
const finalisation = new FinalizationRegistry<{ device: MemoryHolder; allocation: Allocation }>(
  ({ device, allocation }) => device.free(allocation),
);

/** A stretch of work whose memory is given back together. */
interface Scope {
  /** The id of the first node made in it. */
  readonly firstId: number;
  /** Memory to give back. */
  readonly storages: Set<Storage>;
  /** The scope around it. */
  readonly outer: Scope | undefined;
}

/** The innermost scope of the work under way. What runs at the same time has its own. */
const innermost = new AsyncLocalStorage<Scope>();

/** The innermost scope that a node was made in. */
function scopeOf(node: { readonly id: number }): Scope | undefined {
  let scope = innermost.getStore();
  while (scope && scope.firstId > node.id) scope = scope.outer;
  return scope;
}

/**
 * Collects the storages of the nodes that `work` makes, and frees them at its end, but for those that it says to keep:
 * these move to the scope around it.
 */
export async function collecting<T>(
  work: (keep: (storage: Storage) => void) => Promise<T>,
): Promise<T> {
  const outer = innermost.getStore();
  const scope: Scope = { firstId: nextNodeId(), storages: new Set(), outer };
  const kept = new Set<Storage>();
  try {
    return await innermost.run(scope, () => work((storage) => kept.add(storage)));
  } finally {
    for (const storage of scope.storages) {
      if (kept.has(storage)) outer?.storages.add(storage);
      else storage.dispose();
    }
  }
}
