/** Cuts a Jinja template into text and tokens, with transformers' whitespace rules. */

import { refuse } from "./errors.ts";
import { float, parseInteger } from "./numbers.ts";
import { BLANKS, KINDS, trimEnd } from "./unicode.ts";
import { readString } from "./literals.ts";
import type { Value } from "./values.ts";

/** What a token is; operators and words are their own kind by their text. */
export type TokenKind =
  | "text"
  | "print"
  | "endPrint"
  | "block"
  | "endBlock"
  | "name"
  | "string"
  | "integer"
  | "float"
  | "operator"
  | "end";

/** A word, number, string or operator inside a tag, a tag's start or end, or text between tags. */
export interface Token {
  /** What the token is. */
  readonly kind: TokenKind;
  /** Its text; for strings and text between tags, the text they stand for. */
  readonly text: string;
  /** The number it stands for, if it is one. */
  readonly value?: Value;
  /** Line of the template, from 1. */
  readonly line: number;
}

const BLANK = new RegExp(`[${BLANKS}]+`, "y");
const FLOAT = /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/yi;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/yi;
const NAME = /[\p{L}\p{N}\p{M}\p{Pc}\xb7\u0387]+/yu;
const STRING = /'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*"/ys;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y;
const TAG_START = /\{(?:%[-+]?|\{[-+]?|#[-+]?)/g;
const RAW_START = new RegExp(`\\{%[-+]?[${BLANKS}]*raw[${BLANKS}]*(?:-%\\}[${BLANKS}]*|%\\})`, "y");
const RAW_END = new RegExp(
  `\\{%([-+]?)[${BLANKS}]*endraw[${BLANKS}]*(?:\\+%\\}|-%\\}[${BLANKS}]*|%\\}\\n?)`,
  "g",
);
const COMMENT_END = new RegExp(`\\+#\\}|-#\\}[${BLANKS}]*|#\\}\\n?`, "g");
const BLOCK_END = new RegExp(`\\+%\\}|-%\\}[${BLANKS}]*|%\\}\\n?`, "y");
const PRINT_END = new RegExp(`-\\}\\}[${BLANKS}]*|\\}\\}`, "y");
const CLOSING: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

/**
 * The tokens of a template, with `trim_blocks` and `lstrip_blocks` on: the newline after a block or
 * comment goes, and so do blanks before one at the start of a line; `-` strips all, `+` nothing.
 *
 * @throws {TemplateError} on an unclosed tag or a character that no token starts with
 */
export function tokenize(template: string): Token[] {
  return new Lexer(template.replace(/\r\n?/g, "\n").replace(/\n$/, "")).run();
}

class Lexer {
  readonly #tokens: Token[] = [];
  #position = 0;
  #line = 1;
  /** Where the lines up to `#line` were counted. */
  #counted = 0;
  /** Whether what was read last ended with a newline. */
  #lineStarting = true;

  constructor(readonly source: string) {}

  run(): Token[] {
    const { source } = this;
    while (this.#position < source.length) {
      TAG_START.lastIndex = this.#position;
      const tag = TAG_START.exec(source);
      if (tag === null) {
        this.#text(source.slice(this.#position), "", false);
        this.#position = source.length;
        break;
      }
      const open = tag.index;
      const sign = tag[0].slice(2);
      this.#text(source.slice(this.#position, open), sign, tag[0][1] !== "{");
      this.#position = open;
      const raw = this.#match(RAW_START);
      if (raw !== undefined) this.#raw(open, raw);
      else if (tag[0][1] === "#") this.#comment(open, tag[0]);
      else this.#tag(tag[0]);
    }
    return [...this.#tokens, { kind: "end", text: "end of template", line: this.#lineAt() }];
  }

  #lineAt(): number {
    for (let i = this.#counted; i < this.#position; i++) if (this.source[i] === "\n") this.#line++;
    this.#counted = this.#position;
    return this.#line;
  }

  #fail(message: string): never {
    return refuse(`Line ${this.#lineAt()}: ${message}`);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#position;
    return pattern.exec(this.source)?.[0];
  }

  #advance(text: string): void {
    this.#position += text.length;
    this.#lineStarting = text.endsWith("\n");
  }

  #text(text: string, sign: string, isBlock: boolean): void {
    let kept = text;
    if (sign === "-") kept = trimEnd(text);
    else if (sign !== "+" && isBlock) {
      const lineStart = text.lastIndexOf("\n") + 1;
      const line = text.slice(lineStart);
      if ((lineStart > 0 || this.#lineStarting) && KINDS.isspace(line)) {
        kept = text.slice(0, lineStart);
      }
    }
    if (kept !== "") this.#tokens.push({ kind: "text", text: kept, line: this.#lineAt() });
  }

  #comment(open: number, start: string): void {
    COMMENT_END.lastIndex = open + start.length;
    const end = COMMENT_END.exec(this.source);
    if (end === null) this.#fail("a comment is not closed: #} is missing");
    this.#advance(this.source.slice(open, end!.index + end![0].length));
  }

  #raw(open: number, start: string): void {
    this.#advance(start);
    RAW_END.lastIndex = open + start.length;
    const end = RAW_END.exec(this.source);
    if (end === null) this.#fail("{% raw %} is not closed: {% endraw %} is missing");
    this.#text(this.source.slice(this.#position, end!.index), end![1]!, true);
    this.#position = end!.index;
    this.#advance(end![0]);
  }

  #tag(start: string): void {
    const isBlock = start[1] === "%";
    const line = this.#lineAt();
    this.#tokens.push({ kind: isBlock ? "block" : "print", text: start, line });
    this.#advance(start);
    const open: string[] = [];
    while (true) {
      const end = open.length === 0 ? this.#match(isBlock ? BLOCK_END : PRINT_END) : undefined;
      if (end !== undefined) {
        const kind = isBlock ? "endBlock" : "endPrint";
        this.#tokens.push({ kind, text: `end of the tag`, line: this.#lineAt() });
        return this.#advance(end);
      }
      if (this.#position >= this.source.length) {
        this.#fail(`a tag is not closed: ${isBlock ? "%}" : "}}"} is missing`);
      }
      const blank = this.#match(BLANK);
      if (blank !== undefined) this.#advance(blank);
      else this.#token(open);
    }
  }

  /** Reads one token of a tag; `open` holds the brackets that are to be closed. */
  #token(open: string[]): void {
    const line = this.#lineAt();
    const push = (kind: TokenKind, source: string, text = source, value?: Value) => {
      this.#tokens.push(value === undefined ? { kind, text, line } : { kind, text, value, line });
      this.#advance(source);
    };
    const number = this.#match(FLOAT);
    if (number !== undefined) {
      return push("float", number, number, float(Number(number.replaceAll("_", ""))));
    }
    const whole = this.#match(INTEGER);
    if (whole !== undefined) {
      const value = parseInteger(whole.replaceAll("_", ""), 0) ??
        this.#fail("an integer literal of more than 4300 digits");
      return push("integer", whole, whole, value);
    }
    const name = this.#match(NAME);
    if (name !== undefined) {
      if (!KINDS.isidentifier(name)) this.#fail("Invalid character in identifier");
      return push("name", name);
    }
    const string = this.#match(STRING);
    if (string !== undefined) {
      return push("string", string, readString(string.slice(1, -1), line));
    }
    const operator = this.#match(OPERATOR);
    if (operator === undefined) {
      this.#fail(`unexpected character ${JSON.stringify(this.source[this.#position])}`);
    }
    const closing = CLOSING[operator!];
    if (closing !== undefined) open.push(closing);
    if (")]}".includes(operator!) && open.pop() !== operator) {
      this.#fail(`unexpected '${operator}'`);
    }
    push("operator", operator!);
  }
}
