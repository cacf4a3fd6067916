/** Options that are code: a module named by its path or, in a script, the function itself. @module */

import type { Option } from "../option.ts";
import { bad, declare, good, isNone, type Spec } from "./declare.ts";
import { readList } from "./lists.ts";

/** Any function. What it is called with is the type of the setting's declaration. */
export type AnyFunction = (...args: never[]) => unknown;

/** What names code: text on a command line and in a file; in a script, the function too. */
export type Code = string | AnyFunction;

/** What is called, and how a value is shown in the help. */
export interface CodeSpec<T> extends Spec<T> {
  /** The type of the function, as a script writes it. */
  readonly signature: string;
  /** The placeholder in the help. */
  readonly shown: string;
}

function readCode(raw: unknown) {
  const fits = typeof raw === "function" || (typeof raw === "string" && raw !== "");
  return fits ? good(raw as Code) : bad;
}

/** A function of the user's. */
export function code(spec: CodeSpec<Code>): Option<Code | undefined> {
  return declare(spec, {
    type: `string | (${spec.signature})`,
    shown: spec.shown,
    expected: "the path of a module (in a script, a function)",
    noneIsText: true,
    read: readCode,
  });
}

/** Several functions of the user's. */
export function codes(spec: CodeSpec<readonly Code[]>): Option<readonly Code[] | undefined> {
  return declare(spec, {
    type: `readonly (string | (${spec.signature}))[] | string | (${spec.signature})`,
    shown: spec.shown,
    expected: "one or more texts (in a script, functions)",
    arity: "many",
    read: (raw) => isNone(raw) ? bad : readList(raw, readCode),
  });
}
