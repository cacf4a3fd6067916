/** What a filter is. */

import { refuse } from "../errors.ts";
import { type Parameter, signature } from "../signature.ts";
import type { Keywords, Value } from "../values.ts";

/** What filters and tests know of the template they run in. */
export interface Environment {
  /** Whether what is printed is escaped (`{% autoescape true %}`). */
  readonly autoescape: boolean;
  /** Applies a filter by name. */
  readonly filter: (name: Value, value: Value, args: readonly Value[], keywords: Keywords) => Value;
  /** Applies a test by name. */
  readonly test: (
    name: Value,
    value: Value,
    args: readonly Value[],
    keywords: Keywords,
  ) => boolean;
}

/** A filter: makes a value of a value. */
export type Filter = (
  environment: Environment,
  value: Value,
  args: readonly Value[],
  keywords: Keywords,
) => Value;

/** A filter with these parameters after the value. */
export function filter(
  name: string,
  parameters: readonly Parameter[],
  run: (value: Value, args: readonly Value[], environment: Environment) => Value,
): Filter {
  const bind = signature(name, parameters);
  return (environment, value, args, keywords) => run(value, bind(args, keywords), environment);
}

/** A filter that gives different results in every run, which no data set can be made of. */
export function refused(name: string, why: string): Filter {
  return () => refuse(`${name} is not supported: ${why}`);
}
