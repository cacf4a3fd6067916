/** Cuts a Jinja template into text and tags, with transformers' whitespace rules. */

import { TemplateError } from "./values.ts";

/** A word, number, string or operator inside a tag. */
export interface Token {
  /** What the token is. */
  readonly kind: "name" | "string" | "integer" | "float" | "operator" | "end";
  /** Its text; for strings, the text they stand for. */
  readonly text: string;
  /** Line of the template, from 1. */
  readonly line: number;
}

/** A part of a template: plain text, `{{ … }}` or `{% … %}`. */
export type Part =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "print" | "block"; readonly tokens: readonly Token[]; readonly line: number };

const OPERATOR = /^(?:\/\/|\*\*|==|!=|<=|>=|[-+*/%~<>=.,:|()[\]{}])/;
const NAME = /^[\p{L}_][\p{L}\p{N}_]*/u;
const NUMBER = /^(?:0[xX][\da-fA-F_]+|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?)/;
const RAW_START = /^\{%[-+]?\s*raw\s*(-?)%\}/;
const RAW_END = /\{%([-+]?)\s*endraw\s*([-+]?)%\}/;

/**
 * Splits a template with `trim_blocks` and `lstrip_blocks` on: the newline after a block or comment
 * goes, and so do blanks before one at the start of a line; `-` strips all, `+` nothing.
 *
 * @throws {TemplateError} on an unclosed tag or a character that no token starts with
 */
export function splitTemplate(template: string): Part[] {
  const source = template.replace(/\r\n?/g, "\n").replace(/\n$/, "");
  const parts: Part[] = [];
  let position = 0;
  let stripNext: "all" | "newline" | "none" = "none";
  const lineAt = (index: number) => source.slice(0, index).split("\n").length;

  const pushText = (start: number, end: number, strip: "all" | "blanks" | "none") => {
    let text = source.slice(start, end);
    if (stripNext === "all") text = text.trimStart();
    else if (stripNext === "newline" && text.startsWith("\n")) text = text.slice(1);
    if (strip === "all") text = text.trimEnd();
    else if (strip === "blanks") {
      const lineStart = text.lastIndexOf("\n") + 1;
      const atLineStart = lineStart > 0 || start === 0 || source[start - 1] === "\n" ||
        (stripNext === "newline" && source[start] === "\n");
      if (atLineStart && /^[ \t]*$/.test(text.slice(lineStart))) text = text.slice(0, lineStart);
    }
    if (text !== "") parts.push({ kind: "text", text });
    stripNext = "none";
  };
  const stripBefore = (sign: string | undefined, isBlock: boolean) =>
    sign === "-" ? "all" : isBlock && sign !== "+" ? "blanks" : "none";

  while (position < source.length) {
    const offset = source.slice(position).search(/\{[{%#]/);
    if (offset < 0) {
      pushText(position, source.length, "none");
      break;
    }
    const open = position + offset;
    const type = source[open + 1]!;
    pushText(position, open, stripBefore(source[open + 2], type !== "{"));

    if (type === "#") {
      const close = source.indexOf("#}", open + 2);
      if (close < 0) throw new TemplateError(`Line ${lineAt(open)}: a comment is not closed.`);
      stripNext = source[close - 1] === "-"
        ? "all"
        : source[close - 1] === "+"
        ? "none"
        : "newline";
      position = close + 2;
      continue;
    }
    const raw = RAW_START.exec(source.slice(open));
    if (raw !== null) {
      const start = open + raw[0].length;
      const end = RAW_END.exec(source.slice(start));
      if (end === null) throw new TemplateError(`Line ${lineAt(open)}: {% raw %} is not closed.`);
      stripNext = raw[1] === "-" ? "all" : "none";
      pushText(start, start + end.index, stripBefore(end[1], true));
      stripNext = end[2] === "-" ? "all" : end[2] === "+" ? "none" : "newline";
      position = start + end.index + end[0].length;
      continue;
    }
    const isBlock = type === "%";
    const inside = readTag(source, open, isBlock ? "%}" : "}}", lineAt);
    parts.push({ kind: isBlock ? "block" : "print", tokens: inside.tokens, line: lineAt(open) });
    stripNext = inside.sign === "-" ? "all" : isBlock && inside.sign !== "+" ? "newline" : "none";
    position = inside.end;
  }
  return parts;
}

function readTag(
  source: string,
  open: number,
  close: string,
  lineAt: (index: number) => number,
): { tokens: Token[]; end: number; sign: string } {
  const tokens: Token[] = [];
  let depth = 0;
  let position = open + 2;
  if (/[-+]/.test(source[position] ?? "")) position++;
  while (position < source.length) {
    const character = source[position]!;
    if (/\s/.test(character)) {
      position++;
      continue;
    }
    if (depth === 0) {
      const sign = /[-+]/.test(character) ? character : "";
      if (source.startsWith(close, position + sign.length)) {
        return { tokens, end: position + sign.length + close.length, sign };
      }
    }
    const line = lineAt(position);
    if (character === "'" || character === '"') {
      const { text, end } = readString(source, position, line);
      tokens.push({ kind: "string", text, line });
      position = end;
      continue;
    }
    const rest = source.slice(position);
    const number = NUMBER.exec(rest)?.[0];
    // In `a.0.b` the dots are subscripts, not decimal points.
    const isSubscript = tokens.at(-1)?.text === "." && tokens.at(-1)?.kind === "operator";
    if (number !== undefined) {
      const digits = isSubscript ? /^\d+/.exec(number)![0] : number;
      const isFloat = !/^0[xX]/.test(digits) && /[.eE]/.test(digits);
      tokens.push({ kind: isFloat ? "float" : "integer", text: digits.replaceAll("_", ""), line });
      position += digits.length;
      continue;
    }
    const word = NAME.exec(rest)?.[0];
    const text = word ?? OPERATOR.exec(rest)?.[0];
    if (text === undefined) {
      throw new TemplateError(`Line ${line}: unexpected character ${JSON.stringify(character)}.`);
    }
    if (word === undefined) {
      if ("([{".includes(text)) depth++;
      if (")]}".includes(text)) depth--;
    }
    tokens.push({ kind: word === undefined ? "operator" : "name", text, line });
    position += text.length;
  }
  throw new TemplateError(`Line ${lineAt(open)}: a tag is not closed: ${close} is missing.`);
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  b: "\b",
  f: "\f",
  v: "\v",
  a: "\x07",
  "0": "\0",
  "\\": "\\",
  "'": "'",
  '"': '"',
  "\n": "",
};

function readString(source: string, open: number, line: number): { text: string; end: number } {
  const quote = source[open]!;
  let text = "";
  let position = open + 1;
  while (position < source.length) {
    const character = source[position]!;
    if (character === quote) return { text, end: position + 1 };
    if (character !== "\\") {
      text += character;
      position++;
      continue;
    }
    const code = /^\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8}))/.exec(
      source.slice(position, position + 10),
    );
    if (code !== null) {
      text += String.fromCodePoint(parseInt((code[1] ?? code[2] ?? code[3])!, 16));
      position += code[0].length;
      continue;
    }
    const next = source[position + 1] ?? "";
    text += ESCAPES[next] ?? `\\${next}`;
    position += 2;
  }
  throw new TemplateError(`Line ${line}: a string is not closed.`);
}
