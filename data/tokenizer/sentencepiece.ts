/** SentencePiece's `tokenizer.model`: a message of Google's protocol buffers, of which a few fields matter. @module */

/** What a piece is. */
export const pieceKind = {
  /** A part of words. */
  normal: 1,
  /** What stands for unknown text. */
  unknown: 2,
  /** A special token. */
  control: 3,
  /** A token that is never split. */
  userDefined: 4,
  /** Never used. */
  unused: 5,
  /** A byte. */
  byte: 6,
} as const;

/** A vocabulary entry. */
export interface Piece {
  /** Its text. */
  readonly text: string;
  /** How likely it is. */
  readonly score: number;
  /** One of {@link pieceKind}. */
  readonly kind: number;
}

/** What a file says. */
export interface SentencePieceModel {
  /** The pieces, in the order of their ids. */
  readonly pieces: readonly Piece[];
  /** The algorithm. */
  readonly algorithm: "Unigram" | "BPE";
  /** Whether unknown characters become bytes. */
  readonly byteFallback: boolean;
  /** The table of replaced characters; empty for none. */
  readonly charsmap: Uint8Array;
  /** Special pieces; ids below 0 mean that there is none. */
  readonly special: Readonly<
    Record<"unk" | "bos" | "eos", { readonly id: number; readonly piece: string }>
  >;
}

/** A field of a message: its number, and a whole number or bytes. */
type Field = readonly [number, number | Uint8Array];

/** The fields of a message. @throws Error where the bytes are none */
function* fieldsOf(bytes: Uint8Array): Generator<Field> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  const varint = (): number => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = view.getUint8(at++);
      value |= BigInt(byte & 127) << shift;
      // Negative numbers take all 64 bits.
      if (byte < 128) return Number(BigInt.asIntN(64, value));
    }
    throw new RangeError("a number without an end");
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    switch (tag & 7) {
      case 0:
        yield [number, varint()];
        break;
      case 1:
        at += 8;
        break;
      case 2: {
        const length = varint();
        if (length < 0 || at + length > bytes.length) {
          throw new RangeError("a field beyond the end");
        }
        yield [number, bytes.subarray(at, at + length)];
        at += length;
        break;
      }
      case 5:
        yield [number, view.getFloat32(at, true)];
        at += 4;
        break;
      default:
        throw new RangeError(`a field of the unknown type ${tag & 7}`);
    }
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const asText = (value: number | Uint8Array) =>
  typeof value === "number" ? "" : decoder.decode(value);
const asNumber = (value: number | Uint8Array) => typeof value === "number" ? value : 0;
const asBytes = (value: number | Uint8Array) =>
  typeof value === "number" ? new Uint8Array(0) : value;

/** Reads a file's bytes. @throws Error where they are no such message */
export function readSentencePiece(bytes: Uint8Array): SentencePieceModel {
  const pieces: Piece[] = [];
  let trainer: Map<number, number | Uint8Array> = new Map();
  let charsmap = new Uint8Array(0);
  for (const [number, value] of fieldsOf(bytes)) {
    if (number === 1) {
      const piece = new Map(fieldsOf(asBytes(value)));
      pieces.push({
        text: asText(piece.get(1) ?? 0),
        score: asNumber(piece.get(2) ?? 0),
        kind: asNumber(piece.get(3) ?? pieceKind.normal),
      });
    } else if (number === 2) trainer = new Map(fieldsOf(asBytes(value)));
    else if (number === 3) {
      for (const [field, given] of fieldsOf(asBytes(value))) {
        if (field === 2) charsmap = Uint8Array.from(asBytes(given));
      }
    }
  }
  if (pieces.length === 0) throw new RangeError("no pieces in it");
  const type = asNumber(trainer.get(3) ?? 1);
  if (type !== 1 && type !== 2) {
    throw new RangeError("an algorithm that is neither Unigram nor BPE");
  }
  const special = (id: number, piece: number, otherwise: readonly [number, string]) => ({
    id: asNumber(trainer.get(id) ?? otherwise[0]),
    piece: trainer.has(piece) ? asText(trainer.get(piece)!) : otherwise[1],
  });
  return {
    pieces,
    algorithm: type === 1 ? "Unigram" : "BPE",
    byteFallback: asNumber(trainer.get(35) ?? 0) !== 0,
    charsmap,
    special: {
      unk: special(40, 45, [0, "<unk>"]),
      bos: special(41, 46, [1, "<s>"]),
      eos: special(42, 47, [2, "</s>"]),
    },
  };
}

/**
 * The pairs that BPE joins, which the file does not hold: every way to cut a piece into two others, in the order of
 * the pieces, the shorter first parts first.
 */
export function mergesOf(pieces: readonly Piece[]): [string, string][] {
  const known = new Set(pieces.map(({ text }) => text));
  return pieces.flatMap(({ text }) => {
    const characters = Array.from(text);
    const pairs: [string, string][] = [];
    for (let cut = 1; cut < characters.length; cut++) {
      const pair: [string, string] = [
        characters.slice(0, cut).join(""),
        characters.slice(cut).join(""),
      ];
      if (known.has(pair[0]) && known.has(pair[1])) pairs.push(pair);
    }
    return pairs;
  });
}
