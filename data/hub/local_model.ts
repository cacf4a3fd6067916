/** Models by name or by path, as local directories. @module */

import { UserError } from "../../core/errors.ts";
import { missingPathError, nearEntries, statIfPresent } from "../files/local_paths.ts";
import { cachePaths, firstMissing } from "./cache.ts";
import { fetchHeaders } from "./headers.ts";
import { describingFiles, tokenizerFiles, weightFiles } from "./model_files.ts";
import { type NamedAccess, openByName } from "./opened.ts";
import { hubSettings } from "./settings.ts";
import { meansRepository } from "./names.ts";

/** What of a model is needed. */
export type ModelPart =
  /** Config, tokenizer and weights. */
  | "whole"
  /** The same, but of weights that are not there yet only what says their shapes. */
  | "shapes"
  /** The tokenizer and its chat templates. */
  | "tokenizer";

/** Which model, and how it is asked for. */
export interface LocalModelOptions extends NamedAccess {
  /** What is needed of it; all by default. */
  readonly part?: ModelPart;
  /** A branch, a tag or a commit, where the name says none. */
  readonly revision?: string | undefined;
  /** What it is, as in "reward model", for messages. */
  readonly what?: string;
}

/**
 * The directory of a model: a path as it is, or where the files of a name on the Hub are, which are downloaded unless
 * they are there.
 *
 * What exists here is a path, and what looks like one is never asked for on the Hub.
 *
 * @throws {UserError} if there is nothing of this name here or on the Hub, or as for any download
 */
export async function localModel(
  name: string,
  { part = "whole", revision, what = "model", ...access }: LocalModelOptions = {},
): Promise<string> {
  if (await statIfPresent(name) !== undefined) return name;
  if (!await meansRepository(name)) throw await missingPathError(name, what);
  try {
    return await download(name, part, revision, access);
  } catch (error) {
    throw await alsoNotHere(error, name);
  }
}

async function download(
  name: string,
  part: ModelPart,
  revision: string | undefined,
  { settings = hubSettings(), ...access }: NamedAccess,
): Promise<string> {
  const opened = await openByName({ name, kind: "model", revision }, { settings, ...access });
  const { repository, commit, files, directory, fetch } = opened;
  if (part === "tokenizer") {
    await fetch(tokenizerFiles(files), access);
    return directory;
  }
  const described = describingFiles(files);
  const weights = await weightFiles(opened, access);
  const all = [...described, ...weights];
  const paths = cachePaths(settings.cache, repository);
  if (part === "shapes" && await firstMissing(paths, commit, all) !== undefined) {
    // The shapes of other forms do not stand at their beginning: those are needed whole.
    const [large, small] = [
      weights.filter(isSafetensors),
      weights.filter((f) => !isSafetensors(f)),
    ];
    const whole = [...described, ...small];
    await fetch(whole, access);
    return await fetchHeaders(settings, opened, { whole, weights: large }, access);
  }
  await fetch(all, access);
  return directory;
}

function isSafetensors({ path }: { readonly path: string }): boolean {
  return path.endsWith(".safetensors");
}

/** Where a name was not found on the Hub, a path may have been meant. */
async function alsoNotHere(error: unknown, name: string): Promise<unknown> {
  if (!(error instanceof UserError)) return error;
  if (!/^(There is no|Cannot reach)|is not in the cache/.test(error.message)) return error;
  const near = name.includes("/") ? [] : await nearEntries(".", name).catch(() => []);
  return new UserError(
    `${error.message} There is no directory "${name}" here either${
      near.length === 0 ? "" : `; near its name are ${near.join(", ")}`
    }.`,
    { cause: error },
  );
}
