/** Reads expressions, with Jinja's own precedence of operators. */

import type { Token } from "./lexer.ts";
import type { Arguments, Expression, FilterUse, Target } from "./syntax.ts";
import type { TokenStream } from "./token_stream.ts";
import type { Value } from "./values.ts";

const COMPARISONS = ["==", "!=", "<=", ">=", "<", ">"];
const NO_ARGUMENTS: Arguments = { positional: [], keywords: [] };
const CONSTANTS: ReadonlyMap<string, Value> = new Map<string, Value>([
  ["true", true],
  ["True", true],
  ["false", false],
  ["False", false],
  ["none", null],
  ["None", null],
]);

/** Reads expressions from a stream of tokens. */
export class ExpressionParser {
  /** Takes the tokens. */
  constructor(
    /** The tokens. */
    readonly stream: TokenStream,
  ) {}

  /** One expression, or several with commas between them, which make a tuple. */
  tuple(options: { condition?: boolean; end?: string; parentheses?: boolean } = {}): Expression {
    const { condition = true, end, parentheses = false } = options;
    return this.#tuple(() => condition ? this.expression() : this.#or(), end, parentheses);
  }

  #tuple(read: () => Expression, end: string | undefined, parentheses: boolean): Expression {
    const { stream } = this;
    const items: Expression[] = [];
    let isTuple = false;
    while (true) {
      if (items.length > 0) stream.expect("operator", ",");
      const ends = stream.is("endPrint") || stream.is("endBlock") || stream.isOperator(")");
      if (ends || (end !== undefined && stream.isName(end))) break;
      items.push(read());
      if (!stream.isOperator(",")) break;
      isTuple = true;
    }
    if (!isTuple && items.length === 1) return items[0]!;
    if (!isTuple && !parentheses) {
      stream.fail(`expected an expression, found ${JSON.stringify(stream.current.text)}`);
    }
    return { type: "tuple", items };
  }

  /** What a `for`, `set` or `with` assigns to; only `set` may assign to attributes. */
  target(options: { end?: string; attributes?: boolean } = {}): Target {
    const { end, attributes = false } = options;
    const { line } = this.stream.current;
    return this.#asTarget(this.#tuple(() => this.#primary(attributes), end, false), line);
  }

  #asTarget(expression: Expression, line: number): Target {
    switch (expression.type) {
      case "name":
        return { type: "name", name: expression.name };
      case "attribute":
        if (expression.object.type !== "name" || !this.#assigned.has(expression)) break;
        return { type: "attribute", object: expression.object.name, name: expression.name };
      case "tuple":
        return { type: "tuple", items: expression.items.map((i) => this.#asTarget(i, line)) };
    }
    return this.stream.fail(`cannot assign to a ${expression.type}`, line);
  }

  /** Attributes that were read as what is assigned to (`ns.x`). */
  readonly #assigned = new WeakSet<Expression>();

  /** A name that is assigned to. */
  name(): string {
    const { text } = this.stream.expect("name");
    return CONSTANTS.has(text) ? this.stream.fail(`cannot assign to ${text}`) : text;
  }

  /** The filters that follow. */
  filters(): FilterUse[] {
    const filters: FilterUse[] = [];
    while (this.stream.skip("|")) filters.push(this.filterUse());
    return filters;
  }

  /** A filter with its arguments, if it has some. */
  filterUse(): FilterUse {
    const name = this.#dottedName();
    return { name, args: this.stream.isOperator("(") ? this.#arguments() : NO_ARGUMENTS };
  }

  #dottedName(): string {
    let name = this.stream.expect("name").text;
    while (this.stream.skip(".")) name += `.${this.stream.expect("name").text}`;
    return name;
  }

  /** Reads one expression. */
  expression(): Expression {
    return this.stream.nested(() => this.#condition());
  }

  #condition(): Expression {
    let value = this.#or();
    while (this.stream.skipName("if")) {
      const test = this.#or();
      const base = { type: "condition", test, then: value } as const;
      value = this.stream.skipName("else") ? { ...base, otherwise: this.expression() } : base;
    }
    return value;
  }

  #or(): Expression {
    let left = this.#and();
    while (this.stream.skipName("or")) left = binary("or", left, this.#and());
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.stream.skipName("and")) left = binary("and", left, this.#not());
    return left;
  }

  #not(): Expression {
    if (!this.stream.skipName("not")) return this.#comparison();
    const operand = this.stream.nested(() => this.#not());
    return { type: "unary", operator: "not", operand };
  }

  #comparison(): Expression {
    const { stream } = this;
    const first = this.#sum();
    const rest: { operator: string; value: Expression }[] = [];
    while (true) {
      const { ahead } = stream;
      if (stream.is("operator") && COMPARISONS.includes(stream.current.text)) {
        rest.push({ operator: stream.next().text, value: this.#sum() });
      } else if (stream.skipName("in")) rest.push({ operator: "in", value: this.#sum() });
      else if (stream.isName("not") && ahead.kind === "name" && ahead.text === "in") {
        stream.next();
        stream.next();
        rest.push({ operator: "not in", value: this.#sum() });
      } else break;
    }
    return rest.length === 0 ? first : { type: "comparison", first, rest };
  }

  #operators(operators: readonly string[], read: () => Expression): Expression {
    let left = read();
    while (this.stream.is("operator") && operators.includes(this.stream.current.text)) {
      left = binary(this.stream.next().text, left, read());
    }
    return left;
  }

  #sum(): Expression {
    return this.#operators(["+", "-"], () => this.#concatenation());
  }

  #concatenation(): Expression {
    const items = [this.#product()];
    while (this.stream.skip("~")) items.push(this.#product());
    return items.length === 1 ? items[0]! : { type: "concatenation", items };
  }

  #product(): Expression {
    return this.#operators(["*", "/", "//", "%"], () => this.#power());
  }

  #power(): Expression {
    return this.#operators(["**"], () => this.#unary());
  }

  #unary(withFilters = true): Expression {
    let value: Expression;
    if (this.stream.isOperator("-") || this.stream.isOperator("+")) {
      const operator = this.stream.next().text as "-" | "+";
      const operand = this.stream.nested(() => this.#unary(false));
      value = { type: "unary", operator, operand };
    } else value = this.#primary();
    value = this.#postfix(value);
    return withFilters ? this.#filtersAndTests(value) : value;
  }

  #primary(withAttributes = false): Expression {
    const { stream } = this;
    const token = stream.current;
    switch (token.kind) {
      case "name":
        stream.next();
        return this.#named(token, withAttributes);
      case "string": {
        let text = "";
        while (stream.is("string")) text += stream.next().text;
        return { type: "constant", value: text };
      }
      case "integer":
      case "float":
        stream.next();
        return { type: "constant", value: token.value! };
      case "operator":
        if (stream.skip("(")) {
          const inner = stream.nested(() => this.tuple({ parentheses: true }));
          stream.expect("operator", ")");
          return inner;
        }
        if (stream.skip("[")) return { type: "list", items: this.#list() };
        if (stream.skip("{")) return { type: "dictionary", entries: this.#entries() };
    }
    return stream.fail(`unexpected ${JSON.stringify(token.text)}`);
  }

  #named({ text }: Token, withAttributes: boolean): Expression {
    const constant = CONSTANTS.get(text);
    if (constant !== undefined) return { type: "constant", value: constant };
    const name: Expression = { type: "name", name: text };
    if (!withAttributes || !this.stream.skip(".")) return name;
    const attribute: Expression = {
      type: "attribute",
      object: name,
      name: this.stream.expect("name").text,
    };
    this.#assigned.add(attribute);
    return attribute;
  }

  #list(): Expression[] {
    const items: Expression[] = [];
    while (!this.stream.skip("]")) {
      if (items.length > 0) {
        this.stream.expect("operator", ",");
        if (this.stream.skip("]")) break;
      }
      items.push(this.expression());
    }
    return items;
  }

  #entries(): [Expression, Expression][] {
    const entries: [Expression, Expression][] = [];
    while (!this.stream.skip("}")) {
      if (entries.length > 0) {
        this.stream.expect("operator", ",");
        if (this.stream.skip("}")) break;
      }
      const key = this.expression();
      this.stream.expect("operator", ":");
      entries.push([key, this.expression()]);
    }
    return entries;
  }

  #postfix(start: Expression): Expression {
    let value = start;
    while (true) {
      if (this.stream.skip(".")) value = this.#dotted(value);
      else if (this.stream.skip("[")) value = this.#subscript(value);
      else if (this.stream.isOperator("(")) value = this.#call(value);
      else return value;
    }
  }

  #dotted(object: Expression): Expression {
    const token = this.stream.next();
    if (token.kind === "name") return { type: "attribute", object, name: token.text };
    if (token.kind !== "integer") this.stream.fail("expected name or number", token.line);
    return { type: "subscript", object, index: { type: "constant", value: token.value! } };
  }

  #call(callee: Expression): Expression {
    return { type: "call", callee, args: this.#arguments() };
  }

  #subscript(object: Expression): Expression {
    const { stream } = this;
    if (stream.isOperator("]")) return this.#manySubscripts(object, []);
    const bound = () =>
      [":", "]", ","].some((mark) => stream.isOperator(mark)) ? undefined : this.expression();
    const start = bound();
    if (!stream.skip(":")) return this.#manySubscripts(object, [start!]);
    const stop = bound();
    const step = stream.skip(":") ? bound() : undefined;
    if (stream.isOperator(",")) stream.fail("several subscripts with slices are not supported");
    stream.expect("operator", "]");
    return {
      type: "slice",
      object,
      ...(start && { start }),
      ...(stop && { stop }),
      ...(step && { step }),
    };
  }

  #manySubscripts(object: Expression, first: Expression[]): Expression {
    const items = [...first];
    while (!this.stream.skip("]")) {
      this.stream.expect("operator", ",");
      if (this.stream.isOperator(":")) {
        this.stream.fail("several subscripts with slices are not supported");
      }
      items.push(this.expression());
    }
    const index: Expression = items.length === 1 ? items[0]! : { type: "tuple", items };
    return { type: "subscript", object, index };
  }

  #filtersAndTests(start: Expression): Expression {
    let value = start;
    while (true) {
      if (this.stream.skip("|")) value = { type: "filter", operand: value, ...this.filterUse() };
      else if (this.stream.skipName("is")) value = this.#test(value);
      else if (this.stream.isOperator("(")) value = this.#call(value);
      else return value;
    }
  }

  #test(operand: Expression): Expression {
    const negated = this.stream.skipName("not");
    const name = this.#dottedName();
    return { type: "test", operand, name, args: this.#testArguments(), negated };
  }

  #testArguments(): Arguments {
    const { stream } = this;
    if (stream.isOperator("(")) return this.#arguments();
    const starts = ["name", "string", "integer", "float"].includes(stream.current.kind) ||
      stream.isOperator("[") || stream.isOperator("{");
    if (!starts || stream.isName("else", "or", "and")) return NO_ARGUMENTS;
    if (stream.isName("is")) stream.fail("You cannot chain multiple tests with is");
    return { positional: [this.#postfix(this.#primary())], keywords: [] };
  }

  #arguments(): Arguments {
    const { stream } = this;
    const positional: Expression[] = [];
    const keywords: { name: string; value: Expression }[] = [];
    let list: Expression | undefined;
    let dictionary: Expression | undefined;
    const ensure = (holds: boolean) => {
      if (!holds) stream.fail("invalid syntax for function call expression");
    };
    stream.expect("operator", "(");
    for (let first = true; !stream.isOperator(")"); first = false) {
      if (!first) {
        stream.expect("operator", ",");
        if (stream.isOperator(")")) break;
      }
      if (stream.skip("*")) {
        ensure(list === undefined && dictionary === undefined);
        list = this.expression();
      } else if (stream.skip("**")) {
        ensure(dictionary === undefined);
        dictionary = this.expression();
      } else if (
        stream.is("name") && stream.ahead.kind === "operator" && stream.ahead.text === "="
      ) {
        ensure(dictionary === undefined);
        const name = stream.next().text;
        stream.next();
        ensure(!keywords.some((keyword) => keyword.name === name));
        keywords.push({ name, value: this.expression() });
      } else {
        ensure(list === undefined && dictionary === undefined && keywords.length === 0);
        positional.push(this.expression());
      }
    }
    stream.expect("operator", ")");
    return {
      positional,
      keywords,
      ...(list && { list }),
      ...(dictionary && { dictionary }),
    };
  }
}

function binary(operator: string, left: Expression, right: Expression): Expression {
  return { type: "binary", operator, left, right };
}
