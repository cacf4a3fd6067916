/** Python's binding of arguments to parameters. */

import { refuse } from "./errors.ts";
import type { Keywords, Value } from "./values.ts";

/** A parameter: its name alone if an argument is needed, or the name and the default. */
export type Parameter = string | readonly [name: string, fallback: Value];

/** The values of a function's parameters, in order. */
export type Bind = (args: readonly Value[], keywords: Keywords) => Value[];

/**
 * Binds positional and named arguments.
 *
 * @throws {TemplateError} (the function made) for surplus, unknown and missing arguments
 */
export function signature(name: string, parameters: readonly Parameter[]): Bind {
  const names = parameters.map((p) => typeof p === "string" ? p : p[0]);
  return (args, keywords) => {
    if (args.length > names.length) {
      refuse(`${name} takes at most ${names.length} argument(s), not ${args.length}`);
    }
    for (const key of keywords.keys()) {
      const place = names.indexOf(key);
      if (place < 0) refuse(`${name} has no parameter '${key}'`);
      if (place < args.length) refuse(`${name} got two values for '${key}'`);
    }
    return parameters.map((parameter, i) => {
      if (i < args.length) return args[i]!;
      const named = keywords.get(names[i]!);
      if (named !== undefined) return named;
      return typeof parameter === "string"
        ? refuse(`${name} needs a value for '${parameter}'`)
        : parameter[1];
    });
  };
}

/** As `signature`, for functions whose parameters have no names for callers. */
export function positional(name: string, least: number, most = least): Bind {
  return (args, keywords) => {
    if (keywords.size > 0) refuse(`${name} takes no keyword arguments`);
    if (args.length < least || args.length > most) {
      const takes = least === most ? `${least}` : `${least} to ${most}`;
      refuse(`${name} takes ${takes} argument(s), not ${args.length}`);
    }
    return [...args];
  };
}

/** For calls without keyword arguments. */
export const NO_KEYWORDS: Keywords = new Map();
