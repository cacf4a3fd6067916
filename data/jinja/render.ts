/**
 * Renders Jinja templates as transformers does: blocks trimmed, loop controls, a `generation` tag
 * whose output is located, Python's semantics for every value, nothing that changes its input.
 */

import { DEFAULT_LIMITS, type Limits, withBudget, withinEngine } from "./budget.ts";
import { refuse } from "./errors.ts";
import { FILTERS } from "./filters/table.ts";
import { globals } from "./globals.ts";
import { toValue } from "./input.ts";
import { mentions } from "./names.ts";
import { parseTemplate } from "./parser.ts";
import { toText } from "./represent.ts";
import { type Run, Scope } from "./scope.ts";
import { compileStatements, type Execute, selfReference } from "./statements.ts";
import { TESTS } from "./tests.ts";
import type { Keywords, Value } from "./values.ts";

/** A rendered template. */
export interface Rendering {
  /** The text. */
  readonly text: string;
  /** Start and end (UTF-16 units of `text`) of what each `generation` block wrote, in order. */
  readonly generated: readonly (readonly [number, number])[];
}

/** How to render. */
export interface RenderOptions {
  /** What `strftime_now` takes for the present moment; the clock where it is left out. */
  readonly now?: Date;
  /** How much work the rendering may do. */
  readonly limits?: Limits;
}

/** A parsed template. */
export interface Template {
  /** Renders with these variables (JSON-like values, see `values.ts`). */
  readonly render: (
    variables: Readonly<Record<string, unknown>>,
    options?: RenderOptions,
  ) => Rendering;
  /** Whether it reads the present moment (`strftime_now`). */
  readonly readsClock: boolean;
}

/**
 * Parses a template once for many renderings.
 *
 * @throws {TemplateError} on a syntax error; rendering throws it where the template raises, fails, or
 * goes beyond its limits
 */
export function compileTemplate(source: string): Template {
  const blocks = new Map<string, Execute>();
  const { execute, readsClock, readsSelf } = guarded(DEFAULT_LIMITS, () => {
    const statements = parseTemplate(source);
    return {
      execute: compileStatements(statements, { isSoft: false, inLoop: false, blocks }),
      readsClock: mentions(statements, "strftime_now"),
      readsSelf: mentions(statements, "self"),
    };
  });
  return {
    readsClock,
    render: (variables, { now, limits = DEFAULT_LIMITS } = {}) =>
      guarded(limits, () => {
        const run = newRun();
        const outer = new Scope(run);
        for (const [name, value] of globals(() => now ?? new Date())) outer.set(name, value);
        for (const [name, value] of Object.entries(variables)) outer.set(name, toValue(value));
        const scope = outer.inner();
        if (readsSelf) scope.set("self", selfReference(scope, blocks));
        execute(scope, run.root);
        return { text: run.root.text, generated: run.generated };
      }),
  };
}

function guarded<T>(limits: Limits, work: () => T): T {
  return withinEngine(() => withBudget(limits, work));
}

function newRun(): Run {
  const run: Run = {
    root: { text: "" },
    generated: [],
    environment: { autoescape: false, filter, test },
  };
  function filter(name: Value, value: Value, args: readonly Value[], keywords: Keywords): Value {
    const apply = FILTERS.get(toText(name)) ?? refuse(`No filter named '${toText(name)}'.`);
    return apply(run.environment, value, args, keywords);
  }
  function test(name: Value, value: Value, args: readonly Value[], keywords: Keywords): boolean {
    const holds = TESTS.get(toText(name)) ?? refuse(`No test named '${toText(name)}'.`);
    return holds(value, args, keywords);
  }
  return run;
}
