/** HTML: escaping text and marking it as safe. */

import { decodeHTML } from "entities";
import { toText } from "./represent.ts";
import { words } from "./unicode.ts";
import { Markup, type Value } from "./values.ts";

const ESCAPED: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&#34;",
  "'": "&#39;",
};

/** A text with its HTML characters escaped. */
export function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPED[character]!);
}

/** A value as text with its HTML characters escaped; what is marked as safe stays. */
export function escaped(value: Value): string {
  return value instanceof Markup ? value.text : escapeText(toText(value));
}

/** The text between tags, with single blanks and without entities. */
export function stripTags(html: string): string {
  const plain = without(without(html, "<!--", "-->"), "<", ">");
  return unescape(words(plain).join(" "));
}

/** HTML entities as the characters they stand for. */
export function unescape(html: string): string {
  // Numbers of controls and of what is no character vanish in Python.
  const known = html.replace(/&#(?:x([\da-f]+)|(\d+));?/gi, (whole, hex, digits) => {
    const code = hex === undefined ? Number(digits) : parseInt(hex, 16);
    return isNoCharacter(code) ? "" : whole;
  });
  return decodeHTML(known);
}

function isNoCharacter(code: number): boolean {
  return (code >= 0x1 && code <= 0x8) || code === 0xb || (code >= 0xe && code <= 0x1f) ||
    code === 0x7f || (code >= 0xfdd0 && code <= 0xfdef) ||
    (code <= 0x10ffff && (code & 0xfffe) === 0xfffe);
}

/** A text without what stands between two marks, found from the left. */
function without(text: string, open: string, close: string): string {
  let [kept, rest] = ["", text];
  while (true) {
    const start = rest.indexOf(open);
    if (start < 0) return kept + rest;
    const end = rest.indexOf(close, start);
    if (end < 0) return kept + rest;
    kept += rest.slice(0, start);
    rest = rest.slice(end + close.length);
  }
}
