/** The chat on a screen: answers to standard output, all else to standard error. @module */

import type { ChatScreen } from "./session.ts";

/** A terminal as a screen, with colours unless `NO_COLOR` is set. */
export function terminalScreen(
  names: Readonly<Record<"user" | "model", string>>,
): ChatScreen {
  const styled = (code: string, text: string) =>
    Deno.noColor ? text : `\x1b[${code}m${text}\x1b[0m`;
  const say = (text: string) => writeTo(Deno.stderr, `${text}\n`);
  return {
    write: (text) => writeTo(Deno.stdout, Deno.stdout.isTerminal() ? visible(text) : text),
    note: (text) => say(styled("2", text)),
    complain: (text) => say(styled("31", text)),
    speaker: (who) => say(`\n${styled(who === "user" ? "1;31" : "1;34", `<${names[who]}>:`)}`),
  };
}

/**
 * A model's words for a terminal: control characters, which could move the cursor or change its settings, as the
 * symbols Unicode has for them.
 */
export function visible(text: string): string {
  // deno-lint-ignore no-control-regex -- these are what is looked for
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? "\u2421" : "\ufffd";
  });
}

const encoder = new TextEncoder();

/** Writes all of a text at once. */
export function writeTo(
  sink: { readonly writeSync: (bytes: Uint8Array) => number },
  text: string,
): void {
  let bytes = encoder.encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(sink.writeSync(bytes));
}
