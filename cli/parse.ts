/**
 * Reads a command line, and the settings file it names, against a set of declared options.
 *
 * @module
 */

import { UserError } from "../core/errors.ts";
import { type ConfigFile, readConfigFile } from "./config_file.ts";
import { nearest } from "./nearest.ts";
import type { Option, Options, Values } from "../train/settings/option.ts";

/** What a command line says. */
export interface Parsed<O extends Options> {
  /** A value for every option. */
  readonly values: Values<O>;
  /** The names of the options that the command line or the settings file gives. */
  readonly given: ReadonlySet<string>;
  /** One line per option that has a new name or no effect here. */
  readonly notices: readonly string[];
}

/** What {@linkcode parse} may be given beside the options. */
export interface ParseSettings<O extends Options> {
  /** Checks across options; throws a UserError. */
  readonly check?: (values: Values<O>) => void;
  /** Reads the file of `--config`. By default from disk, with its `env` put in the environment. */
  readonly readConfig?: (path: string) => ConfigFile;
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
  ) {
    super(message);
  }
}

/** One setting as it was written. */
interface Setting {
  /** The name of the option. */
  readonly name: string;
  /** The name that was written, in snake_case, where it is an older one. */
  readonly alias?: string;
  readonly raw: unknown;
  /** The setting in messages: `--name`, or `name (file.yaml, line 3)`. */
  readonly label: string;
}

/**
 * Parses `argv` (without the command's name) against `options`. Flags are `--snake_case` or
 * `--kebab-case`, with `--flag value` or `--flag=value`; a flag given twice counts the last time;
 * values of a `config` option's file are defaults that flags win over.
 *
 * @throws {UnknownOption} On an unknown flag or key (names the nearest).
 * @throws {UserError} On a bad, missing or refused value, or a missing required option.
 */
export function parse<O extends Options>(
  argv: readonly string[],
  options: O,
  settings: ParseSettings<O> = {},
): Parsed<O> {
  const names = nameTable(options);
  const flags = readFlags(argv, options, names);
  const path = Object.hasOwn(options, "config")
    ? flags.findLast((flag) => flag.name === "config")?.raw
    : undefined;
  const file = typeof path === "string" ? (settings.readConfig ?? readConfigFile)(path) : undefined;
  const keys = file === undefined ? [] : readKeys(file, names);
  refuseTwoNames(flags);
  refuseTwoNames(keys);

  const values = new Map(Object.entries(options).map(([name, option]) => [name, option.default]));
  const given = new Set<string>();
  const notices: string[] = [];
  const winners = new Map([...keys, ...flags].map((setting) => [setting.name, setting]));
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
      `Missing ${missing.map(([name]) => `--${name}`).join(" and ")}: ` +
        missing.map(([, option]) => option.help).join(" ") + " See --help.",
    );
  }
  const typed = Object.fromEntries(values) as Values<O>;
  settings.check?.(typed);
  return { values: typed, given, notices };
}

/** Every name an option answers to, in snake_case. */
function nameTable(options: Options): ReadonlyMap<string, { name: string; alias?: string }> {
  const table = new Map<string, { name: string; alias?: string }>();
  for (const [name, option] of Object.entries(options)) {
    for (const alias of option.aliases) table.set(alias.name, { name, alias: alias.name });
  }
  for (const name of Object.keys(options)) table.set(name, { name });
  return table;
}

type NameTable = ReturnType<typeof nameTable>;

function snakeCase(flag: string): string {
  return flag.replaceAll("-", "_");
}

/** Whether a token begins a flag: `-1`, `-.5` and `-inf` are values. */
function isFlag(token: string | undefined): boolean {
  return token !== undefined && /^-(?![\d.]|inf)./i.test(token);
}

function readFlags(argv: readonly string[], options: Options, names: NameTable): Setting[] {
  const found: Setting[] = [];
  for (let at = 0; at < argv.length;) {
    const token = argv[at++]!;
    if (!token.startsWith("--") || token === "--") {
      throw new UserError(
        `Unexpected argument "${token}". Options are written --name value; see --help.`,
      );
    }
    const equals = token.indexOf("=");
    const written = equals < 0 ? token : token.slice(0, equals);
    const inline = equals < 0 ? undefined : token.slice(equals + 1);
    const { name, alias, negated } = resolveFlag(written, options, names);
    const option = options[name]!;
    const label = written;
    const older = alias === undefined ? {} : { alias };
    if (negated) {
      if (inline !== undefined) {
        throw new UserError(`${written} takes no value, but it was given "${inline}".`);
      }
      found.push({ name, ...older, raw: false, label });
      continue;
    }
    const values = inline === undefined ? [] : [inline];
    const limit = option.arity === "many" ? Infinity : 1;
    while (inline === undefined && values.length < limit && at < argv.length && !isFlag(argv[at])) {
      values.push(argv[at++]!);
    }
    const bare = option.aliases.find((known) => known.name === alias)?.bare ??
      option.arity === "optional";
    if (values.length === 0 && !bare) {
      throw new UserError(
        `${written} needs a value: ${option.expected}. ` +
          `A value that begins with a dash is written ${written}=value.`,
      );
    }
    const raw = option.arity === "many" ? values : values[0] ?? true;
    found.push({ name, ...older, raw, label });
  }
  return found;
}

function resolveFlag(
  written: string,
  options: Options,
  names: NameTable,
): { name: string; alias?: string; negated: boolean } {
  const key = snakeCase(written.slice(2));
  const known = names.get(key);
  if (known !== undefined) return { ...known, negated: false };
  const positive = key.startsWith("no_") ? names.get(key.slice(3)) : undefined;
  if (positive !== undefined && options[positive.name]!.negatable) {
    return { ...positive, negated: true };
  }
  throw new UnknownOption(
    `There is no option ${written}.${suggestion(key, names, "--")} See --help.`,
    written,
    key,
  );
}

function readKeys(file: ConfigFile, names: NameTable): Setting[] {
  return file.entries.map(({ key, value, line }) => {
    const where = `${file.path}, line ${line}`;
    if (key === "config") {
      throw new UserError(`${where}: a settings file cannot name another with config.`);
    }
    const known = names.get(snakeCase(key));
    if (known === undefined) {
      const hint = suggestion(snakeCase(key), names, "");
      throw new UnknownOption(
        `${where}: there is no option ${key}.${hint} See --help.`,
        `${key} (${where})`,
        snakeCase(key),
      );
    }
    return { ...known, raw: value, label: `${key} (${where})` };
  });
}

function suggestion(key: string, names: NameTable, dashes: string): string {
  const near = nearest(key, names.keys());
  return near === undefined ? "" : ` The nearest is ${dashes}${names.get(near)!.name}.`;
}

/** An old and a new name beside each other leave open which one is meant. */
function refuseTwoNames(settings: readonly Setting[]): void {
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
