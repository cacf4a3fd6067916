/** Choosing a variant of an objective by its name. @module */

import { UserError } from "../core/errors.ts";

/** The entry of a table of variants. @throws UserError that lists the names if there is no such entry. */
export function variantOf<T>(table: Readonly<Record<string, T>>, name: string, option: string): T {
  const found = Object.hasOwn(table, name) ? table[name] : undefined;
  if (found !== undefined) return found;
  throw new UserError(`${option} is "${name}"; it can be ${Object.keys(table).join(", ")}.`);
}
