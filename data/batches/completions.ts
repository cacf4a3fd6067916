/** Prompts with their completions as one stream; the completions of a prompt share its tokens. @module */

import { buildStream, type Sequence, type StreamArrays } from "./token_stream.ts";

/** A completion and the number it has in its batch. */
export interface NumberedCompletion {
  /** Token ids. */
  readonly ids: Int32Array;
  /** Its number among the batch's completions. */
  readonly number: number;
}

/** Completions of one prompt. */
export interface CompletionFamily {
  /** Token ids of the prompt. */
  readonly promptIds: Int32Array;
  /** Its answers. */
  readonly completions: readonly NumberedCompletion[];
  /** The number under which the prompt's own tokens count too, where they are to be learned. */
  readonly promptNumber?: number;
}

/** How {@link buildCompletions} lays families out. */
export interface CompletionLayout {
  /** Whether completions share their prompt's tokens; true by default. */
  readonly share?: boolean;
  /**
   * Pads every prompt with its completion to the longest of the batch, with this token, and lists all positions:
   * only for metrics that other programs take over padding too.
   */
  readonly padTokenId?: number;
  /** Leaves each completion's last position, padding included, out of that list. */
  readonly withoutLast?: boolean;
}

/** A stream of families. */
export interface CompletionArrays {
  /** The tokens. */
  readonly stream: StreamArrays;
  /** [N]: the number of the completion each label belongs to; −1 in padding. */
  readonly numbers: Int32Array;
  /** [N]: the label's position within its completion. */
  readonly positions: Int32Array;
  /** Positions of prompts, completions and padding, each with its completion's number; null unless padded. */
  readonly everywhere: { readonly sources: Int32Array; readonly numbers: Int32Array } | null;
}

/** Lays families out in a stream, with a label on every token of every completion. */
export function buildCompletions(
  families: readonly CompletionFamily[],
  layout: CompletionLayout = {},
): CompletionArrays {
  const sequences: (Sequence & { readonly number: number })[] = [];
  const longest = Math.max(
    ...families.flatMap(({ promptIds, completions }) =>
      completions.map(({ ids }) => promptIds.length + ids.length)
    ),
  );
  for (const family of families) {
    const { promptIds, completions, promptNumber = -1 } = family;
    const copies = layout.share ?? true
      ? [completions]
      : completions.map((completion) => [completion]);
    copies.forEach((group, copy) => {
      const parent = promptIds.length === 0 ? undefined : sequences.length;
      const number = copy === 0 ? promptNumber : -1;
      if (parent !== undefined) {
        sequences.push({ ids: promptIds, number, ...(number >= 0 ? { labels: promptIds } : {}) });
      }
      for (const { ids, number } of group) {
        const missing = layout.padTokenId === undefined
          ? 0
          : longest - promptIds.length - ids.length;
        sequences.push({
          ...padded(ids, missing, layout.padTokenId ?? 0),
          number,
          ...(parent === undefined ? {} : { parent }),
        });
      }
    });
  }
  const stream = buildStream(sequences);
  const numbers = stream.labelSegments.map((segment) =>
    segment < 0 ? -1 : sequences[segment]!.number
  );
  return {
    stream,
    numbers,
    positions: positionsWithin(stream.labelSegments),
    everywhere: layout.padTokenId === undefined
      ? null
      : allPositions(sequences, layout.withoutLast ?? false),
  };
}

function padded(ids: Int32Array, missing: number, padTokenId: number): Sequence {
  if (missing === 0) return { ids, labels: ids };
  const full = new Int32Array(ids.length + missing).fill(padTokenId);
  full.set(ids);
  return { ids: full, labels: full.map((id, i) => i < ids.length ? id : -100), unseen: missing };
}

/** 0, 1, 2, … within each run of equal segments. */
function positionsWithin(segments: Int32Array): Int32Array {
  const next = new Map<number, number>();
  return segments.map((segment) => {
    const position = next.get(segment) ?? 0;
    next.set(segment, position + 1);
    return position;
  });
}

/** Every token once for each completion that it precedes or belongs to. */
function allPositions(
  sequences: readonly (Sequence & { readonly number: number })[],
  withoutLast: boolean,
) {
  const starts: number[] = [];
  let next = 0;
  for (const { ids } of sequences) {
    starts.push(next);
    next += ids.length;
  }
  const sources: number[] = [];
  const numbers: number[] = [];
  const add = (index: number, number: number, count: number) => {
    for (let i = 0; i < count; i++) {
      sources.push(starts[index]! + i);
      numbers.push(number);
    }
  };
  const parents = new Set(sequences.map(({ parent }) => parent));
  sequences.forEach(({ parent, number }, index) => {
    if (parents.has(index)) return;
    if (parent !== undefined) add(parent, number, sequences[parent]!.ids.length);
    add(index, number, sequences[index]!.ids.length - (withoutLast ? 1 : 0));
  });
  return { sources: Int32Array.from(sources), numbers: Int32Array.from(numbers) };
}
