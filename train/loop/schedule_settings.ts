/**
 * The settings of one learning-rate schedule, read from `lr_scheduler_kwargs` by name, so that a
 * misspelt or misplaced one is refused instead of being ignored.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";

/** Typed access to a schedule's settings. */
export interface Settings {
  /** The name of the schedule, for messages. */
  readonly schedule: string;
  /** A number, or undefined where it is not given. */
  readonly number: (name: string) => number | undefined;
  /** A number that must be given. */
  readonly required: (name: string) => number;
  /** One of a few words. */
  readonly choice: <C extends string>(name: string, choices: readonly C[]) => C | undefined;
  /** A truth value. */
  readonly boolean: (name: string) => boolean | undefined;
  /** Call when everything was read: throws on a setting that was given but not read. */
  readonly refuseOthers: () => void;
}

/**
 * Wraps the settings of a schedule. Numbers may be text, as YAML and the command line give them.
 *
 * @throws {UserError} From its functions, on a missing, unknown or bad setting.
 */
export function readSettings(
  schedule: string,
  kwargs: Readonly<Record<string, unknown>>,
): Settings {
  const known = new Set<string>();
  const take = (name: string): unknown => {
    known.add(name);
    return Object.hasOwn(kwargs, name) ? kwargs[name] ?? undefined : undefined;
  };
  const refuse = (name: string, value: unknown, expected: string): UserError =>
    new UserError(
      `Bad value for ${name} in lr_scheduler_kwargs of the schedule ${schedule}: ` +
        `${JSON.stringify(value)}. Expected ${expected}.`,
    );
  const number = (name: string): number | undefined => {
    const value = take(name);
    if (value === undefined) return undefined;
    const parsed = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
    if (typeof parsed !== "number" || !Number.isFinite(parsed)) {
      throw refuse(name, value, "a number");
    }
    return parsed;
  };
  return {
    schedule,
    number,
    required: (name) => {
      const value = number(name);
      if (value !== undefined) return value;
      throw new UserError(
        `The schedule ${schedule} needs ${name}. Give it in lr_scheduler_kwargs, such as ` +
          `'{"${name}": 100}'.`,
      );
    },
    choice: (name, choices) => {
      const value = take(name);
      if (value === undefined) return undefined;
      const found = choices.find((choice) => choice === value);
      if (found === undefined) throw refuse(name, value, `one of ${choices.join(", ")}`);
      return found;
    },
    boolean: (name) => {
      const value = take(name);
      if (value === undefined || typeof value === "boolean") return value;
      if (value === "true" || value === "false") return value === "true";
      throw refuse(name, value, "true or false");
    },
    refuseOthers: () => {
      const stranger = Object.keys(kwargs).find((name) => !known.has(name));
      if (stranger === undefined) return;
      throw new UserError(
        `The schedule ${schedule} has no setting ${stranger} in lr_scheduler_kwargs. ` +
          (known.size === 0 ? "It has none." : `It has: ${[...known].sort().join(", ")}.`),
      );
    },
  };
}
