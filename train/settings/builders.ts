/**
 * Builders of declared options, one per kind of value. A builder knows how its kind is read from
 * the command line and from YAML, and infers the type of the value.
 *
 * @module
 */

import { type DeviceName, parseDeviceName } from "../../core/device/choice.ts";
import type { Alias, Condition, Option, Reading, Status } from "./option.ts";

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

const text = (raw: unknown): string | undefined => typeof raw === "string" ? raw : undefined;
const bad = { ok: false } as const;
const good = <T>(value: T): Reading<T> => ({ ok: true, value });

/** Whether a value is null or the word for it, also as the only item of a list. */
function isNone(given: unknown): boolean {
  const raw: unknown = Array.isArray(given) && given.length === 1 ? given[0] : given;
  return raw === null || (typeof raw === "string" && /^(none|null)$/i.test(raw));
}

interface Shape<T> {
  readonly shown: string;
  readonly expected: string;
  readonly arity?: "one" | "optional" | "many";
  readonly negatable?: boolean;
  /** Whether the text "none" is an ordinary value, as it is for strings. */
  readonly noneIsText?: boolean;
  readonly read: (raw: unknown) => Reading<T>;
}

function declare<T>(spec: Spec<T>, shape: Shape<T>): Option<T | undefined> {
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

/** The bounds of a number; `above` and `below` exclude the bound itself. */
export interface NumberSpec extends Spec<number> {
  /** The least value accepted. */
  readonly min?: number;
  /** The greatest value accepted. */
  readonly max?: number;
  /** Values must be above this. */
  readonly above?: number;
  /** Values must be below this. */
  readonly below?: number;
  /** Whether values above one must be whole, as for intervals that are steps or a ratio. */
  readonly ratioOrWhole?: boolean;
}

/** Decimal notation as Python reads it, scientific and with `_` between digits. */
const NUMBER = /^[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[-+]?\d+)?$/i;

function readNumber(raw: unknown): number | undefined {
  if (typeof raw === "number") return raw;
  const word = text(raw)?.trim();
  return word !== undefined && NUMBER.test(word) ? Number(word.replaceAll("_", "")) : undefined;
}

function within(value: number, spec: NumberSpec): boolean {
  return Number.isFinite(value) &&
    (spec.min === undefined || value >= spec.min) &&
    (spec.max === undefined || value <= spec.max) &&
    (spec.above === undefined || value > spec.above) &&
    (spec.below === undefined || value < spec.below) &&
    (!spec.ratioOrWhole || value <= 1 || Number.isInteger(value));
}

function bounds(spec: NumberSpec): string {
  const parts = [
    ...(spec.min === undefined ? [] : [`at least ${spec.min}`]),
    ...(spec.above === undefined ? [] : [`above ${spec.above}`]),
    ...(spec.max === undefined ? [] : [`at most ${spec.max}`]),
    ...(spec.below === undefined ? [] : [`below ${spec.below}`]),
    ...(spec.ratioOrWhole ? ["whole if above 1"] : []),
  ];
  return parts.length === 0 ? "" : `, ${parts.join(" and ")}`;
}

/** A whole number. */
export function int(spec: Always<number, NumberSpec>): Option<number>;
/** The same, undefined where it is not set. */
export function int(spec: NumberSpec): Option<number | undefined>;
export function int(spec: NumberSpec): Option<number | undefined> {
  return declare(spec, {
    shown: "INT",
    expected: `a whole number${bounds(spec)}`,
    read: (raw) => {
      const value = readNumber(raw);
      return value !== undefined && Number.isSafeInteger(value) && within(value, spec)
        ? good(value)
        : bad;
    },
  });
}

/** A number. */
export function float(spec: Always<number, NumberSpec>): Option<number>;
/** The same, undefined where it is not set. */
export function float(spec: NumberSpec): Option<number | undefined>;
export function float(spec: NumberSpec): Option<number | undefined> {
  return declare(spec, {
    shown: "FLOAT",
    expected: `a number${bounds(spec)}`,
    read: (raw) => {
      const value = readNumber(raw);
      return value !== undefined && within(value, spec) ? good(value) : bad;
    },
  });
}

/** Any text; `shown` is the placeholder in the help (TEXT, PATH). */
export function string(
  spec: Always<string, Spec<string> & { readonly shown?: string }>,
): Option<string>;
/** The same, undefined where it is not set. */
export function string(
  spec: Spec<string> & { readonly shown?: string },
): Option<string | undefined>;
export function string(
  spec: Spec<string> & { readonly shown?: string },
): Option<string | undefined> {
  return declare(spec, {
    shown: spec.shown ?? "TEXT",
    expected: "text (in YAML, quote what would read as a number or a truth value)",
    noneIsText: true,
    read: (raw) => {
      const value = text(raw);
      return value === undefined ? bad : good(value);
    },
  });
}

/** The name of a device. */
export function device(
  spec: Spec<DeviceName> & { readonly default: DeviceName },
): Option<DeviceName> {
  const read = (raw: unknown): Reading<DeviceName> => {
    try {
      parseDeviceName(String(raw));
      return good(raw as DeviceName);
    } catch {
      return bad;
    }
  };
  const option = declare(spec, {
    shown: "auto|cpu|webgpu[:WHICH]",
    expected:
      "auto, cpu, webgpu, webgpu:high-performance, webgpu:low-power or webgpu:PART_OF_A_NAME",
    noneIsText: true,
    read,
  });
  return { ...option, default: spec.default, read };
}

/** The values of a choice, and older spellings of them. */
export interface ChoiceSpec<C extends string> extends Spec<C> {
  /** The names. */
  readonly choices: readonly C[];
  /** Other spellings of them. */
  readonly synonyms?: Readonly<Record<string, C>>;
  /** Values TRL knows and this version does not, each with the reason. */
  readonly unavailable?: Readonly<Record<string, string>>;
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
    shown: `${spec.choices.join("|")} …`,
    expected: `one or more of ${spec.choices.join(", ")}`,
    arity: "many",
    read,
  });
  return { ...option, default: initial, read };
}

function readList<T>(raw: unknown, read: (item: unknown) => Reading<T>): Reading<readonly T[]> {
  const items: readonly unknown[] = Array.isArray(raw) ? raw : [raw];
  const values: T[] = [];
  for (const item of items) {
    const reading = read(item);
    if (!reading.ok) return reading;
    values.push(reading.value);
  }
  return values.length === 0 ? bad : good(values);
}

/** A list of texts. */
export function strings(
  spec: Spec<readonly string[]>,
): Option<readonly string[] | undefined> {
  return declare(spec, {
    shown: "TEXT …",
    expected: "one or more texts",
    arity: "many",
    read: (raw) => {
      if (isNone(raw)) return bad;
      return readList(raw, (item) => typeof item === "string" ? good(item) : bad);
    },
  });
}

/** A list of numbers. */
export function floats(
  spec: Spec<readonly number[]> & {
    readonly default: readonly number[];
    readonly optional?: false;
  },
): Option<readonly number[]>;
/** The same, undefined where it is not set. */
export function floats(spec: Spec<readonly number[]>): Option<readonly number[] | undefined>;
export function floats(spec: Spec<readonly number[]>): Option<readonly number[] | undefined> {
  return declare(spec, {
    shown: "FLOAT …",
    expected: "one or more numbers",
    arity: "many",
    read: (raw) => {
      if (isNone(raw)) return bad;
      return readList(raw, (item) => {
        const value = readNumber(item);
        return value === undefined || !Number.isFinite(value) ? bad : good(value);
      });
    },
  });
}

/** A list of whole numbers. */
export function ints(
  spec: Spec<readonly number[]> & Pick<NumberSpec, "min">,
): Option<readonly number[] | undefined> {
  return declare(spec, {
    shown: "INT …",
    expected: `one or more whole numbers${bounds({ help: "", ...pick(spec) })}`,
    arity: "many",
    read: (raw) => {
      if (isNone(raw)) return bad;
      return readList(raw, (item) => {
        const value = readNumber(item);
        const fits = Number.isSafeInteger(value) && value! >= (spec.min ?? -Infinity);
        return fits ? good(value!) : bad;
      });
    },
  });
}

function pick({ min }: Pick<NumberSpec, "min">): Pick<NumberSpec, "min"> {
  return min === undefined ? {} : { min };
}

/** A value as JSON text on the command line, or as YAML gives it. */
export function json(spec: Spec<unknown>): Option<unknown> {
  return declare(spec, {
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
  return declare(spec, { shown: "VALUE", expected: "a value", read: good });
}

/** A path, or a bare flag: `--resume_from_checkpoint` or `--resume_from_checkpoint out/checkpoint-10`. */
export function pathOrTrue(spec: Spec<string | true>): Option<string | true | undefined> {
  return declare<string | true | undefined>(spec, {
    shown: "[PATH]",
    expected: "a path, or true for the newest one",
    arity: "optional",
    negatable: true,
    read: (raw) => {
      // Only the words, so that a directory may be called "1" or "y".
      const word = typeof raw === "string" ? raw.toLowerCase() : raw;
      if (word === true || word === "true") return good(true as const);
      if (word === false || word === "false") return good(undefined);
      return typeof raw === "string" && raw !== "" && !isNone(raw) ? good(raw) : bad;
    },
  });
}
