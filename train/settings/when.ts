/**
 * When an option has an effect. The condition stands on the declaration; whoever gives an option where it does not hold
 * is told so, with the reason.
 *
 * @module
 */

import type { Condition, Options } from "./option.ts";

type Given = Readonly<Record<string, unknown>>;

function shown(name: string, value: unknown): string {
  if (value === undefined || value === false) return `--${name} is not given`;
  const text = Array.isArray(value) ? value.join(" ") : String(value);
  return value === true ? `--${name} is given` : `--${name} is ${text}`;
}

const itemsOf = (value: unknown): readonly unknown[] => Array.isArray(value) ? value : [value];

function condition(on: string, holds: (value: unknown, values: Given) => boolean): Condition {
  return {
    on: [on],
    holds: (values) => holds(values[on], values),
    because: (values) => shown(on, values[on]),
  };
}

/** Only where another option is one of these, or has one of them among its values. */
export function onlyFor(name: string, ...wanted: readonly unknown[]): Condition {
  return condition(name, (value) => itemsOf(value).some((item) => wanted.includes(item)));
}

/** Not where another option is one of these, or has nothing else among its values. */
export function notFor(name: string, ...unwanted: readonly unknown[]): Condition {
  return condition(name, (value) => itemsOf(value).some((item) => !unwanted.includes(item)));
}

/** Only where another option is given: a yes, a text, a number that is not 0. */
export function onlyWith(name: string): Condition {
  return condition(name, (value) => value !== undefined && value !== false && value !== 0);
}

/** Only where another option is not given. */
export function onlyWithout(name: string): Condition {
  return condition(name, (value) => value === undefined || value === false);
}

/** Only where another option is a number above this. */
export function moreThan(name: string, least: number): Condition {
  return condition(name, (value) => Number(value) > least);
}

/** Only where another option matches a pattern. */
export function matching(name: string, pattern: RegExp): Condition {
  return condition(name, (value) => pattern.test(String(value)));
}

/** Only where another option is a number not above 0. */
export function notPositive(name: string): Condition {
  return condition(name, (value) => !(Number(value) > 0));
}

/** Only where one of several conditions holds. */
export function anyOf(...conditions: readonly Condition[]): Condition {
  return {
    on: conditions.flatMap(({ on }) => on),
    holds: (values) => conditions.some(({ holds }) => holds(values)),
    because: (values) => conditions.map(({ because }) => because(values)).join(" and "),
  };
}

/** Only where the run evaluates. */
export const evaluating: Condition = anyOf(
  notFor("eval_strategy", "no"),
  onlyWith("eval_on_start"),
);

/** Lines about the options that were given in vain. */
export function idleOptions(
  options: Options,
  values: Given,
  given: Iterable<string>,
): string[] {
  return [...given].flatMap((name) => {
    const idle = options[name]?.when.find(({ holds }) => !holds(values));
    return idle ? [`--${name} has no effect: ${idle.because(values)}.`] : [];
  });
}
