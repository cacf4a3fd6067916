/** The tokens of a template, read one after the other. */

import { refuse } from "./errors.ts";
import type { Token, TokenKind } from "./lexer.ts";

/** How deep tags, brackets and operators may nest before reading them is given up. */
const DEEPEST = 200;

/** Reads tokens. */
export class TokenStream {
  #position = 0;
  #depth = 0;

  /** Takes the tokens; the last one is the end. */
  constructor(
    /** The tokens. */
    readonly tokens: readonly Token[],
  ) {}

  /** The next token. */
  get current(): Token {
    return this.tokens[this.#position]!;
  }

  /** The token after the next one. */
  get ahead(): Token {
    return this.tokens[Math.min(this.#position + 1, this.tokens.length - 1)]!;
  }

  /** Reads the next token. */
  next(): Token {
    const token = this.current;
    if (token.kind !== "end") this.#position++;
    return token;
  }

  /** Refuses what is next. */
  fail(message: string, line: number = this.current.line): never {
    return refuse(`Line ${line}: ${message}`);
  }

  /** Whether the next token is of this kind and, if given, has this text. */
  is(kind: TokenKind, text?: string): boolean {
    const { current } = this;
    return current.kind === kind && (text === undefined || current.text === text);
  }

  /** Whether the next token is this operator. */
  isOperator(operator: string): boolean {
    return this.is("operator", operator);
  }

  /** Whether the next token is one of these words. */
  isName(...names: string[]): boolean {
    return this.current.kind === "name" && names.includes(this.current.text);
  }

  /** Reads this operator, if it is next. */
  skip(operator: string): boolean {
    if (!this.isOperator(operator)) return false;
    this.next();
    return true;
  }

  /** Reads this word, if it is next. */
  skipName(name: string): boolean {
    if (!this.isName(name)) return false;
    this.next();
    return true;
  }

  /** Reads a token of this kind or refuses. */
  expect(kind: TokenKind, text?: string): Token {
    if (this.is(kind, text)) return this.next();
    const wanted = text === undefined ? NAMES[kind] ?? kind : JSON.stringify(text);
    return this.fail(`expected ${wanted}, found ${JSON.stringify(this.current.text)}`);
  }

  /** Runs `read` one level deeper. @throws {TemplateError} beyond the limit */
  nested<T>(read: () => T): T {
    if (this.#depth >= DEEPEST) {
      this.fail(`tags or brackets nest more than ${DEEPEST} deep, which is the limit`);
    }
    this.#depth++;
    try {
      return read();
    } finally {
      this.#depth--;
    }
  }
}

const NAMES: Partial<Record<TokenKind, string>> = {
  endBlock: "the end of the tag",
  endPrint: "the end of the tag",
  name: "a name",
};
