/** Parses Jinja templates into statements. */

import { type Part, splitTemplate } from "./lexer.ts";
import type { Expression, Statement } from "./syntax.ts";
import { TokenReader } from "./token_reader.ts";
import { TemplateError } from "./values.ts";

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
