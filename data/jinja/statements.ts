/** Turns statements into functions that run them. */

import { deeper, room, spend } from "./budget.ts";
import { truthy } from "./compare.ts";
import { refuse } from "./errors.ts";
import { compileCall, compileExpression, compileFilter, type Evaluate } from "./expressions.ts";
import { generator, iterate, lazily } from "./iterate.ts";
import { Loop } from "./loop.ts";
import { compileMacro } from "./macro.ts";
import { escaped } from "./markup.ts";
import { mentions, stores } from "./names.ts";
import { toText } from "./represent.ts";
import type { Output, Scope } from "./scope.ts";
import type { Expression, FilterUse, Statement, Target } from "./syntax.ts";
import { callable, Markup, Namespace, Thing, type Value } from "./values.ts";

/** What ends a loop or a turn of it early. */
export type Signal = "break" | "continue" | undefined;

/** Runs a statement. */
export type Execute = (scope: Scope, out: Output) => Signal;

/** Where a statement stands. */
export interface Place {
  /** Whether it is not sure to be run: in a branch of an `if`. */
  readonly isSoft: boolean;
  /** Whether `break` and `continue` have a loop to end. */
  readonly inLoop: boolean;
  /** The blocks of the template by name. */
  readonly blocks: Map<string, Execute>;
}

/** Compiles statements that run one after the other. */
export function compileStatements(statements: readonly Statement[], place: Place): Execute {
  const parts = statements.map((statement) => compileStatement(statement, place));
  return (scope, out) => {
    for (const part of parts) {
      spend(1);
      const signal = part(scope, out);
      if (signal !== undefined) return signal;
    }
    return undefined;
  };
}

/** Writes text. @throws {TemplateError} where the output becomes too long */
export function write(out: Output, text: string): undefined {
  room(out.text.length + text.length);
  out.text += text;
}

function compileStatement(statement: Statement, place: Place): Execute {
  const expression = (source: Expression) => compileExpression(source, place.isSoft);
  const inner = (body: readonly Statement[]) =>
    compileStatements(body, { ...place, isSoft: false });
  switch (statement.type) {
    case "text": {
      const { text } = statement;
      return (_, out) => write(out, text);
    }
    case "print": {
      const values = statement.values.map(expression);
      return (scope, out) => {
        for (const value of values) {
          const printed = value(scope);
          write(out, scope.run.environment.autoescape ? escaped(printed) : toText(printed));
        }
        return undefined;
      };
    }
    case "if":
      return compileIf(statement, place);
    case "for":
      return compileFor(statement, place);
    case "set": {
      const value = expression(statement.value);
      const assign = compileTarget(statement.target);
      return (scope) => {
        assign(scope, value(scope));
        return undefined;
      };
    }
    case "setBlock": {
      const captured = compileCaptured(statement.body, statement.filters, place);
      const assign = compileTarget(statement.target);
      return (scope) => captured(scope, (value) => assign(scope, value));
    }
    case "filterBlock": {
      const captured = compileCaptured(statement.body, statement.filters, place);
      return (scope, out) =>
        captured(
          scope,
          (value) => write(out, scope.run.environment.autoescape ? escaped(value) : toText(value)),
        );
    }
    case "macro": {
      const { name, parameters, body } = statement;
      const macro = compileMacro(name, parameters, body, macroBody(body, place));
      return (scope) => {
        scope.set(name, macro(scope));
        return undefined;
      };
    }
    case "callBlock": {
      const { parameters, body } = statement;
      const caller = compileMacro(null, parameters, body, macroBody(body, place));
      const call = compileCall(statement.call, place.isSoft, caller);
      return (scope, out) => {
        const value = call(scope);
        return write(out, scope.run.environment.autoescape ? escaped(value) : toText(value));
      };
    }
    case "with":
      return compileWith(statement, place);
    case "autoescape": {
      const value = expression(statement.value);
      const body = inner(statement.body);
      return (scope, out) => {
        const { run } = scope;
        const before = run.environment;
        run.environment = { ...before, autoescape: truthy(value(scope)) };
        const signal = body(scope.inner(), out);
        run.environment = before;
        return signal;
      };
    }
    case "block":
      return compileBlock(statement, place);
    case "generation": {
      const body = macroBody(statement.body, place);
      return (scope, out) => {
        const { root, generated } = scope.run;
        const captured = { text: "" };
        body(scope.inner(), captured);
        // As in transformers, the place counts what the template itself has written so far.
        generated.push([root.text.length, root.text.length + captured.text.length]);
        return write(out, captured.text);
      };
    }
    case "break":
    case "continue": {
      const signal = statement.type;
      if (!place.inLoop) refuse(`{% ${signal} %} stands outside of a loop`);
      return () => signal;
    }
    case "refused":
      return () => refuse(statement.message);
  }
}

/** The body of a macro or its like, in which no loop around it counts. */
function macroBody(body: readonly Statement[], place: Place): Execute {
  return compileStatements(body, { ...place, isSoft: false, inLoop: false });
}

function compileIf(statement: Extract<Statement, { type: "if" }>, place: Place): Execute {
  const soft = { ...place, isSoft: true };
  const branches = statement.branches.map(({ test, body }) => ({
    test: compileExpression(test, true),
    body: compileStatements(body, soft),
  }));
  const otherwise = compileStatements(statement.otherwise, soft);
  return (scope, out) => {
    for (const { test, body } of branches) if (truthy(test(scope))) return body(scope, out);
    return otherwise(scope, out);
  };
}

function compileWith(statement: Extract<Statement, { type: "with" }>, place: Place): Execute {
  const assignments = statement.assignments.map(({ target, value }) => ({
    assign: compileTarget(target),
    value: compileExpression(value, place.isSoft),
  }));
  const body = compileStatements(statement.body, { ...place, isSoft: false });
  return (scope, out) => {
    const inner = scope.inner();
    for (const { assign, value } of assignments) assign(inner, value(scope));
    return body(inner, out);
  };
}

/** A block is a function of the template's own variables, unless it is `scoped`. */
function compileBlock(statement: Extract<Statement, { type: "block" }>, place: Place): Execute {
  const { name, scoped, required } = statement;
  const body = macroBody(statement.body, place);
  const run: Execute = (scope, out) => deeper(`block '${name}'`, () => body(scope.inner(), out));
  place.blocks.set(name, run);
  return (scope, out) => {
    if (required) refuse(`Required block '${name}' not found`);
    return run(scoped ? scope : outermost(scope), out);
  };
}

/** The scope of the template itself, whose parent is that of the globals. */
function outermost(scope: Scope): Scope {
  let outer = scope;
  while (outer.parent?.parent !== undefined) outer = outer.parent;
  return outer;
}

/** `self`: the blocks of the template as functions. */
export function selfReference(scope: Scope, blocks: ReadonlyMap<string, Execute>): Thing {
  return new Thing({
    type: "TemplateReference",
    text: () => "<TemplateReference None>",
    attribute: (name) => {
      const block = blocks.get(name);
      return block && callable("BlockReference", () => {
        const out = { text: "" };
        block(scope, out);
        return scope.run.environment.autoescape ? new Markup(out.text) : out.text;
      });
    },
  });
}

/** Runs a body into a text, applies filters, and hands the value on unless the body broke off. */
function compileCaptured(
  statements: readonly Statement[],
  filters: readonly FilterUse[],
  place: Place,
): (scope: Scope, use: (value: Value) => void) => Signal {
  const body = compileStatements(statements, { ...place, isSoft: false });
  // What is captured stands under a name that no template can write.
  let evaluate: Evaluate = (scope) => scope.get("") ?? "";
  for (const { name, args } of filters) {
    evaluate = compileFilter(name, evaluate, args, place.isSoft);
  }
  return (scope, use) => {
    const inner = scope.inner();
    const captured = { text: "" };
    const signal = body(inner, captured);
    if (signal !== undefined) return signal;
    inner.set("", scope.run.environment.autoescape ? new Markup(captured.text) : captured.text);
    use(evaluate(inner));
    return undefined;
  };
}

function compileTarget(target: Target): (scope: Scope, value: Value) => void {
  switch (target.type) {
    case "name": {
      const { name } = target;
      return (scope, value) => scope.set(name, value);
    }
    case "attribute": {
      const { object, name } = target;
      return (scope, value) => {
        const namespace = scope.get(object);
        if (!(namespace instanceof Namespace)) {
          return refuse(`cannot assign attribute '${name}' on non-namespace object '${object}'`);
        }
        namespace.attributes.set(name, value);
      };
    }
    case "tuple": {
      const targets = target.items.map(compileTarget);
      return (scope, value) => {
        const items = iterate(value);
        if (items.length !== targets.length) {
          refuse(`cannot unpack ${items.length} values to ${targets.length} names`);
        }
        targets.forEach((assign, i) => assign(scope, items[i]!));
      };
    }
  }
}

function compileFor(statement: Extract<Statement, { type: "for" }>, place: Place): Execute {
  const { recursive } = statement;
  if (stores(statement, "loop")) refuse("Can't assign to special loop variable in for-loop target");
  const assign = compileTarget(statement.target);
  const items = compileExpression(statement.items, place.isSoft);
  const filter = statement.filter && compileExpression(statement.filter, false);
  // A recursive loop is a function: `break` in its `else` has no loop around it.
  const body = compileStatements(statement.body, { ...place, isSoft: false, inLoop: true });
  const otherwise = compileStatements(statement.otherwise, {
    ...place,
    isSoft: false,
    inLoop: place.inLoop && !recursive,
  });
  const usesLoop = recursive || mentions(statement.body, "loop") ||
    statement.body.some(hasScopedBlock);

  const selected = (scope: Scope, value: Value): Value => {
    if (filter === undefined) return value;
    function* items(): IterableIterator<Value> {
      for (const item of lazily(value)) {
        const inner = scope.inner();
        assign(inner, item);
        if (truthy(filter!(inner))) yield item;
      }
    }
    return generator(items());
  };

  const simple = (scope: Scope, value: Value, out: Output): Signal => {
    let isEmpty = true;
    for (const item of lazily(selected(scope, value))) {
      isEmpty = false;
      const inner = scope.inner();
      assign(inner, item);
      if (body(inner, out) === "break") return undefined;
    }
    return isEmpty ? otherwise(scope.inner(), out) : undefined;
  };

  const extended = (scope: Scope, value: Value, out: Output, depth: number): Signal => {
    const recurse = (inner: Value) =>
      deeper("the recursive loop", () => {
        const captured = { text: "" };
        extended(scope, inner, captured, depth + 1);
        return scope.run.environment.autoescape ? new Markup(captured.text) : captured.text;
      });
    const loop = new Loop(selected(scope, value), depth, recursive ? recurse : undefined);
    let isEmpty = true;
    for (let next = loop.next(); next !== undefined; next = loop.next()) {
      isEmpty = false;
      const inner = scope.inner();
      inner.set("loop", loop.value);
      assign(inner, next.item);
      if (body(inner, out) === "break") return undefined;
    }
    return isEmpty ? otherwise(scope.inner(), out) : undefined;
  };

  return (scope, out) => {
    const value = items(scope);
    return usesLoop ? extended(scope, value, out, 0) : simple(scope, value, out);
  };
}

function hasScopedBlock(statement: unknown): boolean {
  if (typeof statement !== "object" || statement === null) return false;
  if ("scoped" in statement && statement.scoped === true) return true;
  return Object.values(statement).some(hasScopedBlock);
}
