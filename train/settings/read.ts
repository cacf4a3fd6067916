/**
 * Reads settings, wherever they were written, against a set of declared ones.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { nearest } from "./nearest.ts";
import type { Option, Options, Values } from "./option.ts";
import { otherNames } from "./other_names.ts";

/** Settings as they were read. */
export interface ReadSettings<V> {
  /** A value for every setting. */
  readonly values: V;
  /** The names of those that were given. */
  readonly given: ReadonlySet<string>;
  /** One line per setting that has a new name or no effect here. */
  readonly notices: readonly string[];
}

/** An option that the command does not have; another command may. */
export class UnknownOption extends UserError {
  /** Takes the whole message. */
  constructor(
    message: string,
    /** The option in messages: `--name`, or `name (file.yaml, line 3)`. */
    readonly label: string,
    /** Its name in snake_case. */
    readonly option: string,
    /** Whether the message says what to do instead. */
    readonly explained: boolean,
  ) {
    super(message);
  }
}

/** One setting as it was written. */
export interface Setting {
  /** The name of the option. */
  readonly name: string;
  /** The name that was written, in snake_case, where it is an older one. */
  readonly alias?: string;
  readonly raw: unknown;
  /** The setting in messages: `--name`, or `name (file.yaml, line 3)`. */
  readonly label: string;
}

/** How settings are read. */
export interface Reading<O extends Options> {
  /** A setting's name as the user writes it, in messages about one that is not there. */
  readonly spell: (name: string) => string;
  /** Where more is to be read, at the end of a message about a setting that is missing. */
  readonly more?: string;
  /** Checks across settings; throws a UserError. */
  readonly check?: ((values: Values<O>) => void) | undefined;
}

/**
 * The values of settings, of which a later one of the same name wins.
 *
 * @throws {UserError} On a bad, missing or refused value, or a missing required setting.
 */
export function readSettings<O extends Options>(
  settings: readonly Setting[],
  options: O,
  { spell, more, check }: Reading<O>,
): ReadSettings<Values<O>> {
  const values = new Map(Object.entries(options).map(([name, option]) => [name, option.default]));
  const given = new Set<string>();
  const notices: string[] = [];
  const winners = new Map(settings.map((setting) => [setting.name, setting]));
  for (const setting of winners.values()) {
    const option = options[setting.name]!;
    const reading = readSetting(setting, option);
    if (setting.alias !== undefined) {
      notices.push(`${setting.label} is an older name of ${setting.name}.`);
    }
    if (!reading.asked) continue;
    values.set(setting.name, reading.value);
    given.add(setting.name);
    notices.push(...judge(setting, option, reading.value));
  }
  const missing = Object.entries(options).filter(([name, option]) =>
    option.required && values.get(name) === undefined
  );
  if (missing.length > 0) {
    throw new UserError(
      `Missing ${missing.map(([name]) => spell(name)).join(" and ")}: ` +
        missing.map(([, option]) => option.help).join(" ") +
        (more === undefined ? "" : ` ${more}`),
    );
  }
  const typed = Object.fromEntries(values) as Values<O>;
  check?.(typed);
  return { values: typed, given, notices };
}

/** Names that settings answer to, and what they name. */
export type NameTable = ReadonlyMap<string, { name: string; alias?: string }>;

/** Every name an option answers to, in snake_case. */
export function nameTable(options: Options): NameTable {
  const table = new Map<string, { name: string; alias?: string }>();
  for (const [name, option] of Object.entries(options)) {
    for (const alias of option.aliases) table.set(alias.name, { name, alias: alias.name });
  }
  for (const name of Object.keys(options)) table.set(name, { name });
  return table;
}

/** What can be said of a name that is not there. */
export interface Suggestion {
  /** The end of the message; perhaps empty. */
  readonly text: string;
  /** Whether it is a name of another library or version, so that no likeness counts. */
  readonly known: boolean;
}

/** What is meant by a name that is not there: what is called so elsewhere, else the nearest name. */
export function suggestion(
  key: string,
  names: NameTable,
  spell: (name: string) => string,
): Suggestion {
  const other = otherNames.get(key) ?? otherNames.get(key.replace(/^no_/, ""));
  if (other?.advice !== undefined) {
    const advice = other.advice.replace(/[a-z]+(_[a-z0-9]+)+/g, (word) => {
      const here = names.get(word);
      return here ? spell(here.name) : word;
    });
    return { text: ` It is a name in ${other.of}. ${advice}`, known: true };
  }
  if (other?.option !== undefined) {
    const here = names.get(other.option);
    const named = here ? spell(here.name) : `${spell(other.option)}, which is not among them`;
    return { text: ` In ${other.of} it is what ${named} is here.`, known: true };
  }
  const near = nearest(key, names.keys());
  return {
    text: near === undefined ? "" : ` The nearest is ${spell(names.get(near)!.name)}.`,
    known: false,
  };
}

/** An old and a new name beside each other leave open which one is meant. */
export function refuseTwoNames(settings: readonly Setting[]): void {
  const seen = new Map<string, Setting>();
  for (const setting of settings) {
    const other = seen.get(setting.name);
    if (other !== undefined && other.alias !== setting.alias) {
      throw new UserError(
        `${other.label} and ${setting.label} are two names of ${setting.name}. Give only one.`,
      );
    }
    seen.set(setting.name, setting);
  }
}

/** The value of a setting; `asked` is false where an older name asks for nothing. */
function readSetting(
  setting: Setting,
  option: Option<unknown>,
): { readonly asked: boolean; readonly value?: unknown } {
  const alias = option.aliases.find((known) => known.name === setting.alias);
  let raw = setting.raw;
  if (alias !== undefined) {
    try {
      raw = alias.translate(raw);
    } catch (error) {
      throw badValue(setting, error instanceof Error ? error.message : option.expected);
    }
    if (raw === undefined) return { asked: false };
  }
  const reading = option.read(raw);
  if (reading.ok) return { asked: true, value: reading.value };
  if (reading.unavailable !== undefined) {
    throw new UserError(
      `${setting.label} ${shown(setting.raw)} is not available: ${reading.unavailable}. ` +
        `Choose ${option.expected}.`,
    );
  }
  throw badValue(setting, option.expected);
}

function badValue(setting: Setting, expected: string): UserError {
  return new UserError(
    `Bad value for ${setting.label}: ${shown(setting.raw)}. Expected ${expected}.`,
  );
}

function shown(raw: unknown): string {
  if (typeof raw === "string") return `"${raw}"`;
  if (typeof raw === "function") return `the function ${raw.name}`;
  const words = Array.isArray(raw) && raw.every((item) => typeof item === "string");
  return words ? raw.map((item) => `"${item}"`).join(" ") : JSON.stringify(raw);
}

/** The lines for a value, or a throw if it is refused. */
function judge(setting: Setting, option: Option<unknown>, value: unknown): readonly string[] {
  if (same(value, option.default)) return [];
  const { status } = option;
  const { label } = setting;
  if (status.kind === "refused" && !status.allowed.some((allowed) => same(allowed, value))) {
    const initial = option.default === undefined ? "" : ` or set it to ${String(option.default)}`;
    throw new UserError(
      `${label} is not available in this version: ${status.reason}. Leave it out${initial}.`,
    );
  }
  if (status.kind === "notice" && !status.quiet.some((quiet) => same(quiet, value))) {
    return [`${label} has no effect: ${status.text}.`];
  }
  const word = String(value);
  const note = Object.hasOwn(option.valueNotices, word) ? option.valueNotices[word] : undefined;
  return note === undefined ? [] : [`${label} ${word}: ${note}.`];
}

function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
