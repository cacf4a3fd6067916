/** Options that are one or several of a list of names. @module */

import type { Option, Reading } from "../option.ts";
import { type Always, bad, declare, good, type Spec } from "./declare.ts";
import { readList } from "./lists.ts";

/** The values of a choice, and older spellings of them. */
export interface ChoiceSpec<C extends string> extends Spec<C> {
  /** The names. */
  readonly choices: readonly C[];
  /** Other spellings of them. */
  readonly synonyms?: Readonly<Record<string, C>>;
  /** Values TRL knows and this version does not, each with the reason. */
  readonly unavailable?: Readonly<Record<string, string>>;
}

function unionOf(choices: readonly string[]): string {
  return choices.map((name) => JSON.stringify(name)).join(" | ");
}

function readChoice<C extends string>(spec: ChoiceSpec<C>, raw: unknown): Reading<C> {
  const synonyms = new Map(Object.entries(spec.synonyms ?? {}));
  const unavailable = new Map(Object.entries(spec.unavailable ?? {}));
  // YAML 1.1 reads a bare `no` as false: `eval_strategy: false` means the choice "no".
  const word = raw === false && !synonyms.has("false") ? "no" : String(raw);
  const found = spec.choices.find((choice) => choice === word) ?? synonyms.get(word);
  if (found !== undefined) return good(found);
  const reason = unavailable.get(word);
  return reason === undefined ? bad : { ok: false, unavailable: reason };
}

/** One of a list of names. */
export function choice<const C extends string>(spec: Always<C, ChoiceSpec<C>>): Option<C>;
/** The same, undefined where it is not set. */
export function choice<const C extends string>(spec: ChoiceSpec<C>): Option<C | undefined>;
export function choice<const C extends string>(spec: ChoiceSpec<C>): Option<C | undefined> {
  return declare<C>(spec, {
    type: unionOf(spec.choices),
    shown: spec.choices.join("|"),
    expected: `one of ${spec.choices.join(", ")}`,
    read: (raw) => readChoice(spec, raw),
  });
}

/** One or more of a list of names. */
export function choices<const C extends string>(
  spec:
    & Omit<ChoiceSpec<C>, "default" | "quiet">
    & { readonly default: readonly C[] },
): Option<readonly C[]> {
  const { default: initial, ...rest } = spec;
  const one: ChoiceSpec<C> = rest;
  const read = (raw: unknown) => readList(raw, (item) => readChoice(one, item));
  const option = declare<readonly C[]>({ ...rest, default: initial }, {
    type: `${unionOf(spec.choices)} | readonly (${unionOf(spec.choices)})[]`,
    shown: `${spec.choices.join("|")} …`,
    expected: `one or more of ${spec.choices.join(", ")}`,
    arity: "many",
    read,
  });
  return { ...option, default: initial, read };
}
