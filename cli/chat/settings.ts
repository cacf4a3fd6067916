/** The settings of a chat, and `set`. @module */

import { UserError } from "../../core/errors.ts";
import {
  type Checkpoint,
  type GenerationSettings,
  resolveSettings,
} from "../../train/generation/settings.ts";
import { settableOptions, type SettableValues } from "./options.ts";
import { UnknownOption } from "../../train/settings/read.ts";
import { parse } from "../parse.ts";
import type { Setting } from "./commands.ts";

/** What can be set, and what of it was. */
export interface ChatSettings {
  /** As flags and `set` say. */
  readonly flags: SettableValues;
  /** The names of those that were given. */
  readonly given: ReadonlySet<string>;
  /** What generation does with them. */
  readonly generation: GenerationSettings;
}

/** Settings from flags. @throws {UserError} as {@linkcode resolveSettings}. */
export function chatSettings(
  flags: SettableValues,
  given: ReadonlySet<string>,
  checkpoint: Checkpoint,
): ChatSettings {
  const names = Object.keys(settableOptions) as (keyof SettableValues)[];
  // The flags of a chat hold more than can be set.
  const own = Object.fromEntries(names.map((name) => [name, flags[name]])) as SettableValues;
  return { flags: own, given, generation: resolveSettings(own, given, checkpoint) };
}

/**
 * Settings after `set`.
 *
 * @throws {UserError} if there is no such setting or a value is refused; then none of them is set.
 */
export function withSettings(
  before: ChatSettings,
  changes: readonly Setting[],
  checkpoint: Checkpoint,
): ChatSettings {
  const argv = changes.map(({ name, value }) => `--${name}=${value}`);
  const { values, given } = readFlags(argv);
  const changed = Object.entries(values).filter(([name]) => given.has(name));
  return chatSettings(
    { ...before.flags, ...Object.fromEntries(changed) },
    new Set([...before.given, ...given]),
    checkpoint,
  );
}

function readFlags(argv: readonly string[]) {
  try {
    return parse(argv, settableOptions);
  } catch (error) {
    if (!(error instanceof UnknownOption)) throw error;
    throw new UserError(
      `There is no setting "${error.option}". Settings are ${
        Object.entries(settableOptions)
          .filter(([, { status }]) => status.kind === "works")
          .map(([name]) => name).join(", ")
      }.`,
    );
  }
}

/** The settings in effect by their flags' names, those that are unset left out. */
export function settingsInEffect({ flags, generation }: ChatSettings): Record<string, unknown> {
  const entries = Object.entries({ ...flags, ...generation.values });
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}
