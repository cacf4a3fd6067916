/** The files of datasets on the Hub: which there are, and those that are wanted as local files. @module */

import { UserError } from "../../core/errors.ts";
import { isRecord } from "../files/json_files.ts";
import { joinPath } from "../files/local_paths.ts";
import { askJson, type RemoteFile } from "./listing.ts";
import { type NamedAccess, openByName } from "./opened.ts";
import { interfacePath, parseRepository, type Repository, repositoryLabel } from "./repository.ts";
import { type HubSettings, hubSettings } from "./settings.ts";

/** What a dataset's repository holds. */
export interface DatasetListing {
  /** The repository by the Hub's own name for it: `stanfordnlp/imdb` where `imdb` was asked for. */
  readonly repository: Repository;
  /** The commit of its revision. */
  readonly commit: string;
  /** All its files. */
  readonly files: readonly RemoteFile[];
}

/** The branch on which the Hub keeps datasets as parquet, whatever their own form. */
export const parquetBranch = "refs/convert/parquet";

/**
 * Lists the files of a dataset on the Hub; where the network must not be used, those that the cache knows.
 *
 * @param name `organisation/name`, a bare name of old, either also with `@revision`.
 * @param revision A branch, a tag or a commit; `main` where the name says none either.
 * @throws {UserError} if there is no such dataset or revision, if it needs a login, or if nothing of it can be reached
 */
export async function listDatasetFiles(
  name: string,
  revision?: string,
  access: NamedAccess = {},
): Promise<DatasetListing> {
  const { repository, commit, files } = await openByName(
    { name, kind: "dataset", revision },
    access,
  );
  return { repository, commit, files };
}

/**
 * Brings files of a dataset into the cache, those that are there already left alone; gives their local paths in the
 * order of `paths`.
 *
 * @param paths As {@link listDatasetFiles} lists them.
 * @throws {UserError} as {@link listDatasetFiles}; if the dataset has no such file; if files arrive damaged or the disk
 *   is full
 */
export async function fetchDatasetFiles(
  name: string,
  revision: string | undefined,
  paths: readonly string[],
  access: NamedAccess = {},
): Promise<string[]> {
  const { repository, files, directory, fetch } = await openByName(
    { name, kind: "dataset", revision },
    access,
  );
  const byPath = new Map(files.map((file) => [file.path, file]));
  const wanted = paths.map((path) => {
    const file = byPath.get(path);
    if (file !== undefined) return file;
    throw new UserError(
      `The dataset "${repositoryLabel(repository)}" has no file "${path}"; it has ${
        files.slice(0, 8).map((f) => f.path).join(", ") || "none at all"
      }${files.length > 8 ? ", …" : ""}.`,
    );
  });
  await fetch(wanted, access);
  return paths.map((path) => joinPath(directory, path));
}

/**
 * Refuses a dataset that a script makes: code of others is never run.
 *
 * @param listing What {@link listDatasetFiles} gave.
 * @throws {UserError} if there is such a script; it offers the Hub's own copy as parquet where there is one
 */
export async function refuseDatasetScript(
  { repository, files }: DatasetListing,
  { settings = hubSettings() }: NamedAccess = {},
): Promise<void> {
  const script = `${repository.id.split("/").at(-1)}.py`;
  if (repository.revision === parquetBranch || !files.some(({ path }) => path === script)) return;
  const converted = await hasParquetBranch(repository, settings);
  throw new UserError(
    `The dataset "${
      repositoryLabel(repository)
    }" is made by a script (${script}), and code that comes with a dataset ` +
      "is never run. " +
      (converted
        ? `The Hub has it as parquet: give ${repository.id}@${parquetBranch}.`
        : "Ask its owner to store the rows themselves, or run the script in Python and save what it gives as parquet " +
          "or jsonl."),
  );
}

async function hasParquetBranch(asked: Repository, settings: HubSettings): Promise<boolean> {
  if (settings.offline) return false;
  const { body } = await askJson(settings, `${interfacePath(asked)}/refs`).catch(() => ({
    body: undefined,
  }));
  const converts = isRecord(body) ? body["converts"] : undefined;
  return Array.isArray(converts) &&
    converts.some((convert) => isRecord(convert) && convert["ref"] === parquetBranch);
}

/** Whether a text can be the name of a dataset on the Hub, `organisation/name@revision` and the like. */
export function isDatasetName(text: string): boolean {
  try {
    return parseRepository(text, { kind: "dataset" }) !== undefined;
  } catch {
    return false;
  }
}
