/** Parses Jinja templates into statements. */

import { ExpressionParser } from "./expression_parser.ts";
import { tokenize } from "./lexer.ts";
import type { Expression, Parameter, Statement } from "./syntax.ts";
import { TokenStream } from "./token_stream.ts";

/**
 * Parses a template.
 *
 * @throws {TemplateError} with the line, on anything that is not Jinja or not supported
 */
export function parseTemplate(template: string): readonly Statement[] {
  return new Parser(new TokenStream(tokenize(template))).body([]);
}

class Parser {
  readonly #expressions: ExpressionParser;
  readonly #blocks = new Set<string>();

  constructor(readonly stream: TokenStream) {
    this.#expressions = new ExpressionParser(stream);
  }

  /** Statements up to one of these words, which is not read; up to the end if there are none. */
  body(ends: readonly string[]): Statement[] {
    const { stream } = this;
    const statements: Statement[] = [];
    while (!stream.is("end")) {
      const token = stream.next();
      if (token.kind === "text") statements.push({ type: "text", text: token.text });
      else if (token.kind === "print") {
        statements.push({ type: "print", values: [this.#expressions.tuple()] });
        stream.expect("endPrint");
      } else {
        if (stream.isName(...ends)) return statements;
        statements.push(stream.nested(() => this.#statement()));
        stream.expect("endBlock");
      }
    }
    if (ends.length > 0) {
      stream.fail(`the template ends, but {% ${ends.at(-1)} %} was expected`);
    }
    return statements;
  }

  /** The body of a tag up to its end, which is read. */
  #until(end: string): Statement[] {
    const body = this.#upTo([end]);
    this.stream.next();
    return body;
  }

  #upTo(ends: readonly string[]): Statement[] {
    this.stream.skip(":");
    this.stream.expect("endBlock");
    return this.body(ends);
  }

  #statement(): Statement {
    const { stream } = this;
    const { text: keyword, line } = stream.expect("name");
    switch (keyword) {
      case "if":
        return this.#if();
      case "for":
        return this.#for();
      case "set":
        return this.#set();
      case "macro": {
        const name = this.#expressions.name();
        const parameters = this.#parameters();
        return { type: "macro", name, parameters, body: this.#until("endmacro") };
      }
      case "call": {
        const parameters = stream.isOperator("(") ? this.#parameters() : [];
        const call = this.#expressions.expression();
        if (call.type !== "call") return stream.fail("{% call %} needs a call", line);
        return { type: "callBlock", parameters, call, body: this.#until("endcall") };
      }
      case "filter": {
        const filters = [this.#expressions.filterUse(), ...this.#expressions.filters()];
        return { type: "filterBlock", filters, body: this.#until("endfilter") };
      }
      case "with":
        return this.#with();
      case "autoescape": {
        const value = this.#expressions.expression();
        return { type: "autoescape", value, body: this.#until("endautoescape") };
      }
      case "block":
        return this.#block();
      case "print":
        return this.#print();
      case "generation":
        return { type: "generation", body: this.#until("endgeneration") };
      case "break":
      case "continue":
        return { type: keyword };
      case "include":
      case "import":
      case "from":
      case "extends":
        while (!stream.is("endBlock") && !stream.is("end")) stream.next();
        return {
          type: "refused",
          message: `{% ${keyword} %} takes another template, and a chat template stands alone`,
        };
      default:
        return stream.fail(`{% ${keyword} %} is not known or not expected here`, line);
    }
  }

  #if(): Statement {
    const branches: { test: Expression; body: Statement[] }[] = [];
    while (true) {
      const test = this.#expressions.tuple({ condition: false });
      branches.push({ test, body: this.#upTo(["elif", "else", "endif"]) });
      const { text } = this.stream.next();
      if (text === "elif") continue;
      const otherwise = text === "else" ? this.#until("endif") : [];
      return { type: "if", branches, otherwise };
    }
  }

  #for(): Statement {
    const { stream } = this;
    const target = this.#expressions.target({ end: "in" });
    stream.expect("name", "in");
    const items = this.#expressions.tuple({ condition: false, end: "recursive" });
    const filter = stream.skipName("if") ? this.#expressions.expression() : undefined;
    const recursive = stream.skipName("recursive");
    const body = this.#upTo(["else", "endfor"]);
    const otherwise = stream.next().text === "else" ? this.#until("endfor") : [];
    const base = { type: "for", target, items, recursive, body, otherwise } as const;
    return filter === undefined ? base : { ...base, filter };
  }

  #set(): Statement {
    const target = this.#expressions.target({ attributes: true });
    if (this.stream.skip("=")) return { type: "set", target, value: this.#expressions.tuple() };
    const filters = this.#expressions.filters();
    return { type: "setBlock", target, filters, body: this.#until("endset") };
  }

  #with(): Statement {
    const assignments = [];
    while (!this.stream.is("endBlock")) {
      if (this.stream.is("end") || assignments.length > 0) this.stream.expect("operator", ",");
      const target = this.#expressions.target();
      this.stream.expect("operator", "=");
      assignments.push({ target, value: this.#expressions.expression() });
    }
    return { type: "with", assignments, body: this.#until("endwith") };
  }

  #block(): Statement {
    const { stream } = this;
    const { text: name, line } = stream.expect("name");
    if (this.#blocks.has(name)) stream.fail(`block '${name}' defined twice`, line);
    this.#blocks.add(name);
    const scoped = stream.skipName("scoped");
    const required = stream.skipName("required");
    const body = this.#until("endblock");
    if (required && body.some((part) => part.type !== "text" || part.text.trim() !== "")) {
      stream.fail("Required blocks can only contain comments or whitespace", line);
    }
    stream.skipName(name);
    return { type: "block", name, scoped, required, body };
  }

  #print(): Statement {
    const values: Expression[] = [];
    while (!this.stream.is("endBlock")) {
      if (values.length > 0 || this.stream.is("end")) this.stream.expect("operator", ",");
      values.push(this.#expressions.expression());
    }
    return { type: "print", values };
  }

  #parameters(): Parameter[] {
    const { stream } = this;
    const parameters: Parameter[] = [];
    stream.expect("operator", "(");
    while (!stream.skip(")")) {
      if (parameters.length > 0) stream.expect("operator", ",");
      const name = this.#expressions.name();
      if (parameters.some((other) => other.name === name)) {
        stream.fail(`duplicate parameter '${name}'`);
      }
      if (stream.skip("=")) parameters.push({ name, fallback: this.#expressions.expression() });
      else if (parameters.at(-1)?.fallback !== undefined) {
        stream.fail("non-default argument follows default argument");
      } else parameters.push({ name });
    }
    return parameters;
  }
}
