/** Parses Jinja templates, with Jinja's own precedence of operators. */

import { type Part, splitTemplate, type Token } from "./lexer.ts";
import { Float, TemplateError, type Value } from "./values.ts";

/** Arguments of a call, filter or test. */
export interface Arguments {
  /** Positional arguments; `*list` ones are spread. */
  readonly positional: readonly { readonly value: Expression; readonly spread: boolean }[];
  /** Keyword arguments; those without a name are `**dictionaries`. */
  readonly keywords: readonly { readonly name?: string; readonly value: Expression }[];
}

/** An expression. */
export type Expression =
  | { readonly type: "constant"; readonly value: Value }
  | { readonly type: "name"; readonly name: string }
  | { readonly type: "list" | "tuple"; readonly items: readonly Expression[] }
  | {
    readonly type: "dictionary";
    readonly entries: readonly (readonly [Expression, Expression])[];
  }
  | { readonly type: "unary"; readonly operator: "-" | "+" | "not"; readonly operand: Expression }
  | {
    readonly type: "binary";
    readonly operator: string;
    readonly left: Expression;
    readonly right: Expression;
  }
  | { readonly type: "concatenation"; readonly items: readonly Expression[] }
  | {
    readonly type: "comparison";
    readonly first: Expression;
    readonly rest: readonly { readonly operator: string; readonly value: Expression }[];
  }
  | {
    readonly type: "condition";
    readonly test: Expression;
    readonly then: Expression;
    readonly otherwise?: Expression;
  }
  | { readonly type: "attribute"; readonly object: Expression; readonly name: string }
  | { readonly type: "subscript"; readonly object: Expression; readonly index: Expression }
  | {
    readonly type: "slice";
    readonly object: Expression;
    readonly start?: Expression;
    readonly stop?: Expression;
    readonly step?: Expression;
  }
  | { readonly type: "call"; readonly callee: Expression; readonly args: Arguments }
  | {
    readonly type: "filter";
    readonly operand: Expression;
    readonly name: string;
    readonly args: Arguments;
  }
  | {
    readonly type: "test";
    readonly operand: Expression;
    readonly name: string;
    readonly args: Arguments;
    readonly negated: boolean;
  };

/** What a `set` or a `for` assigns to. */
export type Target =
  | { readonly type: "name"; readonly name: string }
  | { readonly type: "attribute"; readonly object: string; readonly name: string }
  | { readonly type: "tuple"; readonly items: readonly Target[] };

/** A parameter of a macro or call block. */
export interface Parameter {
  /** Its name. */
  readonly name: string;
  /** Its default, if any. */
  readonly fallback?: Expression;
}

/** A filter with its arguments, as blocks apply them. */
export interface FilterUse {
  /** The filter's name. */
  readonly name: string;
  /** Its arguments. */
  readonly args: Arguments;
}

/** A statement. */
export type Statement =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "print"; readonly value: Expression }
  | {
    readonly type: "if";
    readonly branches: readonly {
      readonly test: Expression;
      readonly body: readonly Statement[];
    }[];
    readonly otherwise: readonly Statement[];
  }
  | {
    readonly type: "for";
    readonly target: Target;
    readonly items: Expression;
    readonly filter?: Expression;
    readonly recursive: boolean;
    readonly body: readonly Statement[];
    readonly otherwise: readonly Statement[];
  }
  | { readonly type: "set"; readonly target: Target; readonly value: Expression }
  | {
    readonly type: "setBlock";
    readonly target: Target;
    readonly filters: readonly FilterUse[];
    readonly body: readonly Statement[];
  }
  | {
    readonly type: "macro";
    readonly name: string;
    readonly parameters: readonly Parameter[];
    readonly body: readonly Statement[];
  }
  | {
    readonly type: "callBlock";
    readonly parameters: readonly Parameter[];
    readonly call: Expression;
    readonly body: readonly Statement[];
  }
  | {
    readonly type: "filterBlock";
    readonly filters: readonly FilterUse[];
    readonly body: readonly Statement[];
  }
  | {
    readonly type: "with";
    readonly assignments: readonly { readonly name: string; readonly value: Expression }[];
    readonly body: readonly Statement[];
  }
  | { readonly type: "generation"; readonly body: readonly Statement[] }
  | { readonly type: "break" | "continue" };

/**
 * Parses a template.
 *
 * @throws {TemplateError} with the line, on anything that is not Jinja or not supported
 */
export function parseTemplate(template: string): readonly Statement[] {
  const parts = splitTemplate(template);
  const state = { parts, index: 0 };
  return parseBody(state, []).body;
}

interface State {
  readonly parts: readonly Part[];
  index: number;
}

function parseBody(
  state: State,
  ends: readonly string[],
): { body: Statement[]; end: string; tokens: TokenReader } {
  const body: Statement[] = [];
  while (state.index < state.parts.length) {
    const part = state.parts[state.index++]!;
    if (part.kind === "text") {
      body.push({ type: "text", text: part.text });
      continue;
    }
    const reader = new TokenReader(part.tokens, part.line);
    if (part.kind === "print") {
      const value = reader.tuple();
      reader.finish();
      body.push({ type: "print", value });
      continue;
    }
    const keyword = reader.name();
    if (ends.includes(keyword)) return { body, end: keyword, tokens: reader };
    body.push(parseStatement(state, keyword, reader));
  }
  if (ends.length > 0) {
    throw new TemplateError(`The template ends, but {% ${ends.at(-1)} %} was expected.`);
  }
  return { body, end: "", tokens: new TokenReader([], 0) };
}

function parseStatement(state: State, keyword: string, reader: TokenReader): Statement {
  const until = (end: string) => {
    reader.finish();
    const inner = parseBody(state, [end]);
    // `endmacro name` may repeat the name.
    if (end !== "endmacro") inner.tokens.finish();
    return inner.body;
  };
  switch (keyword) {
    case "if": {
      const branches: { test: Expression; body: Statement[] }[] = [];
      let test = reader.tuple();
      reader.finish();
      while (true) {
        const inner = parseBody(state, ["elif", "else", "endif"]);
        branches.push({ test, body: inner.body });
        if (inner.end === "elif") {
          test = inner.tokens.tuple();
          inner.tokens.finish();
          continue;
        }
        inner.tokens.finish();
        const otherwise = inner.end === "else" ? parseBody(state, ["endif"]).body : [];
        return { type: "if", branches, otherwise };
      }
    }
    case "for": {
      const target = reader.target();
      reader.expectName("in");
      const items = reader.tuple(false);
      const filter = reader.skipName("if") ? reader.expression() : undefined;
      const recursive = reader.skipName("recursive");
      reader.finish();
      const inner = parseBody(state, ["else", "endfor"]);
      const otherwise = inner.end === "else" ? parseBody(state, ["endfor"]).body : [];
      const base = { type: "for", target, items, recursive, body: inner.body, otherwise } as const;
      return filter === undefined ? base : { ...base, filter };
    }
    case "set": {
      const target = reader.target();
      if (reader.skip("=")) {
        const value = reader.tuple();
        reader.finish();
        return { type: "set", target, value };
      }
      const filters = reader.filters();
      return { type: "setBlock", target, filters, body: until("endset") };
    }
    case "macro": {
      const name = reader.name();
      const parameters = reader.parameters();
      return { type: "macro", name, parameters, body: until("endmacro") };
    }
    case "call": {
      const parameters = reader.peekIs("(") ? reader.parameters() : [];
      const call = reader.expression();
      return { type: "callBlock", parameters, call, body: until("endcall") };
    }
    case "filter": {
      const first = { name: reader.dottedName(), args: reader.optionalArguments() };
      const filters = [first, ...reader.filters()];
      return { type: "filterBlock", filters, body: until("endfilter") };
    }
    case "with": {
      const assignments: { name: string; value: Expression }[] = [];
      while (!reader.atEnd()) {
        const name = reader.name();
        reader.expect("=");
        assignments.push({ name, value: reader.expression() });
        if (!reader.skip(",")) break;
      }
      return { type: "with", assignments, body: until("endwith") };
    }
    case "generation":
      return { type: "generation", body: until("endgeneration") };
    case "break":
    case "continue":
      reader.finish();
      return { type: keyword };
    default:
      throw new TemplateError(
        `Line ${reader.line}: {% ${keyword} %} is not supported or not expected here.`,
      );
  }
}

/** Reads the tokens of one tag. */
class TokenReader {
  #position = 0;

  constructor(readonly tokens: readonly Token[], readonly line: number) {}

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

  atEnd(): boolean {
    return this.#peek().kind === "end";
  }

  finish(): void {
    if (!this.atEnd()) this.#fail("the end of the tag");
  }

  peekIs(operator: string, ahead = 0): boolean {
    const token = this.#peek(ahead);
    return token.kind === "operator" && token.text === operator;
  }

  skip(operator: string): boolean {
    if (!this.peekIs(operator)) return false;
    this.#position++;
    return true;
  }

  expect(operator: string): void {
    if (!this.skip(operator)) this.#fail(operator);
  }

  #peekName(name: string, ahead = 0): boolean {
    const token = this.#peek(ahead);
    return token.kind === "name" && token.text === name;
  }

  skipName(name: string): boolean {
    if (!this.#peekName(name)) return false;
    this.#position++;
    return true;
  }

  expectName(name: string): void {
    if (!this.skipName(name)) this.#fail(name);
  }

  name(): string {
    const token = this.#peek();
    if (token.kind !== "name") this.#fail("a name");
    this.#position++;
    return token.text;
  }

  dottedName(): string {
    let name = this.name();
    while (this.skip(".")) name += `.${this.name()}`;
    return name;
  }

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
