/** Reads the expressions inside one tag, with Jinja's own precedence of operators. */

import type { Token } from "./lexer.ts";
import type { Arguments, Expression, FilterUse, Parameter, Target } from "./syntax.ts";
import { Float, TemplateError, type Value } from "./values.ts";

/** Reads the tokens of one tag. */
export class TokenReader {
  #position = 0;

  /** Takes the tokens and the line of the tag. */
  constructor(
    /** The tokens of the tag. */
    readonly tokens: readonly Token[],
    /** Its line in the template, from 1. */
    readonly line: number,
  ) {}

  #peek(ahead = 0): Token {
    return this.tokens[this.#position + ahead] ??
      { kind: "end", text: "end of tag", line: this.line };
  }

  #fail(expected: string): never {
    const token = this.#peek();
    throw new TemplateError(
      `Line ${token.line}: expected ${expected}, found ${JSON.stringify(token.text)}.`,
    );
  }

  /** Whether all tokens are read. */
  atEnd(): boolean {
    return this.#peek().kind === "end";
  }

  /** Refuses tokens that are left over. */
  finish(): void {
    if (!this.atEnd()) this.#fail("the end of the tag");
  }

  /** Whether the next token is this operator. */
  peekIs(operator: string, ahead = 0): boolean {
    const token = this.#peek(ahead);
    return token.kind === "operator" && token.text === operator;
  }

  /** Reads this operator, if it is next. */
  skip(operator: string): boolean {
    if (!this.peekIs(operator)) return false;
    this.#position++;
    return true;
  }

  /** Reads this operator or refuses. */
  expect(operator: string): void {
    if (!this.skip(operator)) this.#fail(operator);
  }

  #peekName(name: string, ahead = 0): boolean {
    const token = this.#peek(ahead);
    return token.kind === "name" && token.text === name;
  }

  /** Reads this word, if it is next. */
  skipName(name: string): boolean {
    if (!this.#peekName(name)) return false;
    this.#position++;
    return true;
  }

  /** Reads this word or refuses. */
  expectName(name: string): void {
    if (!this.skipName(name)) this.#fail(name);
  }

  /** Reads a name. */
  name(): string {
    const token = this.#peek();
    if (token.kind !== "name") this.#fail("a name");
    this.#position++;
    return token.text;
  }

  /** Reads a name that may have dots. */
  dottedName(): string {
    let name = this.name();
    while (this.skip(".")) name += `.${this.name()}`;
    return name;
  }

  /** Reads what a `set` or `for` assigns to. */
  target(): Target {
    const items: Target[] = [];
    let isTuple = false;
    do {
      if (isTuple && (this.#peekName("in") || this.peekIs("=") || this.peekIs(")"))) break;
      if (this.skip("(")) {
        items.push(this.target());
        this.expect(")");
      } else {
        const name = this.name();
        items.push(
          this.skip(".")
            ? { type: "attribute", object: name, name: this.name() }
            : { type: "name", name },
        );
      }
      if (this.peekIs(",")) isTuple = true;
    } while (this.skip(","));
    return isTuple ? { type: "tuple", items } : items[0]!;
  }

  /** Reads the parameters of a macro. */
  parameters(): Parameter[] {
    const parameters: Parameter[] = [];
    this.expect("(");
    while (!this.peekIs(")")) {
      const name = this.name();
      parameters.push(this.skip("=") ? { name, fallback: this.expression() } : { name });
      if (!this.skip(",")) break;
    }
    this.expect(")");
    return parameters;
  }

  /** Reads the filters that follow. */
  filters(): FilterUse[] {
    const filters: FilterUse[] = [];
    while (this.skip("|")) {
      filters.push({ name: this.dottedName(), args: this.optionalArguments() });
    }
    return filters;
  }

  /** One expression, or several with commas between them, which make a tuple. */
  tuple(withCondition = true): Expression {
    const items: Expression[] = [];
    let isTuple = false;
    do {
      if (isTuple && (this.atEnd() || this.peekIs(")"))) break;
      items.push(withCondition ? this.expression() : this.#or());
      if (this.peekIs(",")) isTuple = true;
    } while (this.skip(","));
    return isTuple ? { type: "tuple", items } : items[0]!;
  }

  /** Reads one expression. */
  expression(): Expression {
    let value = this.#or();
    while (this.skipName("if")) {
      const test = this.#or();
      const base = { type: "condition", test, then: value } as const;
      value = this.skipName("else") ? { ...base, otherwise: this.expression() } : base;
    }
    return value;
  }

  #or(): Expression {
    let left = this.#and();
    while (this.skipName("or")) left = this.#binary("or", left, this.#and());
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.skipName("and")) left = this.#binary("and", left, this.#not());
    return left;
  }

  #not(): Expression {
    if (this.skipName("not")) return { type: "unary", operator: "not", operand: this.#not() };
    return this.#comparison();
  }

  #binary(operator: string, left: Expression, right: Expression): Expression {
    return { type: "binary", operator, left, right };
  }

  #comparison(): Expression {
    const first = this.#sum();
    const rest: { operator: string; value: Expression }[] = [];
    while (true) {
      const operator = ["==", "!=", "<=", ">=", "<", ">"].find((text) => this.skip(text));
      if (operator !== undefined) rest.push({ operator, value: this.#sum() });
      else if (this.skipName("in")) rest.push({ operator: "in", value: this.#sum() });
      else if (this.#peekName("not") && this.#peekName("in", 1)) {
        this.#position += 2;
        rest.push({ operator: "not in", value: this.#sum() });
      } else break;
    }
    return rest.length === 0 ? first : { type: "comparison", first, rest };
  }

  #sum(): Expression {
    let left = this.#concatenation();
    while (this.peekIs("+") || this.peekIs("-")) {
      const operator = this.tokens[this.#position++]!.text;
      left = this.#binary(operator, left, this.#concatenation());
    }
    return left;
  }

  #concatenation(): Expression {
    const items = [this.#product()];
    while (this.skip("~")) items.push(this.#product());
    return items.length === 1 ? items[0]! : { type: "concatenation", items };
  }

  #product(): Expression {
    let left = this.#power();
    while (["*", "/", "//", "%"].some((text) => this.peekIs(text))) {
      const operator = this.tokens[this.#position++]!.text;
      left = this.#binary(operator, left, this.#power());
    }
    return left;
  }

  #power(): Expression {
    let left = this.#unary();
    while (this.skip("**")) left = this.#binary("**", left, this.#unary());
    return left;
  }

  #unary(withFilters = true): Expression {
    let value: Expression;
    if (this.skip("-")) value = { type: "unary", operator: "-", operand: this.#unary(false) };
    else if (this.skip("+")) value = { type: "unary", operator: "+", operand: this.#unary(false) };
    else value = this.#primary();
    value = this.#postfix(value);
    return withFilters ? this.#filtersAndTests(value) : value;
  }

  #primary(): Expression {
    const token = this.#peek();
    this.#position++;
    const constant = (value: Value): Expression => ({ type: "constant", value });
    switch (token.kind) {
      case "name":
        if (/^[tT]rue$/.test(token.text)) return constant(true);
        if (/^[fF]alse$/.test(token.text)) return constant(false);
        if (/^[nN]one$/.test(token.text)) return constant(null);
        return { type: "name", name: token.text };
      case "string": {
        let text = token.text;
        while (this.#peek().kind === "string") text += this.tokens[this.#position++]!.text;
        return constant(text);
      }
      case "integer":
        return constant(Number(token.text));
      case "float": {
        const number = Number(token.text);
        return constant(Number.isInteger(number) ? new Float(number) : number);
      }
      case "operator":
        if (token.text === "(") {
          if (this.skip(")")) return { type: "tuple", items: [] };
          const inner = this.tuple();
          this.expect(")");
          return inner;
        }
        if (token.text === "[") {
          const items: Expression[] = [];
          while (!this.peekIs("]")) {
            items.push(this.expression());
            if (!this.skip(",")) break;
          }
          this.expect("]");
          return { type: "list", items };
        }
        if (token.text === "{") {
          const entries: [Expression, Expression][] = [];
          while (!this.peekIs("}")) {
            const key = this.expression();
            this.expect(":");
            entries.push([key, this.expression()]);
            if (!this.skip(",")) break;
          }
          this.expect("}");
          return { type: "dictionary", entries };
        }
    }
    this.#position--;
    return this.#fail("an expression");
  }

  #postfix(start: Expression): Expression {
    let value = start;
    while (true) {
      if (this.skip(".")) {
        const token = this.#peek();
        if (token.kind === "integer") {
          this.#position++;
          const index: Expression = { type: "constant", value: Number(token.text) };
          value = { type: "subscript", object: value, index };
        } else value = { type: "attribute", object: value, name: this.name() };
      } else if (this.skip("[")) value = this.#subscript(value);
      else if (this.peekIs("(")) value = { type: "call", callee: value, args: this.#arguments() };
      else return value;
    }
  }

  #subscript(object: Expression): Expression {
    const bound = () => this.peekIs(":") || this.peekIs("]") ? undefined : this.expression();
    const start = bound();
    if (this.skip("]")) {
      if (start === undefined) this.#fail("an index");
      return { type: "subscript", object, index: start };
    }
    this.expect(":");
    const stop = bound();
    const step = this.skip(":") ? bound() : undefined;
    this.expect("]");
    return {
      type: "slice",
      object,
      ...(start && { start }),
      ...(stop && { stop }),
      ...(step && { step }),
    };
  }

  #filtersAndTests(start: Expression): Expression {
    let value = start;
    while (true) {
      if (this.skip("|")) {
        const name = this.dottedName();
        value = { type: "filter", operand: value, name, args: this.optionalArguments() };
      } else if (this.skipName("is")) {
        const negated = this.skipName("not");
        const operator = ["==", "!=", "<=", ">=", "<", ">"].find((text) => this.skip(text));
        const name = operator ?? this.dottedName();
        value = { type: "test", operand: value, name, args: this.#testArguments(), negated };
      } else if (this.peekIs("(")) {
        value = { type: "call", callee: value, args: this.#arguments() };
      } else return value;
    }
  }

  #testArguments(): Arguments {
    if (this.peekIs("(")) return this.#arguments();
    const token = this.#peek();
    const starts = ["name", "string", "integer", "float"].includes(token.kind) ||
      this.peekIs("[") || this.peekIs("{");
    const isKeyword = ["else", "or", "and", "is", "if", "in", "not"].some((n) => this.#peekName(n));
    if (!starts || isKeyword) return { positional: [], keywords: [] };
    return {
      positional: [{ value: this.#postfix(this.#primary()), spread: false }],
      keywords: [],
    };
  }

  /** Reads arguments in parentheses, if they are next. */
  optionalArguments(): Arguments {
    return this.peekIs("(") ? this.#arguments() : { positional: [], keywords: [] };
  }

  #arguments(): Arguments {
    const positional: { value: Expression; spread: boolean }[] = [];
    const keywords: { name?: string; value: Expression }[] = [];
    this.expect("(");
    while (!this.peekIs(")")) {
      if (this.skip("**")) keywords.push({ value: this.expression() });
      else if (this.skip("*")) positional.push({ value: this.expression(), spread: true });
      else if (this.#peek().kind === "name" && this.peekIs("=", 1)) {
        const name = this.name();
        this.expect("=");
        keywords.push({ name, value: this.expression() });
      } else positional.push({ value: this.expression(), spread: false });
      if (!this.skip(",")) break;
    }
    this.expect(")");
    return { positional, keywords };
  }
}
