/** The memory of programs' temporaries: as many buffers as it takes, shared by all programs. @module */

import type { Plan } from "../../launch.ts";
import { arenaAlignment } from "../device.ts";
import { type Block, type BufferPool, tooLarge } from "./memory.ts";

/** Buffers one after the other, each of a segment but the last; no temporary lies in two. */
export class Arena {
  /** Bytes of a buffer at most. */
  readonly segment: number;
  readonly #pool: BufferPool;
  readonly #pieces: Block[] = [];

  /** An empty one; buffers come from the pool when programs need them. */
  constructor(pool: BufferPool, maxBuffer: number) {
    this.#pool = pool;
    this.segment = Math.floor(maxBuffer / arenaAlignment) * arenaAlignment;
  }

  /**
   * Makes room for a plan's temporaries.
   *
   * @throws UserError if one of them is larger than a buffer.
   */
  reserve({ arenaBytes, launches }: Pick<Plan, "arenaBytes" | "launches">): void {
    const sizes = launches.flatMap(({ args }) =>
      args.flatMap((ref) => "arena" in ref ? [ref.bytes] : [])
    );
    const largest = sizes.reduce((most, bytes) => Math.max(most, bytes), 0);
    if (largest > this.segment) throw tooLarge(largest, this.segment);
    for (let i = 0; i * this.segment < arenaBytes; i++) {
      const needed = Math.min(this.segment, arenaBytes - i * this.segment);
      const held = this.#pieces[i];
      if (held !== undefined && held.capacity >= needed) continue;
      if (held !== undefined) this.#pool.free(held);
      this.#pieces[i] = this.#pool.allocate(needed);
    }
  }

  /** What tells apart the buffers that so many bytes lie in now. */
  ids(bytes: number): number[] {
    return this.#pieces.slice(0, Math.ceil(bytes / this.segment)).map(({ id }) => id);
  }

  /** The buffer at an offset, and where the offset is in it. */
  at(offset: number): { readonly block: Block; readonly begin: number } {
    return {
      block: this.#pieces[Math.floor(offset / this.segment)]!,
      begin: offset % this.segment,
    };
  }
}
