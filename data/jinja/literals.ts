/** The escapes of string literals, as Python's `unicode-escape` decodes them. */

import { refuse } from "./errors.ts";
import { hexadecimal } from "./represent.ts";

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  b: "\b",
  f: "\f",
  v: "\v",
  a: "\x07",
  "\\": "\\",
  "'": "'",
  '"': '"',
  "\n": "",
};

const DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/** The text a literal stands for. @throws {TemplateError} for an escape that is cut short */
export function readString(literal: string, line: number): string {
  if (!literal.includes("\\")) return literal;
  let text = "";
  let position = 0;
  while (true) {
    const slash = literal.indexOf("\\", position);
    if (slash < 0) return text + literal.slice(position);
    text += literal.slice(position, slash);
    const next = String.fromCodePoint(literal.codePointAt(slash + 1)!);
    position = slash + 1 + next.length;
    const count = DIGITS[next];
    const octal = /[0-7]{1,3}/y;
    octal.lastIndex = slash + 1;
    const digits = octal.exec(literal)?.[0];
    if (ESCAPES[next] !== undefined) text += ESCAPES[next];
    else if (digits !== undefined) {
      text += String.fromCodePoint(parseInt(digits, 8));
      position = slash + 1 + digits.length;
    } else if (count !== undefined) {
      const hex = literal.slice(position, position + count);
      const code = parseInt(hex, 16);
      if (!/^[\da-f]+$/i.test(hex) || hex.length < count || code > 0x10ffff) {
        refuse(`Line ${line}: the escape \\${next}${hex} in a string is no character`);
      }
      text += String.fromCodePoint(code);
      position += count;
    } else if (next === "N") {
      refuse(`Line ${line}: names of characters (\\N{…}) in strings are not supported`);
    } else text += `\\${next > "\x7f" ? asciiEscape(next) : next}`;
  }
}

/** Jinja writes what is not ASCII as escapes first, so that a backslash before it takes one apart. */
function asciiEscape(character: string): string {
  const code = character.codePointAt(0)!;
  if (code < 0x100) return `x${hexadecimal(code, 2)}`;
  return code < 0x10000 ? `u${hexadecimal(code, 4)}` : `U${hexadecimal(code, 8)}`;
}
