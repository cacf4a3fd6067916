/** What of an output directory plumb wrote, and what it must not touch: only the former is ever removed. @module */

import { removeDirectoryAtomically } from "../../data/files/atomic.ts";
import { basePath } from "../../data/files/local_paths.ts";
import { valueModelDirectory } from "./value_model.ts";

/** Names of the files that a checkpoint is made of, and no others: what is only like them may be a user's. */
const ownFiles: RegExp = new RegExp(
  `^(${
    [
      "(adapter_)?model(-\\d{5}-of-\\d{5})?\\.safetensors(\\.index\\.json)?",
      "(adapter_|generation_|tokenizer_)?config\\.json",
      "tokenizer\\.(json|model)|special_tokens_map\\.json|added_tokens\\.json",
      "vocab\\.(json|txt)|merges\\.txt|chat_template\\.(jinja|json)",
      "trainer_state\\.json|optimizer\\.safetensors|plumb_state\\.json",
    ].join("|")
  })$`,
);

/** Names of directories in a checkpoint, and of the files in them. */
const ownDirectories: Readonly<Record<string, RegExp>> = {
  additional_chat_templates: /\.jinja$/,
  [basePath(valueModelDirectory("."))]: ownFiles,
};

/** Something in a checkpoint that plumb does not write, in words; undefined if there is nothing. */
export async function foreignIn(
  path: string,
  own: RegExp = ownFiles,
): Promise<string | undefined> {
  try {
    for await (const { name, isFile, isDirectory } of Deno.readDir(path)) {
      if (isFile && own.test(name)) continue;
      const inside = isDirectory ? ownDirectories[name] : undefined;
      if (inside === undefined) return name;
      const foreign = await foreignIn(`${path}/${name}`, inside);
      if (foreign !== undefined) return `${name}/${foreign}`;
    }
    return undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    return "entries that may not be read";
  }
}

/**
 * Moves what stands in a checkpoint's place and is not this run's out of the way: a file, a link, a directory with
 * others' files, another run's checkpoint.
 *
 * @param isOwn Whether this run wrote what is there.
 */
export async function setAside(
  path: string,
  isOwn: () => Promise<boolean>,
  notice: (text: string) => void,
): Promise<void> {
  await keepAside(path, await notOurs(path, true) ?? await anothers(path, isOwn), notice);
}

/** Moves what stands in the way of a result, a file or a directory, and no run wrote, out of the way. */
export async function clearTheWay(
  path: string,
  { isDirectory, notice }: {
    readonly isDirectory: boolean;
    readonly notice: (text: string) => void;
  },
): Promise<void> {
  await keepAside(path, await notOurs(path, isDirectory), notice);
}

async function keepAside(
  path: string,
  was: string | undefined,
  notice: (text: string) => void,
): Promise<void> {
  if (was === undefined) return;
  const aside = `${path}.kept-${crypto.randomUUID().slice(0, 8)}`;
  await Deno.rename(path, aside);
  notice(`${path} ${was}: it is now ${aside}.`);
}

async function notOurs(path: string, isDirectory: boolean): Promise<string | undefined> {
  const present = await Deno.lstat(path).catch(() => undefined);
  if (present === undefined) return undefined;
  if (present.isSymlink) return "was a link";
  if (present.isDirectory !== isDirectory) {
    return present.isDirectory ? "was a directory" : "was a file";
  }
  const foreign = isDirectory
    ? await foreignIn(path, ownDirectories[basePath(path)] ?? ownFiles)
    : undefined;
  return foreign && `held ${foreign}, which plumb did not write`;
}

async function anothers(path: string, isOwn: () => Promise<boolean>): Promise<string | undefined> {
  const isThere = await Deno.lstat(path).then(() => true, () => false);
  return isThere && !await isOwn() ? "was another run's" : undefined;
}

/** Removes a checkpoint that is over the limit; what plumb did not write, or may not remove, stays and is told. */
export async function removeOwn(path: string, notice: (text: string) => void): Promise<void> {
  const foreign = await foreignIn(path);
  if (foreign !== undefined) {
    notice(`${path} is over the limit and stays: it holds ${foreign}, which plumb did not write.`);
    return;
  }
  // Half removed, it would be nobody's.
  await removeDirectoryAtomically(path).catch((error: Error) =>
    notice(`${path} is over the limit and stays: it cannot be removed (${error.message}).`)
  );
}
