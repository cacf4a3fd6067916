/** Whether a text is a path or the name of a repository on the Hub. @module */

import { UserError } from "../../core/errors.ts";
import { statIfPresent } from "../files/local_paths.ts";
import { isRepositoryId } from "./repository.ts";

/** Endings of files: no repository has such a name, and a mistyped path should not be asked for elsewhere. */
const fileEnding =
  /\.(jsonl?|ndjson|csv|tsv|txt|parquet|arrow|gz|zst|zip|tar|safetensors|bin|gguf|jinja2?|j2|ya?ml|md|[cm]?[jt]s|py)$/i;

/**
 * Whether a text at which nothing is here means a repository: `organisation/name` or `name`, either with `@revision`.
 * What looks like a path does not.
 *
 * @throws {UserError} if its first part is a directory here, so that both may be meant
 */
export async function meansRepository(text: string): Promise<boolean> {
  const [id = "", revision] = text.split(/@(.*)/s, 2);
  if (!isRepositoryId(id) || fileEnding.test(id)) return false;
  const [first, second] = id.split("/");
  if (second === undefined || revision !== undefined) return true;
  if (await statIfPresent(first!) === undefined) return true;
  throw new UserError(
    `There is no "${text}" here, but "${first}" is, so that a path seems to be meant. Check it; if a repository of the ` +
      `Hub is meant, say which revision: ${text}@main.`,
  );
}
