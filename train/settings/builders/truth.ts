/** Options that are a yes or a no. @module */

import type { Option } from "../option.ts";
import { type Always, bad, declare, good, type Spec, text } from "./declare.ts";

/**
 * Reads a truth value as TRL's parser does (true/false, yes/no, t/f, y/n, 1/0), and on/off, which
 * YAML files written for Python use. Undefined for anything else.
 */
export function readBoolean(raw: unknown): boolean | undefined {
  if (typeof raw === "boolean") return raw;
  const word = raw === 1 || raw === 0 ? String(raw) : text(raw)?.toLowerCase();
  if (word === undefined) return undefined;
  if (["true", "yes", "t", "y", "1", "on"].includes(word)) return true;
  if (["false", "no", "f", "n", "0", "off"].includes(word)) return false;
  return undefined;
}

/** A yes-or-no option. */
export function bool(spec: Always<boolean>): Option<boolean>;
/** The same, undefined where it is not set. */
export function bool(spec: Spec<boolean>): Option<boolean | undefined>;
export function bool(spec: Spec<boolean>): Option<boolean | undefined> {
  return declare(spec, {
    type: "boolean",
    shown: "BOOL",
    expected: "true or false (also yes/no, 1/0)",
    arity: "optional",
    negatable: true,
    read: (raw) => {
      const value = readBoolean(raw);
      return value === undefined ? bad : good(value);
    },
  });
}
