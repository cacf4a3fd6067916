/** Regular expressions in Python's notation. @module */

import { UserError } from "../core/mod.ts";

/**
 * A regular expression in the notation of Python's `re`, as `re.fullmatch` applies it: to the whole text. Named
 * groups, `\A`, `\Z`, `{,n}`, comments and leading flags are translated; the rest is common to both languages.
 *
 * @param name What it is the value of, for the message.
 * @throws UserError if it is not a regular expression.
 */
export function pythonRegExp(pattern: string, name: string): RegExp {
  let flags = "";
  const source = pattern
    .replace(/^\(\?([aimsux]+)\)/, (_, letters: string) => {
      flags = [...letters].filter((letter) => "ims".includes(letter)).join("");
      return "";
    })
    .replace(
      /\\[\s\S]|\(\?P<|\(\?P=(\w+)\)|\(\?#[^)]*\)|\{,(\d+)\}/g,
      (found, group?: string, most?: string) => {
        if (found === "\\A") return "^";
        if (found === "\\Z") return "$";
        if (found === "(?P<") return "(?<";
        if (group !== undefined) return `\\k<${group}>`;
        if (most !== undefined) return `{0,${most}}`;
        return found.startsWith("(?#") ? "" : found;
      },
    );
  try {
    return new RegExp(`^(?:${source})$`, flags);
  } catch (error) {
    throw new UserError(
      `${name} is ${JSON.stringify(pattern)}, which is not a regular expression: ${
        (error as Error).message
      }. Names of modules to be matched by their ends are given as a list.`,
    );
  }
}
