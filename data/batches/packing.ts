/**
 * Packing: several short documents in one row of at most `maxLength` tokens, as TRL's
 * `pack_dataset` does it. Best-fit decreasing: "Fewer Truncations Improve Language Modeling"
 * (arXiv 2404.10830).
 */

import { UserError } from "../../core/errors.ts";

/** A row of token ids and its labels (−100 = ignored), of one length, unshifted. */
export interface Example {
  /** Token ids. */
  readonly inputIds: Int32Array;
  /** The id to learn at each position, −100 where the loss ignores it; not shifted. */
  readonly labels: Int32Array;
  /** The lengths of the documents inside a packed row, in order; absent for one document. */
  readonly segments?: readonly number[];
  /** The numbers (from 0) of the data set rows that the tokens came from. */
  readonly rows: readonly number[];
}

/**
 * - `bfd`: best-fit decreasing; documents longer than a row are cut, the rest of them is lost.
 * - `bfd_split`: the same, but the overflow of long documents is packed as documents of its own.
 * - `wrapped`: all tokens in a line, cut every `maxLength`; ignores document borders.
 */
export type PackingStrategy = "bfd" | "bfd_split" | "wrapped";

/** How to pack. */
export interface PackingOptions {
  /** Tokens in a row at most. */
  readonly maxLength: number;
  /** Default `"bfd"`. */
  readonly strategy?: PackingStrategy;
  /** Documents packed together; a row never crosses such a batch. Default 1000, as in TRL. */
  readonly batchRows?: number;
}

/**
 * Packs documents into rows of at most `maxLength` tokens, batch after batch of 1000 documents.
 *
 * @throws {UserError} on an unknown strategy or a `maxLength` that is not a positive integer
 */
export function packExamples(documents: readonly Example[], options: PackingOptions): Example[] {
  const { maxLength, strategy = "bfd", batchRows = 1000 } = options;
  if (!Number.isInteger(maxLength) || maxLength < 1) {
    throw new UserError(
      `Packing needs max_length to be a positive number of tokens: it is ${maxLength}.`,
    );
  }
  const packed: Example[] = [];
  for (let start = 0; start < documents.length; start += batchRows) {
    const batch = documents.slice(start, start + batchRows);
    switch (strategy) {
      case "bfd":
        packed.push(...bestFitDecreasing(cut(batch, maxLength), maxLength));
        break;
      case "bfd_split":
        packed.push(...bestFitDecreasing(split(batch, maxLength), maxLength));
        break;
      case "wrapped":
        packed.push(...wrap(batch, maxLength));
        break;
      default:
        throw new UserError(
          `packing_strategy is "${strategy}": expected bfd, bfd_split or wrapped.`,
        );
    }
  }
  return packed;
}

function piece(document: Example, start: number, end: number): Example {
  return {
    inputIds: document.inputIds.subarray(start, end),
    labels: document.labels.subarray(start, end),
    rows: document.rows,
  };
}

function cut(documents: readonly Example[], maxLength: number): Example[] {
  return documents.filter((d) => d.inputIds.length > 0).map((d) => piece(d, 0, maxLength));
}

function split(documents: readonly Example[], maxLength: number): Example[] {
  return documents.flatMap((document) => {
    const pieces: Example[] = [];
    for (let start = 0; start < document.inputIds.length; start += maxLength) {
      pieces.push(piece(document, start, start + maxLength));
    }
    return pieces;
  });
}

function join(documents: readonly Example[]): { inputIds: Int32Array; labels: Int32Array } {
  const length = documents.reduce((sum, d) => sum + d.inputIds.length, 0);
  const inputIds = new Int32Array(length);
  const labels = new Int32Array(length);
  let position = 0;
  for (const document of documents) {
    inputIds.set(document.inputIds, position);
    labels.set(document.labels, position);
    position += document.inputIds.length;
  }
  return { inputIds, labels };
}

function distinct(rows: readonly number[]): number[] {
  return [...new Set(rows)];
}

function wrap(documents: readonly Example[], maxLength: number): Example[] {
  const { inputIds, labels } = join(documents);
  const ends: number[] = [];
  for (const document of documents) ends.push((ends.at(-1) ?? 0) + document.inputIds.length);
  const packed: Example[] = [];
  let first = 0;
  for (let start = 0; start < inputIds.length; start += maxLength) {
    const end = Math.min(start + maxLength, inputIds.length);
    while (ends[first]! <= start) first++;
    let last = first;
    while (ends[last]! < end) last++;
    packed.push({
      inputIds: inputIds.slice(start, end),
      labels: labels.slice(start, end),
      rows: distinct(documents.slice(first, last + 1).flatMap((d) => d.rows)),
    });
  }
  return packed;
}

function bestFitDecreasing(documents: readonly Example[], maxLength: number): Example[] {
  const decreasing = [...documents].sort((a, b) => b.inputIds.length - a.inputIds.length);
  const spaces = spaceTree(maxLength);
  spaces.add(maxLength);
  // Of the bins with equal space left, the one that has waited longest is filled first.
  const binsBySpace = new Map<number, Example[][]>();
  const bins: Example[][] = [];
  for (const document of decreasing) {
    const length = document.inputIds.length;
    const space = spaces.smallestAtLeast(length);
    let bin: Example[];
    if (space < maxLength) {
      const waiting = binsBySpace.get(space)!;
      bin = waiting.shift()!;
      if (waiting.length === 0) spaces.remove(space);
    } else {
      bin = [];
      bins.push(bin);
    }
    bin.push(document);
    const left = space - length;
    if (left > 0) {
      const waiting = binsBySpace.get(left) ?? [];
      waiting.push(bin);
      binsBySpace.set(left, waiting);
      spaces.add(left);
    }
  }
  return bins.map((bin) => ({
    ...join(bin),
    segments: bin.map((d) => d.inputIds.length),
    rows: distinct(bin.flatMap((d) => d.rows)),
  }));
}

/** A segment tree over the spaces 1 … maximum: the smallest present space that fits, in log time. */
function spaceTree(maximum: number) {
  let leaves = 1;
  while (leaves < maximum) leaves *= 2;
  const tree = new Int32Array(2 * leaves);
  const set = (space: number, value: number) => {
    let node = leaves + space - 1;
    tree[node] = value;
    while (node > 1) {
      node >>= 1;
      tree[node] = Math.max(tree[2 * node]!, tree[2 * node + 1]!);
    }
  };
  return {
    add: (space: number) => set(space, space),
    remove: (space: number) => set(space, 0),
    smallestAtLeast: (space: number) => {
      let node = 1;
      while (node < leaves) node = tree[2 * node]! >= space ? 2 * node : 2 * node + 1;
      return tree[node]!;
    },
  };
}
