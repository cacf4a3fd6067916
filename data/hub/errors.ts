/** Answers of the Hub as errors that say what to do. @module */

import { UserError } from "../../core/errors.ts";
import { HubError } from "./request.ts";
import { type Repository, repositoryLabel } from "./repository.ts";
import type { HubSettings } from "./settings.ts";

/** An error of a request about a repository, as one a user can act on; what is already one stays as it is. */
export function explainHubError(
  error: unknown,
  repository: Repository,
  settings: Pick<HubSettings, "endpoint" | "token">,
): unknown {
  if (error instanceof UserError || !(error instanceof Error)) return error;
  const { kind, id, revision } = repository;
  const what = `the ${kind} "${repositoryLabel(repository)}"`;
  const page = `${settings.endpoint}/${kind === "dataset" ? "datasets/" : ""}${id}`;
  const logIn = settings.token === undefined
    ? "Log in with `plumb login`, or set HF_TOKEN."
    : "The token that was sent does not allow it: log in with another (`plumb login`).";
  const told = (text: string) => new UserError(text, { cause: error });
  if (!(error instanceof HubError)) {
    if (error instanceof Deno.errors.NotCapable) {
      return told(
        `Cannot fetch ${what}: Deno was not allowed to (${error.message}). Run it with --allow-net.`,
      );
    }
    if (error.name === "AbortError") return error;
    return told(
      `Cannot reach ${settings.endpoint} for ${what}: ${
        innermost(error)
      }. Check the network and HF_ENDPOINT; with ` +
        "HF_HUB_OFFLINE=1 what is in the cache is used.",
    );
  }
  switch (error.code) {
    case "GatedRepo":
      return told(`${capital(what)} is gated: ask for access at ${page}. ${logIn}`);
    case "RevisionNotFound":
      return told(
        `The ${kind} "${id}" has no revision "${revision}". ${page}/tree/main shows its branches and tags.`,
      );
    case "EntryNotFound":
      return told(`${capital(what)} does not have the file that was asked for: ${error.message}`);
    case "RepoNotFound":
      return told(missing(what, page, logIn));
  }
  if (error.status === 401 || error.status === 403 || error.status === 404) {
    return told(missing(what, page, logIn));
  }
  return told(
    `${settings.endpoint} did not give ${what}: ${error.message} (status ${error.status}). Try again later.`,
  );
}

function missing(what: string, page: string, logIn: string): string {
  return `There is no ${
    what.replace(/^the /, "")
  } on the Hub, or it is private: see ${page}. ${logIn}`;
}

function capital(text: string): string {
  return text[0]!.toUpperCase() + text.slice(1);
}

/** What happened at the bottom of a failed request: "connection refused", not "error sending request". */
function innermost(error: Error): string {
  if (error.cause instanceof Error) return innermost(error.cause);
  return error.message.replace(/\.$/, "")
    .replace(/^error sending request for url \([^)]*\): (client error \([^)]*\): )?/, "");
}
