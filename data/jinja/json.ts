/** Python's `json.dumps`. */

import { room } from "./budget.ts";
import { Dictionary } from "./dictionary.ts";
import { refuse } from "./errors.ts";
import { asNumber } from "./numbers.ts";
import { compare } from "./compare.ts";
import { hexadecimal, represent } from "./represent.ts";
import { asText, defined, Tuple, tuple, typeName, type Value } from "./values.ts";

/** Options of Python's `json.dumps`. */
export interface JsonOptions {
  /** The text to indent with; null for one line. */
  readonly indent: string | null;
  /** Write everything beyond ASCII as escapes. */
  readonly ensureAscii: boolean;
  /** Between items. */
  readonly itemSeparator: string;
  /** Between key and value. */
  readonly keySeparator: string;
  /** Sort the keys of dictionaries. */
  readonly sortKeys: boolean;
}

const SHORT: Readonly<Record<string, string>> = {
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\b": "\\b",
  "\f": "\\f",
  '"': '\\"',
  "\\": "\\\\",
};

function quoted(text: string, ensureAscii: boolean): string {
  // deno-lint-ignore no-control-regex -- these are what JSON writes as escapes
  const special = ensureAscii ? /[\x00-\x1f"\\\x7f-\uffff]/g : /[\x00-\x1f"\\]/g;
  return `"${
    text.replace(special, (unit) => SHORT[unit] ?? `\\u${hexadecimal(unit.charCodeAt(0), 4)}`)
  }"`;
}

function scalar(item: Value): string {
  if (item === null) return "null";
  if (typeof item === "boolean") return String(item);
  const number = asNumber(defined(item));
  if (number === undefined) refuse(`Object of type ${typeName(item)} is not JSON serializable`);
  if (Number.isNaN(number)) return "NaN";
  if (number === Infinity) return "Infinity";
  return number === -Infinity ? "-Infinity" : represent(item);
}

function keyText(key: Value): string {
  const text = asText(key);
  if (text !== undefined) return text;
  if (key instanceof Tuple || (key !== null && asNumber(key) === undefined)) {
    refuse(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
  }
  return scalar(key);
}

/** Python's `json.dumps(value)`. @throws {TemplateError} for what JSON does not know */
export function toJson(value: Value, options: JsonOptions): string {
  const { indent, ensureAscii, itemSeparator, keySeparator, sortKeys } = options;
  const counted = (text: string): string => {
    room(text.length);
    return text;
  };
  const enclose = (open: string, parts: string[], close: string, outer: string) => {
    if (parts.length === 0) return open + close;
    if (indent === null) return open + parts.join(itemSeparator) + close;
    const line = `\n${outer}${indent}`;
    return open + line + parts.join(itemSeparator + line) + `\n${outer}${close}`;
  };
  const write = (item: Value, outer: string): string => {
    const text = asText(item);
    if (text !== undefined) return counted(quoted(text, ensureAscii));
    const inner = indent === null ? "" : outer + indent;
    if (Array.isArray(item)) {
      return counted(enclose("[", Array.from(item, (x) => write(x, inner)), "]", outer));
    }
    if (item instanceof Dictionary) {
      let entries = [...item.entries()];
      if (sortKeys) {
        entries = entries.toSorted((a, b) => compare(tuple(a), tuple(b)));
      }
      const parts = entries.map(([key, x]) =>
        quoted(keyText(key), ensureAscii) + keySeparator + write(x, inner)
      );
      return counted(enclose("{", parts, "}", outer));
    }
    return scalar(item);
  };
  return write(value, "");
}
