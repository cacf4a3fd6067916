/** Options that are a mapping, or any value. @module */

import type { Option } from "../option.ts";
import { bad, declare, good, type Spec, text } from "./declare.ts";

/** A value as JSON text on the command line, or as YAML gives it. */
export function json(spec: Spec<unknown>): Option<unknown> {
  return declare(spec, {
    type: "unknown",
    shown: "JSON",
    expected: "a value as JSON text",
    read: (raw) => {
      if (typeof raw !== "string") return good(raw);
      try {
        return good(JSON.parse(raw));
      } catch {
        return bad;
      }
    },
  });
}

/** A mapping with text keys, as JSON gives it. */
export type Dict = Readonly<Record<string, unknown>>;

/** Whether a value is a plain mapping. */
export function isDict(value: unknown): value is Dict {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A mapping: JSON text on the command line, a mapping in YAML. */
export function dict(spec: Spec<Dict>): Option<Dict | undefined> {
  return declare(spec, {
    type: "Readonly<Record<string, unknown>>",
    shown: "JSON",
    expected: `a mapping as JSON text, such as '{"num_cycles": 2}'`,
    read: (raw) => {
      if (isDict(raw)) return good(raw);
      try {
        const value: unknown = JSON.parse(text(raw) ?? "");
        return isDict(value) ? good(value) : bad;
      } catch {
        return bad;
      }
    },
  });
}

/** Text, a list or a mapping taken as it comes; for options that are known but not offered. */
export function anything(spec: Spec<unknown>): Option<unknown> {
  return declare(spec, { type: "unknown", shown: "VALUE", expected: "a value", read: good });
}
