/** The methods of Python's str. */

import { room } from "../budget.ts";
import { Dictionary } from "../dictionary.ts";
import { refuse } from "../errors.ts";
import { iterate } from "../iterate.ts";
import { asInteger, index } from "../numbers.ts";
import { type Bind, positional, signature } from "../signature.ts";
import {
  capitalize,
  caseFold,
  characters,
  countCharacters,
  isBlank,
  KINDS,
  splitLines,
  swapCase,
  toTitle,
  trimEnd,
  trimStart,
  words,
} from "../unicode.ts";
import { truthy } from "../compare.ts";
import { asText, textOf, Tuple, tuple, typeName, type Value } from "../values.ts";

/** A method: how its arguments are bound, and what it does with them. */
export interface TextMethod {
  /** Binds the arguments. */
  readonly bind: Bind;
  /** What it does. */
  readonly run: (self: string, args: readonly Value[]) => Value;
}

/** Python's `strip`, `lstrip` and `rstrip`; `null` for blanks. */
export function strip(text: string, chars: Value, side: "left" | "right" | "both"): string {
  if (chars === null) {
    const left = side === "right" ? text : trimStart(text);
    return side === "left" ? left : trimEnd(left);
  }
  const set = new Set(characters(textOf(chars, "strip")));
  const points = characters(text);
  let [start, end] = [0, points.length];
  if (side !== "right") { while (start < end && set.has(points[start]!)) start++; }
  if (side !== "left") { while (end > start && set.has(points[end - 1]!)) end--; }
  return points.slice(start, end).join("");
}

/** Python's `split`; `null` separates at blanks, a negative limit is none. */
export function split(text: string, separator: Value, limit: number): string[] {
  if (separator !== null) {
    const mark = textOf(separator, "split");
    if (mark === "") refuse("empty separator");
    const parts = text.split(mark);
    if (limit < 0 || parts.length <= limit + 1) return parts;
    return [...parts.slice(0, limit), parts.slice(limit).join(mark)];
  }
  if (limit < 0) return words(text);
  const parts: string[] = [];
  let position = 0;
  const skipBlanks = () => {
    while (position < text.length && isBlank(text[position]!)) position++;
  };
  skipBlanks();
  while (position < text.length && parts.length < limit) {
    const start = position;
    while (position < text.length && !isBlank(text[position]!)) position++;
    parts.push(text.slice(start, position));
    skipBlanks();
  }
  // What is left beyond the limit keeps its blanks.
  if (position < text.length) parts.push(text.slice(position));
  return parts;
}

/** Python's `rsplit`: as `split`, from the right; marks that overlap are found at other places. */
export function splitFromRight(text: string, separator: Value, limit: number): string[] {
  if (separator !== null) {
    const mark = textOf(separator, "rsplit");
    if (mark === "") refuse("empty separator");
    const most = limit < 0 ? Infinity : limit;
    const parts: string[] = [];
    let end = text.length;
    while (parts.length < most) {
      const start = end < mark.length ? -1 : text.lastIndexOf(mark, end - mark.length);
      if (start < 0) break;
      parts.push(text.slice(start + mark.length, end));
      end = start;
    }
    return [...parts, text.slice(0, end)].reverse();
  }
  if (limit < 0) return words(text);
  const parts: string[] = [];
  let end = trimEnd(text).length;
  while (end > 0 && parts.length < limit) {
    let start = end;
    while (start > 0 && !isBlank(text[start - 1]!)) start--;
    parts.push(text.slice(start, end));
    while (start > 0 && isBlank(text[start - 1]!)) start--;
    end = start;
  }
  if (end > 0) parts.push(text.slice(0, end));
  return parts.reverse();
}

/** Python's `replace`; a negative count is no limit. */
export function replace(text: string, old: string, replacement: string, count: number): string {
  const parts = old === "" ? ["", ...characters(text), ""] : text.split(old);
  const times = count < 0 ? parts.length - 1 : Math.min(count, parts.length - 1);
  room(text.length + times * (replacement.length - old.length));
  if (times === parts.length - 1) return parts.join(replacement);
  return [...parts.slice(0, times), parts.slice(times).join(old)].join(replacement);
}

/** Python's `center`, `ljust` and `rjust`. */
export function pad(
  text: string,
  width: Value,
  fill: Value,
  side: "left" | "right" | "both",
): string {
  const wanted = index(width, "a width");
  const character = textOf(fill, "a fill character");
  if (countCharacters(character) !== 1) {
    refuse("The fill character must be exactly one character long");
  }
  room(wanted * character.length);
  const missing = Math.max(0, wanted - countCharacters(text));
  if (side === "left") return character.repeat(missing) + text;
  if (side === "right") return text + character.repeat(missing);
  const left = Math.floor(missing / 2) + (missing & wanted & 1);
  return character.repeat(left) + text + character.repeat(missing - left);
}

/** A text with blanks instead of tabs. */
function expandTabs(text: string, size: number): string {
  let column = 0;
  let result = "";
  for (const character of characters(text)) {
    if (character === "\t") {
      const blanks = size > 0 ? size - column % size : 0;
      room(result.length + blanks);
      result += " ".repeat(blanks);
      column += blanks;
    } else {
      result += character;
      column = character === "\n" || character === "\r" ? 0 : column + 1;
    }
  }
  return result;
}

/** Two of Python's positions in a text of this length. */
export function bounds(from: Value, to: Value, length: number): [start: number, end: number] {
  const place = (value: Value, otherwise: number) => {
    if (value === null) return otherwise;
    const whole = asInteger(value);
    if (whole === undefined) return refuse("slice indices must be integers or None");
    return whole < 0 ? Math.max(0, Number(whole) + length) : Number(whole);
  };
  return [place(from, 0), Math.min(place(to, length), length)];
}

/** The part of a text between two of Python's positions; undefined past the end. */
function within(self: string, from: Value, to: Value) {
  if (from === null && to === null) return { start: 0, text: self };
  const points = characters(self);
  const [start, end] = bounds(from, to, points.length);
  return start > end ? undefined : { start, text: points.slice(start, end).join("") };
}

/** Where a text is found, counted in characters as Python does; -1 if it is not. */
function find(self: string, [part, from = null, to = null]: readonly Value[], last: boolean) {
  const wanted = textOf(part!, "find");
  const searched = within(self, from, to);
  if (searched === undefined) return -1;
  const { start, text } = searched;
  const place = last ? text.lastIndexOf(wanted) : text.indexOf(wanted);
  return place < 0 ? -1 : start + countCharacters(text.slice(0, place));
}

function count(self: string, [part, from = null, to = null]: readonly Value[]): number {
  const wanted = textOf(part!, "count");
  const searched = within(self, from, to);
  if (searched === undefined) return 0;
  if (wanted === "") return countCharacters(searched.text) + 1;
  return searched.text.split(wanted).length - 1;
}

function affix(
  name: "startsWith" | "endsWith",
  self: string,
  [parts, from = null, to = null]: readonly Value[],
): boolean {
  const wanted = parts instanceof Tuple ? parts : [parts!];
  const searched = within(self, from, to);
  return wanted.map((part) => textOf(part, name.toLowerCase()))
    .some((part) => searched !== undefined && searched.text[name](part));
}

function partition(self: string, separator: string, last: boolean): Value {
  if (separator === "") refuse("empty separator");
  const place = last ? self.lastIndexOf(separator) : self.indexOf(separator);
  if (place < 0) return tuple(last ? ["", "", self] : [self, "", ""]);
  return tuple([self.slice(0, place), separator, self.slice(place + separator.length)]);
}

function join(self: string, items: Value): string {
  let size = 0;
  const texts = iterate(items).map((item, i) => {
    const text = asText(item);
    if (text === undefined) {
      return refuse(`sequence item ${i}: expected str instance, ${typeName(item)} found`);
    }
    room(size += text.length + self.length);
    return text;
  });
  return Array.from(texts).join(self);
}

function zeroFill(self: string, width: Value): string {
  // The zeros go between the sign and the digits.
  const sign = /^[-+]/.exec(self)?.[0] ?? "";
  return sign + pad(self.slice(sign.length), index(width, "zfill") - sign.length, "0", "left");
}

function translate(self: string, table: Value): string {
  if (!(table instanceof Dictionary)) return refuse("translate takes a dict");
  return characters(self).map((character) => {
    const found = table.get(character.codePointAt(0)!);
    if (found === undefined) return character;
    if (found === null) return "";
    const text = asText(found);
    if (text !== undefined) return text;
    const code = asInteger(found);
    return code === undefined || code < 0 || code > 0x10ffff
      ? refuse("character mapping must return integer, None or str")
      : String.fromCodePoint(Number(code));
  }).join("");
}

const plain = (name: string, run: (self: string) => Value): TextMethod => ({
  bind: positional(name, 0),
  run,
});
const taking = (
  name: string,
  least: number,
  most: number,
  run: (self: string, args: readonly Value[]) => Value,
): TextMethod => ({ bind: positional(name, least, most), run });
const splitting = (name: string, by: typeof split): TextMethod => ({
  bind: signature(name, [["sep", null], ["maxsplit", -1]]),
  run: (self, [separator, limit]) => by(self, separator!, index(limit!, name)),
});
const refused = (name: string): TextMethod => ({
  bind: (args) => [...args],
  run: () => refuse(`${name}() is not supported: it makes bytes or tables of them`),
});

/** The methods of a text by name, but `format` and `format_map`, which look up attributes. */
export const TEXT_METHODS: Readonly<Record<string, TextMethod>> = {
  capitalize: plain("capitalize", capitalize),
  casefold: plain("casefold", caseFold),
  center: taking("center", 1, 2, (self, [width, fill = " "]) => pad(self, width!, fill, "both")),
  count: taking("count", 1, 3, count),
  encode: refused("encode"),
  endswith: taking("endswith", 1, 3, (self, args) => affix("endsWith", self, args)),
  expandtabs: {
    bind: signature("expandtabs", [["tabsize", 8]]),
    run: (self, [size]) => expandTabs(self, index(size!, "expandtabs")),
  },
  find: taking("find", 1, 3, (self, args) => find(self, args, false)),
  index: taking("index", 1, 3, (self, args) => {
    const place = find(self, args, false);
    return place < 0 ? refuse("substring not found") : place;
  }),
  ...Object.fromEntries(
    Object.entries(KINDS).map(([name, test]) => [name, plain(name, test)]),
  ),
  join: taking("join", 1, 1, (self, [items]) => join(self, items!)),
  ljust: taking("ljust", 1, 2, (self, [width, fill = " "]) => pad(self, width!, fill, "right")),
  lower: plain("lower", (self) => self.toLowerCase()),
  lstrip: taking("lstrip", 0, 1, (self, [chars = null]) => strip(self, chars, "left")),
  maketrans: refused("maketrans"),
  partition: taking(
    "partition",
    1,
    1,
    (self, [separator]) => partition(self, textOf(separator!, "partition"), false),
  ),
  removeprefix: taking("removeprefix", 1, 1, (self, [part]) => {
    const prefix = textOf(part!, "removeprefix");
    return self.startsWith(prefix) ? self.slice(prefix.length) : self;
  }),
  removesuffix: taking("removesuffix", 1, 1, (self, [part]) => {
    const suffix = textOf(part!, "removesuffix");
    return self.endsWith(suffix) ? self.slice(0, self.length - suffix.length) : self;
  }),
  replace: taking("replace", 2, 3, (self, [old, replacement, count = -1]) =>
    replace(
      self,
      textOf(old!, "replace"),
      textOf(replacement!, "replace"),
      index(count, "replace"),
    )),
  rfind: taking("rfind", 1, 3, (self, args) => find(self, args, true)),
  rindex: taking("rindex", 1, 3, (self, args) => {
    const place = find(self, args, true);
    return place < 0 ? refuse("substring not found") : place;
  }),
  rjust: taking("rjust", 1, 2, (self, [width, fill = " "]) => pad(self, width!, fill, "left")),
  rpartition: taking(
    "rpartition",
    1,
    1,
    (self, [separator]) => partition(self, textOf(separator!, "rpartition"), true),
  ),
  rsplit: splitting("rsplit", splitFromRight),
  rstrip: taking("rstrip", 0, 1, (self, [chars = null]) => strip(self, chars, "right")),
  split: splitting("split", split),
  splitlines: {
    bind: signature("splitlines", [["keepends", false]]),
    run: (self, [keepEnds]) => splitLines(self, truthy(keepEnds!)),
  },
  startswith: taking("startswith", 1, 3, (self, args) => affix("startsWith", self, args)),
  strip: taking("strip", 0, 1, (self, [chars = null]) => strip(self, chars, "both")),
  swapcase: plain("swapcase", swapCase),
  title: plain("title", toTitle),
  translate: taking("translate", 1, 1, (self, [table]) => translate(self, table!)),
  upper: plain("upper", (self) => self.toUpperCase()),
  zfill: taking("zfill", 1, 1, (self, [width]) => zeroFill(self, width!)),
};
