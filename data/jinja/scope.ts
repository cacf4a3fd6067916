/** What a running template knows: its variables and the rendering they belong to. */

import type { Environment } from "./filters/filter.ts";
import type { Value } from "./values.ts";

/** Text on its way to the output, or to a variable. */
export interface Output {
  /** What is written so far. */
  text: string;
}

/** One rendering. */
export interface Run {
  /** What filters and tests know of it; a tag switches `autoescape`. */
  environment: Environment;
  /** The text of the whole template so far. */
  readonly root: Output;
  /** Start and end of what `generation` blocks wrote. */
  readonly generated: [number, number][];
}

/** Variables, those of the enclosing scope behind them. */
export class Scope {
  readonly #values = new Map<string, Value>();

  /** An empty scope inside another. */
  constructor(
    /** The rendering. */
    readonly run: Run,
    /** The enclosing scope. */
    readonly parent?: Scope,
  ) {}

  /** A scope inside this one. */
  inner(): Scope {
    return new Scope(this.run, this);
  }

  /** The innermost value of a name. */
  get(name: string): Value | undefined {
    const value = this.#values.get(name);
    return value === undefined ? this.parent?.get(name) : value;
  }

  /** Sets a name in this scope alone. */
  set(name: string, value: Value): void {
    this.#values.set(name, value);
  }
}
