/** Names of repositories on the Hub. @module */

import { UserError } from "../../core/errors.ts";

/** A repository at a revision. */
export interface Repository {
  /** What it holds. */
  readonly kind: "model" | "dataset";
  /** `organisation/name`, or a bare name of old. */
  readonly id: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
}

const part = "[A-Za-z0-9](?:[\\w.-]{0,94}[\\w-])?";
const idPattern = new RegExp(`^${part}(?:/${part})?$`);

/** Whether a text can be a repository's id, by the Hub's own rules. */
export function isRepositoryId(text: string): boolean {
  return idPattern.test(text) && !/--|\.\./.test(text) && !text.endsWith(".git");
}

/**
 * A repository by its name: `id` or `id@revision`.
 *
 * @param revision Which revision is meant where the name says none: `main` by default.
 * @throws {UserError} if the name is none, or names another revision than is asked for
 */
export function parseRepository(
  name: string,
  { kind, revision }: { readonly kind: Repository["kind"]; readonly revision?: string | undefined },
): Repository {
  const at = name.indexOf("@");
  const [id, own] = at < 0 ? [name, undefined] : [name.slice(0, at), name.slice(at + 1)];
  if (!isRepositoryId(id)) {
    throw new UserError(
      `"${name}" is no name of a ${kind} on the Hub: organisation/name was expected, or organisation/name@revision.`,
    );
  }
  const asked = own ?? revision ?? "main";
  if (own !== "" && !isRevision(asked)) {
    throw new UserError(
      `${JSON.stringify(asked)} is no revision: a branch, a tag or a commit was expected.`,
    );
  }
  if (own === "" || (own !== undefined && revision !== undefined && own !== revision)) {
    throw new UserError(
      own === ""
        ? `"${name}" ends in "@" without a revision.`
        : `"${name}" names the revision "${own}", and "${revision}" was asked for beside it. Say one of them.`,
    );
  }
  return { kind, id, revision: asked };
}

/** Whether a text can be a branch, a tag or a commit, by git's own rules: so it is also safe in a path. */
function isRevision(text: string): boolean {
  // deno-lint-ignore no-control-regex -- those are meant
  const odd = /[\x00-\x20\x7f~^:?*[\\]|\.\.|@\{|\/\/|^[/.-]|\/\.|[/.]$/;
  return text !== "" && text.length <= 255 && !odd.test(text);
}

/** Whether a revision is a whole commit, which never changes. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/** The repository as people say it: `org/name`, with its revision unless that is `main`. */
export function repositoryLabel({ id, revision }: Repository): string {
  return revision === "main" ? id : `${id}@${revision}`;
}

/** The path under which the Hub's interface knows a repository. */
export function interfacePath({ kind, id }: Repository): string {
  return `/api/${kind}s/${id}`;
}

/** The path of a file to download, at a revision. */
export function resolvePath({ kind, id }: Repository, revision: string, file: string): string {
  const prefix = kind === "dataset" ? "/datasets" : "";
  return `${prefix}/${id}/resolve/${encodeURIComponent(revision)}/${
    file.split("/").map(encodeURIComponent).join("/")
  }`;
}
