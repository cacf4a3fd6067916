/** What all builders of options share. @module */

import type { Alias, Condition, Option, Reading, Status } from "../option.ts";

/** What every builder takes. `notice` and `refused` exclude each other. */
export interface Spec<T> {
  /** One or two short sentences. */
  readonly help: string;
  /** The value when nothing is given. */
  readonly default?: T;
  /** Whether `none` and YAML's null mean "unset". Implied where there is no default. */
  readonly optional?: boolean;
  /** Whether the command cannot run without it. */
  readonly required?: boolean;
  /** What must hold for it to have an effect; all of them, if there are several. */
  readonly when?: Condition | readonly Condition[];
  /** Older names. */
  readonly aliases?: readonly (string | Alias)[];
  /** Accepted without effect, for this reason. */
  readonly notice?: string;
  /** Not offered, for this reason. */
  readonly refused?: string;
  /** Values beside the default that need no notice, or are not refused. */
  readonly quiet?: readonly T[];
  /** Lines for single values, by the value as text. */
  readonly valueNotices?: Readonly<Record<string, string>>;
  /** What to do instead, where a value is not accepted. */
  readonly instead?: string;
}

/** The value is always there: it has a default that cannot be unset, or it must be given. */
export type Always<T, S extends Spec<T> = Spec<T>> =
  & S
  & ({ readonly default: T; readonly optional?: false } | { readonly required: true });

/** A value if it is text. */
export const text = (raw: unknown): string | undefined => typeof raw === "string" ? raw : undefined;
/** A value that cannot be. */
export const bad = { ok: false } as const;
/** A value as it is meant. */
export const good = <T>(value: T): Reading<T> => ({ ok: true, value });

/** Whether a value is null or the word for it, also as the only item of a list. */
export function isNone(given: unknown): boolean {
  const raw: unknown = Array.isArray(given) && given.length === 1 ? given[0] : given;
  return raw === null || (typeof raw === "string" && /^(none|null)$/i.test(raw));
}

/** What is particular to a kind of values. */
export interface Shape<T> {
  /** The type of a value in TypeScript, as a library's option has it. */
  readonly type: string;
  readonly shown: string;
  readonly names?: Option<T>["names"];
  readonly expected: string;
  readonly arity?: "one" | "optional" | "many";
  readonly negatable?: boolean;
  /** Whether the text "none" is an ordinary value, as it is for strings. */
  readonly noneIsText?: boolean;
  readonly read: (raw: unknown) => Reading<T>;
}

/** Makes an option of what a user of the builders and the kind of values say. */
export function declare<T>(spec: Spec<T>, shape: Shape<T>): Option<T | undefined> {
  const optional = spec.optional ?? (spec.default === undefined && !spec.required);
  const read = (raw: unknown): Reading<T | undefined> => {
    const unset = shape.noneIsText ? raw === null : isNone(raw);
    if (!unset) return shape.read(raw);
    // A choice may be called "none" itself.
    const value = raw === null ? bad : shape.read(raw);
    return value.ok || !optional ? value : good(undefined);
  };
  return {
    default: spec.default,
    required: spec.required ?? false,
    help: spec.help,
    group: "",
    shown: shape.shown,
    type: shape.type,
    optional,
    names: shape.names,
    expected: shape.expected + (optional && !shape.noneIsText ? ", or none" : "") +
      (spec.instead === undefined ? "" : ` (${spec.instead})`),
    arity: shape.arity ?? "one",
    negatable: shape.negatable ?? false,
    aliases: (spec.aliases ?? []).map((alias) =>
      typeof alias === "string"
        ? { name: alias, bare: shape.arity === "optional", translate: (raw: unknown) => raw }
        : alias
    ),
    status: statusOf(spec),
    valueNotices: spec.valueNotices ?? {},
    when: [spec.when ?? []].flat(),
    read,
  };
}

function statusOf<T>(spec: Spec<T>): Status {
  if (spec.refused !== undefined) {
    return { kind: "refused", reason: spec.refused, allowed: spec.quiet ?? [] };
  }
  if (spec.notice !== undefined) {
    return { kind: "notice", text: spec.notice, quiet: spec.quiet ?? [] };
  }
  return { kind: "works" };
}
