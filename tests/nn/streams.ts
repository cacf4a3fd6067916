/** Token streams laid out by hand: any order, gaps of padding, families. @module */

import { headLogits, logitStats, type Tensor, tensor } from "../../core/mod.ts";
import type { CausalModel, DecoderParams, ForwardOptions, TokenStream } from "../../nn/mod.ts";

/** Tokens with a label each (−100 for none, not shifted), or so many tokens of padding. */
export type Piece = number | {
  /** Tells pieces of different layouts apart. */
  readonly name: string;
  readonly ids: readonly number[];
  readonly labels: readonly number[];
  /** Name of the piece that this one continues; it stands before, with nothing foreign between. */
  readonly parent?: string;
};

/** A stream, what is to be predicted in it, and where pieces begin. */
export interface Layout {
  readonly length: number;
  readonly stream: TokenStream;
  /** i32 [N]: the token that predicts each label. */
  readonly sources: Tensor;
  /** i32 [N]: the labels. */
  readonly targets: Tensor;
  readonly starts: ReadonlyMap<string, number>;
}

/** Lays pieces one after the other. */
export function layOut(pieces: readonly Piece[]): Layout {
  const length = pieces.reduce<number>(
    (sum, piece) => sum + (typeof piece === "number" ? piece : piece.ids.length),
    0,
  );
  const ids = new Int32Array(length);
  const segments = new Int32Array(5 * length);
  const ends = new Map<string, { segment: number; start: number; end: number }>();
  const [sources, targets]: [number[], number[]] = [[], []];
  let t = 0;
  pieces.forEach((piece, segment) => {
    if (typeof piece === "number") {
      // What stands in padding must not matter.
      for (const end = t + piece; t < end; t++) {
        ids[t] = 5;
        [-1, -1, 3, 0, length].forEach((value, row) => segments[row * length + t] = value);
      }
      return;
    }
    const parent = piece.parent === undefined ? undefined : ends.get(piece.parent)!;
    const start = t;
    const end = start + piece.ids.length;
    piece.ids.forEach((id, i) => {
      ids[t] = id;
      const position = i + (parent ? parent.end - parent.start : 0);
      [segment, parent?.segment ?? -1, position, parent?.start ?? start, end]
        .forEach((value, row) => segments[row * length + t] = value);
      const source = i > 0 ? t - 1 : parent ? parent.end - 1 : -1;
      if (piece.labels[i] !== -100 && source >= 0) {
        sources.push(source);
        targets.push(piece.labels[i]!);
      }
      t++;
    });
    ends.set(piece.name, { segment, start, end });
  });
  return {
    length,
    stream: { ids: tensor(ids), segments: tensor(segments, { shape: [5, length] }) },
    sources: tensor(Int32Array.from(sources)),
    targets: tensor(Int32Array.from(targets)),
    starts: new Map([...ends].map(([name, { start }]) => [name, start])),
  };
}

/** Mean negative log-likelihood of the layout's labels. */
export function meanLoss(
  model: CausalModel,
  params: DecoderParams,
  { stream, sources, targets }: Pick<Layout, "stream" | "sources" | "targets">,
  options: ForwardOptions,
): Tensor {
  const hidden = model.hidden(params, stream, options).gather(sources);
  return logitStats(hidden, model.head(params), targets).logProb.mean().neg();
}

/** All logits [T, V]. */
export function logitsOf(
  model: CausalModel,
  params: DecoderParams,
  stream: TokenStream,
  options: ForwardOptions,
): Tensor {
  return headLogits(model.hidden(params, stream, options), model.head(params));
}
