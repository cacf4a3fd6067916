/** Repositories by name, with the settings of the environment; each is asked for once in a while. @module */

import { parseRepository, type Repository } from "./repository.ts";
import { type HubSettings, hubSettings } from "./settings.ts";
import { type HubAccess, type OpenRepository, openRepository } from "./snapshot.ts";

/** What a repository is called. */
export interface RepositoryName {
  /** `organisation/name`, also with `@revision`. */
  readonly name: string;
  /** What it holds. */
  readonly kind: Repository["kind"];
  /** A branch, a tag or a commit; `main` where the name says none either. */
  readonly revision?: string | undefined;
}

/** How a repository is asked for by its name. */
export interface NamedAccess extends HubAccess {
  /** Where the Hub and the cache are; as the environment says by default. */
  readonly settings?: HubSettings | undefined;
}

/** For so long, in milliseconds, a branch counts as unchanged: all parts of a run see the same commit. */
const remembered = 300_000;

interface Remembered {
  readonly opened: Promise<OpenRepository>;
  readonly at: number;
}

const opened = new Map<string, Remembered>();

/**
 * Opens a repository by its name.
 *
 * @throws {UserError} as {@link openRepository}, and for what is no name
 */
export async function openByName(
  { name, kind, revision }: RepositoryName,
  { settings = hubSettings(), ...access }: NamedAccess = {},
): Promise<OpenRepository> {
  const asked = parseRepository(name, { kind, revision });
  const key = JSON.stringify([settings, asked]);
  const known = opened.get(key);
  if (known !== undefined && Date.now() - known.at < remembered) return await known.opened;
  const opening = openRepository(settings, asked, access);
  opened.set(key, { opened: opening, at: Date.now() });
  try {
    return await opening;
  } catch (error) {
    opened.delete(key);
    throw error;
  }
}
