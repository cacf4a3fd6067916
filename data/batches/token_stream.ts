/**
 * Batches as one flat stream of tokens: no padded rectangles. Sequences lie one after the other, each a segment;
 * a sequence may continue another (its parent), whose tokens it sees as its own beginning.
 *
 * @module
 */

/** Tokens to put into a stream. */
export interface Sequence {
  /** Token ids. */
  readonly ids: ArrayLike<number>;
  /** The id to learn at each position, −100 for none; not shifted. No labels by default. */
  readonly labels?: ArrayLike<number>;
  /** Number (in the list) of the sequence this one continues; a family is contiguous, its parent first. */
  readonly parent?: number;
  /** So many of its last tokens see, but are not seen: padding as other programs have it. */
  readonly unseen?: number;
}

/** A stream as host arrays, padded to bucket lengths so that few programs are compiled. */
export interface StreamArrays {
  /** Bucketed numbers of tokens and labels. */
  readonly length: number;
  /** Bucketed number of labels. */
  readonly labelCount: number;
  /** Tokens and labels that are real. */
  readonly tokens: number;
  /** Labels that are real. */
  readonly labels: number;
  /** [T]; 0 in padding. */
  readonly ids: Int32Array;
  /** [5, T]: segment, parent, position, first, last of each token; segment −1 in padding. */
  readonly segments: Int32Array;
  /** The same as keys, where it differs: tokens that are not seen have segment −1. */
  readonly keySegments: Int32Array | null;
  /** [N]: the token whose hidden state predicts each label; −1 in padding. */
  readonly sources: Int32Array;
  /** [N]: the label's id; −1 in padding. */
  readonly targets: Int32Array;
  /** [N]: the sequence each label belongs to; −1 in padding. */
  readonly labelSegments: Int32Array;
}

/** A length rounded up so that few distinct ones occur and at most 12 % is waste (15 tokens if short). */
export function bucketLength(length: number): number {
  const step = Math.max(16, 2 ** (Math.floor(Math.log2(Math.max(length, 1))) - 3));
  return Math.max(step, Math.ceil(length / step) * step);
}

const ignored = -100;

/** Lays sequences out in a stream. */
export function buildStream(sequences: readonly Sequence[]): StreamArrays {
  const tokens = sequences.reduce((sum, { ids }) => sum + ids.length, 0);
  const length = bucketLength(tokens);
  const ids = new Int32Array(length);
  const segments = new Int32Array(5 * length).fill(-1, 0, 2 * length);
  const starts: number[] = [];
  const unseen: number[] = [];
  const labels: [source: number, target: number, segment: number][] = [];
  let next = 0;
  sequences.forEach((sequence, segment) => {
    const parent = sequence.parent ?? -1;
    const size = sequence.ids.length;
    const begin = next;
    const parentEnd = parent < 0 ? begin : starts[parent]! + sequences[parent]!.ids.length;
    const position = parent < 0 ? 0 : sequences[parent]!.ids.length;
    starts.push(begin);
    for (let i = 0; i < size; i++) {
      const t = begin + i;
      ids[t] = sequence.ids[i]!;
      segments[t] = segment;
      segments[length + t] = parent;
      segments[2 * length + t] = position + i;
      segments[3 * length + t] = parent < 0 ? begin : starts[parent]!;
      segments[4 * length + t] = begin + size;
      if (i >= size - (sequence.unseen ?? 0)) unseen.push(t);
      const label = sequence.labels?.[i] ?? ignored;
      // The first token of a continuation is predicted by the last of its parent.
      const source = i > 0 ? t - 1 : parent < 0 ? -1 : parentEnd - 1;
      if (label !== ignored && source >= 0) labels.push([source, label, segment]);
    }
    next += size;
  });
  const labelCount = bucketLength(labels.length);
  const column = (k: 0 | 1 | 2) =>
    Int32Array.from({ length: labelCount }, (_, i) => labels[i]?.[k] ?? -1);
  return {
    length,
    labelCount,
    tokens,
    labels: labels.length,
    ids,
    segments,
    keySegments: unseen.length === 0 ? null : hidden(segments, unseen),
    sources: column(0),
    targets: column(1),
    labelSegments: column(2),
  };
}

function hidden(segments: Int32Array, tokens: readonly number[]): Int32Array {
  const keys = segments.slice();
  for (const t of tokens) keys[t] = -1;
  return keys;
}

/**
 * What the tokens of a target stream see of a source stream, [5, T]: the target's segments with ranges of the source's
 * tokens. Sequences belong together by their numbers; a continuation sees its parent's source too.
 */
export function crossSegments(
  source: Pick<StreamArrays, "length" | "segments">,
  target: Pick<StreamArrays, "length" | "segments">,
): Int32Array {
  const ranges = new Map<number, readonly [first: number, last: number]>();
  for (let s = 0; s < source.length; s++) {
    const at = (row: number) => source.segments[row * source.length + s]!;
    if (at(0) >= 0) ranges.set(at(0), [at(3), at(4)]);
  }
  const segments = target.segments.slice();
  for (let t = 0; t < target.length; t++) {
    const seen = [ranges.get(segments[t]!), ranges.get(segments[target.length + t]!)]
      .filter((range) => range !== undefined);
    const [firsts, lasts] = [seen.map(([first]) => first), seen.map(([, last]) => last)];
    segments[3 * target.length + t] = seen.length === 0 ? 0 : Math.min(...firsts);
    segments[4 * target.length + t] = seen.length === 0 ? 0 : Math.max(...lasts);
  }
  return segments;
}
