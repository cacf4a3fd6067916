/** Where temporaries live in the arena: those alive at the same time must not overlap. @module */

import { arenaAlignment } from "../device/device.ts";

/** A temporary: alive from launch `first` to launch `last`. `offset` is filled in. */
export interface Span {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
  offset: number;
}

/**
 * Gives every span an offset, largest first, each at the lowest place that is free for its whole life.
 *
 * @param segment Bytes of the buffers that the arena consists of: no span lies in two. One that is larger than a
 *   segment begins one.
 * @returns Bytes of the arena.
 */
export function placeInArena(spans: readonly Span[], segment = Infinity): number {
  const fitted = (offset: number, bytes: number): number => {
    const next = (Math.floor(offset / segment) + 1) * segment;
    return offset % segment > 0 && offset + bytes > next ? next : offset;
  };
  const placed: Span[] = [];
  let total = 0;
  const order = [...spans].sort((a, b) => b.bytes - a.bytes || a.first - b.first);
  for (const span of order) {
    let offset = 0;
    for (const other of placed) {
      if (other.last < span.first || other.first > span.last) continue;
      if (offset + span.bytes <= other.offset) break;
      offset = fitted(Math.max(offset, other.offset + roundUp(other.bytes)), span.bytes);
    }
    span.offset = offset;
    total = Math.max(total, offset + roundUp(span.bytes));
    // Keep the list sorted by offset, so that the first gap found is the lowest.
    let at = placed.length;
    while (at > 0 && placed[at - 1]!.offset > offset) at--;
    placed.splice(at, 0, span);
  }
  return total;
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / arenaAlignment) * arenaAlignment;
}
