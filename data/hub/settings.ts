/** What the environment says of the Hugging Face Hub, by the variables of Python's `huggingface_hub`. @module */

import { UserError } from "../../core/errors.ts";

/** Where the Hub is, who asks, and where downloads are kept. */
export interface HubSettings {
  /** The Hub's address, without a slash at its end. */
  readonly endpoint: string;
  /** The token that is sent to the endpoint, and nowhere else. */
  readonly token: string | undefined;
  /** The directory of downloaded repositories. */
  readonly cache: string;
  /** The file that `login` keeps the token in. */
  readonly tokenFile: string;
  /** Whether the network must not be used. */
  readonly offline: boolean;
  /** Milliseconds after which a connection that brings nothing counts as dead. */
  readonly silence: number;
  /** Whether downloads may be shown as they go. */
  readonly progressBars: boolean;
}

/** A variable of the environment; undefined where it is not set or may not be read. */
export type Variable = (name: string) => string | undefined;

/** The process's own environment; what may not be read counts as not set. */
export const processVariable: Variable = (name) => {
  try {
    return Deno.env.get(name);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
};

/**
 * Reads the settings: `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`, `XDG_CACHE_HOME`, `HF_TOKEN`, `HF_TOKEN_PATH`,
 * `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE`, `HF_HUB_DOWNLOAD_TIMEOUT` (seconds), `HF_HUB_DISABLE_PROGRESS_BARS`, and the
 * token file.
 *
 * @throws {UserError} if the endpoint is no address of http or https
 */
export function hubSettings(variable: Variable = processVariable): HubSettings {
  const said = (name: string) => variable(name)?.trim() || undefined;
  const endpoint = (said("HF_ENDPOINT") ?? "https://huggingface.co").replace(/\/+$/, "");
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
    throw new UserError(`HF_ENDPOINT is "${endpoint}", which is no address such as https://host.`);
  }
  const home = said("HOME") ?? said("USERPROFILE") ?? ".";
  const inHome = (path: string) => path.replace(/^~(?=\/|$)/, home);
  const hfHome = inHome(
    said("HF_HOME") ?? `${said("XDG_CACHE_HOME") ?? `${home}/.cache`}/huggingface`,
  );
  const tokenFile = inHome(said("HF_TOKEN_PATH") ?? `${hfHome}/token`);
  return {
    endpoint,
    token: said("HF_TOKEN") ?? said("HUGGING_FACE_HUB_TOKEN") ?? storedToken(tokenFile),
    cache: inHome(said("HF_HUB_CACHE") ?? said("HUGGINGFACE_HUB_CACHE") ?? `${hfHome}/hub`),
    tokenFile,
    offline: isOn(said("HF_HUB_OFFLINE")) || isOn(said("TRANSFORMERS_OFFLINE")),
    silence: (Number(said("HF_HUB_DOWNLOAD_TIMEOUT")) || 30) * 1000,
    progressBars: !isOn(said("HF_HUB_DISABLE_PROGRESS_BARS")),
  };
}

/** Python's reading of a switch. */
function isOn(value: string | undefined): boolean {
  return value !== undefined && ["1", "on", "yes", "true"].includes(value.toLowerCase());
}

function storedToken(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path).trim() || undefined;
  } catch {
    return undefined; // no file, or not to be read: then there is no token
  }
}
