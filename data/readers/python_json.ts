/**
 * JSON as Python's `json` reads it, where JavaScript's reader would lose something: 5.0 stays a float, whole numbers
 * stay exact however long, keys keep their order, NaN and Infinity are read. What two readers could take differently
 * (a key that stands twice, half a surrogate pair) is refused.
 *
 * @module
 */

import { Float } from "../jinja/values.ts";
import { depthLimit, parsePlainJson } from "./plain_json.ts";

/** A text that is not JSON. */
export class JsonError extends Error {
  /** "JsonError". */
  override readonly name = "JsonError";
  constructor(
    message: string,
    /** Where, in UTF-16 units from 0. */
    readonly position: number,
    /** Whether the text ended inside a value, so that more of it could mend it. */
    readonly ended: boolean = false,
  ) {
    super(message);
  }
}

/**
 * The value of a text. Numbers written as floats whose value is whole are `Float`s, whole numbers beyond 2⁵³
 * `bigint`s, objects with keys that JavaScript would put into an order of its own `Map`s; all else is as `JSON.parse`
 * gives it.
 *
 * @throws {JsonError}
 */
export function parseJson(text: string): unknown {
  const plain = parsePlainJson(text);
  if (plain !== undefined) return plain;
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.skipBlanks();
  if (reader.at < text.length) throw reader.unexpected("nothing more after the JSON value");
  return value;
}

/**
 * The values of a text that stand one after the other, and where the one begins that the text ends in, if it ends
 * inside one.
 *
 * @throws {JsonError} for what no further text could mend
 */
export function parseJsonSequence(text: string): { values: unknown[]; rest: number } {
  const plain = parsePlainJson(text);
  if (plain !== undefined) return { values: [plain], rest: text.length };
  const reader = new Reader(text);
  const values: unknown[] = [];
  for (;;) {
    reader.skipBlanks();
    const rest = reader.at;
    if (rest === text.length) return { values, rest };
    try {
      values.push(reader.value(0));
    } catch (error) {
      if (error instanceof JsonError && error.ended) return { values, rest };
      throw error;
    }
  }
}

const numberPattern = /-?(?:(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?|(Inf(?:inity)?)|NaN)/y;
const wordPattern = /\w+/y;
const words: ReadonlyMap<string, boolean | null> = new Map([
  ["true", true],
  ["false", false],
  ["null", null],
]);

const [quote, backslash, comma, colon] = [0x22, 0x5c, 0x2c, 0x3a];
const [openBracket, closeBracket, openBrace, closeBrace] = [0x5b, 0x5d, 0x7b, 0x7d];

// deno-lint-ignore no-control-regex -- JSON allows none of these in a text
const control = /[\0-\x1f]/;

/** A text with escapes, in its quotes. */
function unescape(quoted: string, position: number): string {
  let value: string;
  try {
    value = JSON.parse(quoted);
  } catch {
    throw new JsonError("a text holds an unknown escape", position);
  }
  if (value.isWellFormed()) return value;
  throw new JsonError("a text holds half a surrogate pair", position);
}

/** Text that keys of JavaScript objects are sorted before all others for. */
function isIndex(key: string): boolean {
  const first = key.charCodeAt(0);
  return first >= 0x30 && first <= 0x39 && /^(?:0|[1-9]\d{0,9})$/.test(key);
}

class Reader {
  at = 0;

  private readonly hasEscapes: boolean;
  private readonly hasControls: boolean;

  constructor(readonly text: string) {
    this.hasEscapes = text.includes("\\");
    this.hasControls = control.test(text);
  }

  skipBlanks(): void {
    for (let code; (code = this.text.charCodeAt(this.at)) <= 0x20; this.at++) {
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
    }
  }

  /** @param depth How many lists and objects it stands in. */
  value(depth: number): unknown {
    this.skipBlanks();
    switch (this.text.charCodeAt(this.at)) {
      case quote:
        return this.string();
      case openBrace:
        return this.object(this.deeper(depth));
      case openBracket:
        return this.list(this.deeper(depth));
      default:
        return this.word();
    }
  }

  private deeper(depth: number): number {
    if (depth < depthLimit) return depth + 1;
    throw new JsonError(`it is nested more than ${depthLimit} deep`, this.at);
  }

  private list(depth: number): unknown[] {
    const items: unknown[] = [];
    this.at++;
    this.skipBlanks();
    if (this.takes(closeBracket)) return items;
    for (;;) {
      items.push(this.value(depth));
      this.skipBlanks();
      if (this.takes(comma)) continue;
      if (this.takes(closeBracket)) return items;
      throw this.unexpected("a comma or ]");
    }
  }

  private object(depth: number): unknown {
    const object: Record<string, unknown> = {};
    let keys = 0;
    let ordered: Map<string, unknown> | undefined;
    this.at++;
    this.skipBlanks();
    if (this.takes(closeBrace)) return object;
    for (;;) {
      const place = this.at;
      if (this.text.charCodeAt(place) !== quote) throw this.unexpected("a key in double quotes");
      const key = this.string();
      this.skipBlanks();
      if (!this.takes(colon)) throw this.unexpected("a colon after the key");
      const value = this.value(depth);
      if (ordered === undefined && isIndex(key)) ordered = new Map(Object.entries(object));
      if (ordered ? ordered.has(key) : Object.hasOwn(object, key)) {
        throw new JsonError(`the key ${JSON.stringify(key)} stands twice in one object`, place);
      }
      if (ordered) ordered.set(key, value);
      else if (key === "__proto__") define(object, key, value);
      else object[key] = value;
      keys++;
      this.skipBlanks();
      if (this.takes(comma)) {
        this.skipBlanks();
        continue;
      }
      if (this.takes(closeBrace)) return ordered ?? object;
      throw this.unexpected("a comma or }");
    }
  }

  private string(): string {
    const { text, at: start } = this;
    let end = text.indexOf('"', start + 1);
    if (this.hasEscapes) {
      while (end >= 0 && this.isEscaped(end)) end = text.indexOf('"', end + 1);
    }
    // No further line could end it: texts hold no line breaks.
    if (end < 0) throw new JsonError("a text does not end", start);
    this.at = end + 1;
    const inner = text.slice(start + 1, end);
    if (this.hasControls && control.test(inner)) {
      throw new JsonError("a line break, tab or other control character stands in a text", start);
    }
    return this.hasEscapes && inner.includes("\\")
      ? unescape(text.slice(start, end + 1), start)
      : inner;
  }

  /** Whether an odd number of backslashes stands before a place. */
  private isEscaped(place: number): boolean {
    let first = place;
    while (this.text.charCodeAt(first - 1) === backslash) first--;
    return (place - first) % 2 === 1;
  }

  private word(): unknown {
    const { text, at } = this;
    numberPattern.lastIndex = at;
    const number = numberPattern.exec(text);
    if (number) {
      this.at = numberPattern.lastIndex;
      return this.number(number, at);
    }
    wordPattern.lastIndex = at;
    const word = words.get(wordPattern.exec(text)?.[0] ?? "");
    if (word === undefined) throw this.unexpected("a value");
    this.at = wordPattern.lastIndex;
    return word;
  }

  private number([text, fraction, exponent, infinity]: RegExpExecArray, at: number): unknown {
    if (infinity !== undefined) return text.startsWith("-") ? -Infinity : Infinity;
    const value = Number(text);
    if (fraction === undefined && exponent === undefined) {
      if (Number.isSafeInteger(value)) return value + 0;
      return Number.isNaN(value) ? value : BigInt(text);
    }
    if (!Number.isFinite(value)) throw new JsonError(`the number ${text} is too large`, at);
    return Number.isInteger(value) ? new Float(value) : value;
  }

  private takes(code: number): boolean {
    if (this.text.charCodeAt(this.at) !== code) return false;
    this.at++;
    return true;
  }

  unexpected(wanted: string): JsonError {
    const { text, at } = this;
    if (at >= text.length) return new JsonError(`it ends where ${wanted} was expected`, at, true);
    const seen = JSON.stringify(String.fromCodePoint(text.codePointAt(at)!));
    return new JsonError(`${seen} stands where ${wanted} was expected`, at);
  }
}

function define(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}
