/**
 * Renders Jinja templates as transformers does: blocks trimmed, loop controls, a `generation` tag
 * whose output is located, Python's semantics for every value, nothing that changes its input.
 */

import { applyFilter, applyTest, attributeOf, itemOf } from "./filters.ts";
import { arithmetic, holds, slice } from "./operators.ts";
import { parseTemplate } from "./parser.ts";
import { globals, Scope } from "./scope.ts";
import type { Arguments, Expression, FilterUse, Parameter, Statement, Target } from "./syntax.ts";
import {
  asNumber,
  Callable,
  defined,
  equal,
  Float,
  found,
  isInteger,
  iterate,
  Namespace,
  TemplateError,
  toText,
  toValue,
  truthy,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** A rendered template. */
export interface Rendering {
  /** The text. */
  readonly text: string;
  /** Start and end (UTF-16 units of `text`) of what each `generation` block wrote, in order. */
  readonly generated: readonly (readonly [number, number])[];
}

/** A parsed template. */
export interface Template {
  /** Renders with these variables (JSON-like values). `now` is what `strftime_now` reads. */
  readonly render: (
    variables: Readonly<Record<string, unknown>>,
    options?: { readonly now?: Date },
  ) => Rendering;
}

/**
 * Parses a template once for many renderings.
 *
 * @throws {TemplateError} on a syntax error; rendering throws it where the template raises or fails
 */
export function compileTemplate(source: string): Template {
  const statements = withinLimits(() => parseTemplate(source));
  return {
    render: (variables, options = {}) =>
      withinLimits(() => {
        const root: Output = { text: "" };
        const generated: [number, number][] = [];
        const scope = new Scope(globals(options.now ?? new Date()));
        for (const [name, value] of Object.entries(variables)) scope.set(name, toValue(value));
        const interpreter = new Interpreter(root, generated);
        interpreter.run(statements, new Scope(scope), root);
        return { text: root.text, generated };
      }),
  };
}

/** Names the limits of the JavaScript engine (its stack, its longest text) for what they are. */
function withinLimits<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new TemplateError(
      error.message.includes("call stack")
        ? "it nests too deeply or calls itself without end (recursion)"
        : `it makes a text, list or number beyond what can be held (${error.message})`,
    );
  }
}

/** Whether a name is read anywhere in a part of the syntax tree. */
function mentions(part: unknown, name: string): boolean {
  if (typeof part !== "object" || part === null) return false;
  if ("type" in part && part.type === "name" && "name" in part && part.name === name) return true;
  return Object.values(part).some((inner) => mentions(inner, name));
}

interface Output {
  text: string;
}

type Signal = "break" | "continue" | undefined;

class Interpreter {
  constructor(readonly root: Output, readonly generated: [number, number][]) {}

  run(statements: readonly Statement[], scope: Scope, out: Output): Signal {
    for (const statement of statements) {
      const signal = this.#statement(statement, scope, out);
      if (signal !== undefined) return signal;
    }
    return undefined;
  }

  #capture(statements: readonly Statement[], scope: Scope): string {
    const out = { text: "" };
    this.run(statements, scope, out);
    return out.text;
  }

  #statement(statement: Statement, scope: Scope, out: Output): Signal {
    switch (statement.type) {
      case "text":
        out.text += statement.text;
        return undefined;
      case "print":
        out.text += toText(this.#evaluate(statement.value, scope));
        return undefined;
      case "if": {
        const branch = statement.branches.find((b) => truthy(this.#evaluate(b.test, scope)));
        return this.run(branch?.body ?? statement.otherwise, scope, out);
      }
      case "for":
        return this.#loop(statement, this.#evaluate(statement.items, scope), scope, out, 0);
      case "set":
        this.#assign(statement.target, this.#evaluate(statement.value, scope), scope);
        return undefined;
      case "setBlock": {
        const text = this.#capture(statement.body, new Scope(scope));
        this.#assign(statement.target, this.#filters(statement.filters, text, scope), scope);
        return undefined;
      }
      case "filterBlock": {
        const text = this.#capture(statement.body, new Scope(scope));
        out.text += toText(this.#filters(statement.filters, text, scope));
        return undefined;
      }
      case "macro":
        scope.set(
          statement.name,
          this.#macro(statement.name, statement.parameters, statement.body, scope),
        );
        return undefined;
      case "callBlock": {
        const { call, parameters, body } = statement;
        if (call.type !== "call") throw new TemplateError("{% call %} needs a call");
        const caller = this.#macro("caller", parameters, body, scope);
        out.text += toText(this.#call(call.callee, call.args, scope, caller));
        return undefined;
      }
      case "with": {
        const inner = new Scope(scope);
        for (const { name, value } of statement.assignments) {
          inner.set(name, this.#evaluate(value, scope));
        }
        return this.run(statement.body, inner, out);
      }
      case "generation": {
        const text = this.#capture(statement.body, new Scope(scope));
        // As in transformers, the place counts what the template itself has written so far.
        this.generated.push([this.root.text.length, this.root.text.length + text.length]);
        out.text += text;
        return undefined;
      }
      case "break":
      case "continue":
        return statement.type;
    }
  }

  #loop(
    statement: Extract<Statement, { type: "for" }>,
    items: Value,
    scope: Scope,
    out: Output,
    depth: number,
  ): Signal {
    let list = [...iterate(items)];
    const { filter } = statement;
    if (filter !== undefined) {
      list = list.filter((item) => {
        const inner = new Scope(scope);
        this.#assign(statement.target, item, inner);
        return truthy(this.#evaluate(filter, inner));
      });
    }
    if (list.length === 0) return this.run(statement.otherwise, scope, out);
    let previous: Value | undefined;
    const changed = new Callable("changed", (args) => {
      const now = Tuple.from<Value>(args);
      const isNew = previous === undefined || !equal(previous, now);
      previous = now;
      return isNew;
    });
    const recurse = (args: readonly Value[]) => {
      const inner = { text: "" };
      this.#loop(statement, args[0] ?? null, scope, inner, depth + 1);
      return inner.text;
    };
    for (const [index, item] of list.entries()) {
      const attributes = new Map<string, Value>([
        ["index", index + 1],
        ["index0", index],
        ["revindex", list.length - index],
        ["revindex0", list.length - index - 1],
        ["first", index === 0],
        ["last", index === list.length - 1],
        ["length", list.length],
        ["depth", depth + 1],
        ["depth0", depth],
        ["previtem", found(list[index - 1], new Undefined("there is no previous item; it"))],
        ["nextitem", found(list[index + 1], new Undefined("there is no next item; it"))],
        ["cycle", new Callable("cycle", (args) => args[index % args.length] ?? null)],
        ["changed", changed],
      ]);
      const inner = new Scope(scope);
      inner.set("loop", new Callable("loop", recurse, attributes));
      this.#assign(statement.target, item, inner);
      if (this.run(statement.body, inner, out) === "break") break;
    }
    return undefined;
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    if (target.type === "name") return scope.set(target.name, value);
    if (target.type === "attribute") {
      const object = scope.get(target.object);
      if (!(object instanceof Namespace)) {
        throw new TemplateError(`cannot assign attribute ${target.name} on non-namespace object`);
      }
      object.attributes.set(target.name, value);
      return;
    }
    const items = iterate(value);
    if (items.length !== target.items.length) {
      throw new TemplateError(
        `cannot unpack ${items.length} values to ${target.items.length} names`,
      );
    }
    target.items.forEach((inner, i) => this.#assign(inner, items[i]!, scope));
  }

  #filters(filters: readonly FilterUse[], text: string, scope: Scope): Value {
    return filters.reduce<Value>((value, filter) => {
      const { args, keywords } = this.#arguments(filter.args, scope);
      return applyFilter(filter.name, value, args, keywords);
    }, text);
  }

  #macro(
    name: string,
    parameters: readonly Parameter[],
    body: readonly Statement[],
    scope: Scope,
  ): Callable {
    const [takesMore, takesNames] = [mentions(body, "varargs"), mentions(body, "kwargs")];
    const takesCaller = mentions(body, "caller");
    return new Callable(name, (args, keywords) => {
      if (args.length > parameters.length && !takesMore) {
        throw new TemplateError(
          `macro '${name}' takes not more than ${parameters.length} argument(s)`,
        );
      }
      for (const keyword of keywords.keys()) {
        const known = parameters.some((parameter) => parameter.name === keyword);
        if (known || takesNames || (keyword === "caller" && takesCaller)) continue;
        throw new TemplateError(`macro '${name}' takes no keyword argument '${keyword}'`);
      }
      const inner = new Scope(scope);
      const rest = new Map<Value, Value>(keywords);
      parameters.forEach((parameter, i) => {
        let value = i < args.length ? args[i] : keywords.get(parameter.name);
        if (value === undefined && parameter.fallback !== undefined) {
          value = this.#evaluate(parameter.fallback, inner);
        }
        rest.delete(parameter.name);
        inner.set(parameter.name, found(value, new Undefined(`parameter '${parameter.name}'`)));
      });
      inner.set("varargs", Tuple.from<Value>(args.slice(parameters.length)));
      const caller = rest.get("caller");
      if (caller !== undefined) inner.set("caller", caller);
      rest.delete("caller");
      inner.set("kwargs", rest);
      return this.#capture(body, inner);
    });
  }

  #arguments(source: Arguments, scope: Scope): { args: Value[]; keywords: Map<string, Value> } {
    const args: Value[] = [];
    for (const { value, spread } of source.positional) {
      const evaluated = this.#evaluate(value, scope);
      if (spread) args.push(...iterate(evaluated));
      else args.push(evaluated);
    }
    const keywords = new Map<string, Value>();
    for (const { name, value } of source.keywords) {
      const evaluated = this.#evaluate(value, scope);
      if (name !== undefined) keywords.set(name, evaluated);
      else if (evaluated instanceof Map) {
        for (const [key, item] of evaluated) keywords.set(toText(key), item);
      }
    }
    return { args, keywords };
  }

  #call(callee: Expression, source: Arguments, scope: Scope, caller?: Callable): Value {
    const target = this.#evaluate(callee, scope);
    if (!(target instanceof Callable)) {
      throw new TemplateError(
        target instanceof Undefined
          ? `${target.what} is undefined`
          : `'${typeName(target)}' object is not callable`,
      );
    }
    const { args, keywords } = this.#arguments(source, scope);
    if (caller !== undefined) keywords.set("caller", caller);
    return target.call(args, keywords);
  }

  #evaluate(expression: Expression, scope: Scope): Value {
    switch (expression.type) {
      case "constant":
        return expression.value;
      case "name":
        return found(scope.get(expression.name), new Undefined(`'${expression.name}'`));
      case "list":
        return expression.items.map((item) => this.#evaluate(item, scope));
      case "tuple":
        return Tuple.from<Value>(expression.items.map((item) => this.#evaluate(item, scope)));
      case "dictionary":
        return new Map(
          expression.entries.map(([k, v]) => [this.#evaluate(k, scope), this.#evaluate(v, scope)]),
        );
      case "unary": {
        const value = this.#evaluate(expression.operand, scope);
        if (expression.operator === "not") return !truthy(value);
        const number = asNumber(defined(value));
        if (number === undefined) {
          throw new TemplateError(`bad operand type for unary ${expression.operator}`);
        }
        const result = expression.operator === "-" ? -number : number;
        return value instanceof Float ? new Float(result) : result;
      }
      case "binary":
        return this.#binary(expression.operator, expression.left, expression.right, scope);
      case "concatenation":
        return expression.items.map((item) => toText(this.#evaluate(item, scope))).join("");
      case "comparison": {
        let left = this.#evaluate(expression.first, scope);
        for (const { operator, value } of expression.rest) {
          const right = this.#evaluate(value, scope);
          if (!holds(operator, left, right)) return false;
          left = right;
        }
        return true;
      }
      case "condition":
        if (truthy(this.#evaluate(expression.test, scope))) {
          return this.#evaluate(expression.then, scope);
        }
        return expression.otherwise === undefined
          ? new Undefined("the inline if-expression evaluated to false and no else; it")
          : this.#evaluate(expression.otherwise, scope);
      case "attribute":
        return attributeOf(this.#evaluate(expression.object, scope), expression.name);
      case "subscript":
        return itemOf(
          this.#evaluate(expression.object, scope),
          this.#evaluate(expression.index, scope),
        );
      case "slice": {
        const bound = (part: Expression | undefined) => {
          const value = part === undefined ? null : this.#evaluate(part, scope);
          if (value !== null && !isInteger(value)) {
            throw new TemplateError(`slice indices must be integers, not ${typeName(value)}`);
          }
          return value;
        };
        return slice(
          this.#evaluate(expression.object, scope),
          bound(expression.start),
          bound(expression.stop),
          bound(expression.step) ?? 1,
        );
      }
      case "call":
        return this.#call(expression.callee, expression.args, scope);
      case "filter": {
        const value = this.#evaluate(expression.operand, scope);
        const { args, keywords } = this.#arguments(expression.args, scope);
        return applyFilter(expression.name, value, args, keywords);
      }
      case "test": {
        const value = this.#evaluate(expression.operand, scope);
        const { args } = this.#arguments(expression.args, scope);
        return applyTest(expression.name, value, args) !== expression.negated;
      }
    }
  }

  #binary(operator: string, leftPart: Expression, rightPart: Expression, scope: Scope): Value {
    const left = this.#evaluate(leftPart, scope);
    if (operator === "and") return truthy(left) ? this.#evaluate(rightPart, scope) : left;
    if (operator === "or") return truthy(left) ? left : this.#evaluate(rightPart, scope);
    return arithmetic(operator, defined(left), defined(this.#evaluate(rightPart, scope)));
  }
}
