/** The variables a template sees. */

import { strftime } from "./strftime.ts";
import {
  Callable,
  isInteger,
  type Keywords,
  Namespace,
  TemplateError,
  toText,
  typeName,
  type Value,
} from "./values.ts";

/** Variables, those of the enclosing scope behind them. */
export class Scope {
  readonly #values = new Map<string, Value>();

  /** An empty scope inside another. */
  constructor(
    /** The enclosing scope. */
    readonly parent?: Scope,
  ) {}

  /** The innermost value of a name. */
  get(name: string): Value | undefined {
    return this.#values.has(name) ? this.#values.get(name) : this.parent?.get(name);
  }

  /** Sets a name in this scope alone. */
  set(name: string, value: Value): void {
    this.#values.set(name, value);
  }
}

/** What every template can call; `now` is what `strftime_now` reads. */
export function globals(now: Date): Scope {
  const scope = new Scope();
  const define = (name: string, call: (args: readonly Value[], keywords: Keywords) => Value) =>
    scope.set(name, new Callable(name, call));
  define("raise_exception", ([message]) => {
    throw new TemplateError(toText(message ?? ""));
  });
  define("strftime_now", ([format]) => strftime(now, toText(format ?? "")));
  define("namespace", ([source], keywords) => {
    const entries = source instanceof Map ? [...source] : [];
    const start = entries.map(([key, value]): [string, Value] => [toText(key), value]);
    return new Namespace(new Map([...start, ...keywords]));
  });
  define("dict", ([source], keywords) => {
    return new Map<Value, Value>([...(source instanceof Map ? source : []), ...keywords]);
  });
  define("range", (args) => {
    const numbers = args.map((arg) => {
      if (!isInteger(arg)) throw new TemplateError(`range() takes integers, not ${typeName(arg)}`);
      return arg;
    });
    const [start, stop, step] = numbers.length === 1
      ? [0, numbers[0]!, 1]
      : [numbers[0] ?? 0, numbers[1] ?? 0, numbers[2] ?? 1];
    if (step === 0) throw new TemplateError("range() arg 3 must not be zero");
    const count = Math.max(0, Math.ceil((stop - start) / step));
    if (count > 100_000) throw new TemplateError(`range() of ${count} items is too large`);
    return Array.from({ length: count }, (_, i) => start + i * step);
  });
  return scope;
}
