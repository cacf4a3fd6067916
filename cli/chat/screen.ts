/** The chat on a screen: answers to standard output, all else to standard error. @module */

import { type Control, standardError, standardOutput, styled } from "../../core/terminal.ts";
import type { ChatScreen } from "./session.ts";

/** A terminal as a screen, with colours unless `NO_COLOR` is set. */
export function terminalScreen(
  names: Readonly<Record<"user" | "model", string>>,
): ChatScreen {
  const say = (...parts: readonly (string | Control)[]) => standardError.write(...parts, "\n");
  return {
    write: standardOutput.write,
    note: (text) => say(...styled("faint", text)),
    complain: (text) => say(...styled("red", text)),
    speaker: (who) =>
      say("\n", ...styled(who === "user" ? "boldRed" : "boldBlue", `<${names[who]}>:`)),
  };
}
