/**
 * Reads a command line, and the settings file it names, against a set of declared options.
 *
 * @module
 */

import { UserError } from "../core/errors.ts";
import type { Options, Values } from "../train/settings/option.ts";
import {
  type NameTable,
  nameTable,
  type ReadSettings,
  readSettings,
  refuseTwoNames,
  type Setting,
  suggestion,
  UnknownOption,
} from "../train/settings/read.ts";
import { type ConfigFile, readConfigFile } from "./config_file.ts";

/** What {@linkcode parse} may be given beside the options. */
export interface ParseSettings<O extends Options> {
  /** Checks across options; throws a UserError. */
  readonly check?: (values: Values<O>) => void;
  /** Reads the file of `--config`. By default from disk, with its `env` put in the environment. */
  readonly readConfig?: (path: string) => ConfigFile;
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
): ReadSettings<Values<O>> {
  const names = nameTable(options);
  const flags = readFlags(argv, options, names);
  const path = Object.hasOwn(options, "config")
    ? flags.findLast((flag) => flag.name === "config")?.raw
    : undefined;
  const file = typeof path === "string" ? (settings.readConfig ?? readConfigFile)(path) : undefined;
  const keys = file === undefined ? [] : readKeys(file, names);
  refuseTwoNames(flags);
  refuseTwoNames(keys);
  return readSettings([...keys, ...flags], options, {
    spell: flagOf,
    more: "See --help.",
    check: settings.check,
  });
}

function flagOf(name: string): string {
  return `--${name}`;
}

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
  const { text, known: explained } = suggestion(key, names, flagOf);
  throw new UnknownOption(
    `There is no option ${written}.${text} See --help.`,
    written,
    key,
    explained,
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
      const { text, known: explained } = suggestion(snakeCase(key), names, (name) => name);
      throw new UnknownOption(
        `${where}: there is no option ${key}.${text} See --help.`,
        `${key} (${where})`,
        snakeCase(key),
        explained,
      );
    }
    return { ...known, raw: value, label: `${key} (${where})` };
  });
}
