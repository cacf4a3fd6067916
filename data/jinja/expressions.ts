/** Turns expressions into functions that evaluate them. */

import { attributeOf, itemOf, slice } from "./attributes.ts";
import { room, spend } from "./budget.ts";
import { truthy } from "./compare.ts";
import { Dictionary } from "./dictionary.ts";
import { refuse } from "./errors.ts";
import { FILTERS } from "./filters/table.ts";
import { iterate } from "./iterate.ts";
import { escaped } from "./markup.ts";
import { arithmetic, holds, signed } from "./operators.ts";
import { toText } from "./represent.ts";
import type { Scope } from "./scope.ts";
import { NO_KEYWORDS } from "./signature.ts";
import type { Arguments, Call, Expression } from "./syntax.ts";
import { TESTS } from "./tests.ts";
import {
  asText,
  type Keywords,
  Markup,
  textOf,
  Thing,
  tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** Evaluates an expression. */
export type Evaluate = (scope: Scope) => Value;

/** Evaluates the arguments of a call. */
export type EvaluateArguments = (scope: Scope) => {
  readonly args: readonly Value[];
  readonly keywords: Keywords;
};

/**
 * Compiles an expression. Where it is not sure to be evaluated (`isSoft`: a branch of an `if`), an
 * unknown filter or test is an error only when it is reached.
 *
 * @throws {TemplateError} for unknown filters and tests elsewhere
 */
export function compileExpression(expression: Expression, isSoft: boolean): Evaluate {
  const compile = (inner: Expression) => compileExpression(inner, isSoft);
  switch (expression.type) {
    case "constant": {
      const { value } = expression;
      return () => value;
    }
    case "name": {
      const { name } = expression;
      return (scope) => {
        const value = scope.get(name);
        return value === undefined ? new Undefined(`'${name}' is undefined`) : value;
      };
    }
    case "list": {
      const items = expression.items.map(compile);
      return (scope) => items.map((item) => item(scope));
    }
    case "tuple": {
      const items = expression.items.map(compile);
      return (scope) => tuple(items.map((item) => item(scope)));
    }
    case "dictionary": {
      const entries = expression.entries.map(([k, v]) => [compile(k), compile(v)] as const);
      return (scope) =>
        new Dictionary(entries.map(([key, value]) => [key(scope), value(scope)] as const));
    }
    case "unary": {
      const { operator } = expression;
      const operand = compile(expression.operand);
      return operator === "not"
        ? (scope) => !truthy(operand(scope))
        : (scope) => signed(operator, operand(scope));
    }
    case "binary":
      return compileBinary(
        expression.operator,
        compile(expression.left),
        compile(expression.right),
      );
    case "concatenation":
      return compileConcatenation(expression.items.map(compile));
    case "comparison":
      return compileComparison(expression, compile);
    case "condition": {
      const [test, then] = [expression.test, expression.then]
        .map((part) => compileExpression(part, true));
      const otherwise = expression.otherwise && compileExpression(expression.otherwise, true);
      return (scope) => {
        if (truthy(test!(scope))) return then!(scope);
        return otherwise === undefined
          ? new Undefined(
            "the inline if-expression evaluated to false and no else section was defined",
          )
          : otherwise(scope);
      };
    }
    case "attribute": {
      const object = compile(expression.object);
      const { name } = expression;
      return (scope) => attributeOf(object(scope), name);
    }
    case "subscript": {
      const [object, index] = [compile(expression.object), compile(expression.index)];
      return (scope) => itemOf(object(scope), index(scope));
    }
    case "slice": {
      const object = compile(expression.object);
      const [start, stop, step] = [expression.start, expression.stop, expression.step]
        .map((part) => part === undefined ? () => null : compile(part));
      return (scope) => slice(object(scope), start!(scope), stop!(scope), step!(scope));
    }
    case "call":
      return compileCall(expression, isSoft);
    case "filter":
      return compileFilter(expression.name, compile(expression.operand), expression.args, isSoft);
    case "test":
      return compileTest(expression, isSoft);
  }
}

function compileBinary(operator: string, left: Evaluate, right: Evaluate): Evaluate {
  switch (operator) {
    case "and":
      return (scope) => {
        const value = left(scope);
        return truthy(value) ? right(scope) : value;
      };
    case "or":
      return (scope) => {
        const value = left(scope);
        return truthy(value) ? value : right(scope);
      };
    default:
      return (scope) => arithmetic(operator, left(scope), right(scope));
  }
}

function compileConcatenation(items: readonly Evaluate[]): Evaluate {
  return (scope) => {
    const values = items.map((item) => item(scope));
    const isMarked = scope.run.environment.autoescape &&
      values.some((value) => value instanceof Markup);
    let text = "";
    for (const value of values) {
      const part = isMarked ? escaped(value) : toText(value);
      room(text.length + part.length);
      text += part;
    }
    return isMarked ? new Markup(text) : text;
  };
}

function compileComparison(
  expression: Extract<Expression, { type: "comparison" }>,
  compile: (inner: Expression) => Evaluate,
): Evaluate {
  const first = compile(expression.first);
  const rest = expression.rest.map(({ operator, value }) => ({ operator, value: compile(value) }));
  return (scope) => {
    let left = first(scope);
    for (const { operator, value } of rest) {
      const right = value(scope);
      if (!holds(operator, left, right)) return false;
      left = right;
    }
    return true;
  };
}

/** Compiles arguments. */
export function compileArguments(source: Arguments, isSoft: boolean): EvaluateArguments {
  const positional = source.positional.map((value) => compileExpression(value, isSoft));
  const named = source.keywords.map(({ name, value }) =>
    [name, compileExpression(value, isSoft)] as const
  );
  const list = source.list && compileExpression(source.list, isSoft);
  const dictionary = source.dictionary && compileExpression(source.dictionary, isSoft);
  const hasKeywords = named.length > 0 || dictionary !== undefined;
  return (scope) => {
    const args = positional.map((value) => value(scope));
    if (list !== undefined) { for (const item of iterate(list(scope))) args.push(item); }
    if (!hasKeywords) return { args, keywords: NO_KEYWORDS };
    const keywords = new Map<string, Value>();
    for (const [name, value] of named) keywords.set(name, value(scope));
    if (dictionary !== undefined) spread(dictionary(scope), keywords);
    return { args, keywords };
  };
}

function spread(value: Value, keywords: Map<string, Value>): void {
  if (!(value instanceof Dictionary)) {
    refuse(`the argument after ** must be a mapping, not ${typeName(value)}`);
  }
  for (const [key, item] of (value as Dictionary).entries()) {
    const name = textOf(key, "a keyword");
    if (keywords.has(name)) refuse(`got multiple values for keyword argument '${name}'`);
    keywords.set(name, item);
  }
}

/** What handling a value costs: its characters in blocks of 16. */
function cost(value: Value): number {
  const text = asText(value);
  return text === undefined ? 1 : 1 + text.length / 16;
}

/** Calls a value. @throws {TemplateError} if it cannot be called */
export function callValue(target: Value, args: readonly Value[], keywords: Keywords): Value {
  if (target instanceof Undefined) return refuse(target.message);
  const call = target instanceof Thing ? target.parts.call : undefined;
  if (call === undefined) return refuse(`'${typeName(target)}' object is not callable`);
  const result = call(args, keywords);
  spend(cost(result));
  return result;
}

/** Compiles a call; `caller` is what a `{% call %}` block gives along. */
export function compileCall(
  { callee, args }: Call,
  isSoft: boolean,
  caller?: (scope: Scope) => Value,
): Evaluate {
  const target = compileExpression(callee, isSoft);
  const evaluateArguments = compileArguments(args, isSoft);
  return (scope) => {
    const called = target(scope);
    const { args, keywords } = evaluateArguments(scope);
    if (caller === undefined) return callValue(called, args, keywords);
    return callValue(called, args, new Map([...keywords, ["caller", caller(scope)]]));
  };
}

/** Compiles a filter that is applied to what `operand` gives. */
export function compileFilter(
  name: string,
  operand: Evaluate,
  source: Arguments,
  isSoft: boolean,
): Evaluate {
  const filter = FILTERS.get(name);
  const evaluateArguments = compileArguments(source, isSoft);
  if (filter === undefined && !isSoft) refuse(`No filter named '${name}'.`);
  return (scope) => {
    if (filter === undefined) return refuse(`No filter named '${name}'.`);
    const value = operand(scope);
    const { args, keywords } = evaluateArguments(scope);
    spend(cost(value));
    const result = filter(scope.run.environment, value, args, keywords);
    spend(cost(result));
    return result;
  };
}

function compileTest(
  expression: Extract<Expression, { type: "test" }>,
  isSoft: boolean,
): Evaluate {
  const { name, negated } = expression;
  const test = TESTS.get(name);
  const operand = compileExpression(expression.operand, isSoft);
  const evaluateArguments = compileArguments(expression.args, isSoft);
  if (test === undefined && !isSoft) refuse(`No test named '${name}'.`);
  return (scope) => {
    if (test === undefined) return refuse(`No test named '${name}'.`);
    const value = operand(scope);
    const { args, keywords } = evaluateArguments(scope);
    spend(cost(value));
    return test(value, args, keywords) !== negated;
  };
}
