/** What a line typed into the chat asks for. @module */

import { nearest } from "../../train/settings/nearest.ts";

/** A line, understood. */
export type Line =
  | { readonly kind: "message"; readonly text: string }
  | { readonly kind: "nothing" | "clear" | "reset" | "exit" | "help" | "status" }
  | { readonly kind: "save"; readonly name: string | undefined }
  | { readonly kind: "example"; readonly name: string }
  | { readonly kind: "set"; readonly settings: readonly Setting[] }
  | { readonly kind: "unknown"; readonly name: string; readonly near: string | undefined };

/** One `name=value`. */
export interface Setting {
  /** As it was written. */
  readonly name: string;
  /** Without blanks around it. */
  readonly value: string;
}

/** The commands with what they do, for the listing. */
export const chatCommands: readonly (readonly [usage: string, effect: string])[] = [
  ["clear", "begin a new conversation"],
  ["example NAME", "begin a new conversation with an example"],
  ["set NAME=VALUE; NAME=VALUE", "change generation settings or the system_prompt"],
  ["reset", "begin a new conversation with the settings of the start"],
  ["save [NAME]", "write settings and conversation to a JSON file"],
  ["status", "show the settings and the length of the conversation"],
  ["help", "show this list"],
  ["exit", "end the chat; so does Ctrl-D"],
];

const names = chatCommands.map(([usage]) => usage.split(" ")[0]!);

/**
 * Reads a line as TRL's chat does: a command is a line that is one, so `clear` is a command and "clear the table" is
 * said to the model. Commands may have a `!` before them; behind a `!` nothing else is sent to the model.
 */
export function readLine(line: string): Line {
  const text = line.trim();
  if (text === "") return { kind: "nothing" };
  const marked = /^!\w/.test(text);
  const [name, ...rest] = (marked ? text.slice(1) : text).split(/\s+/) as [string, ...string[]];
  const words = rest.length;
  switch (name) {
    case "clear":
    case "reset":
    case "exit":
    case "help":
    case "status":
      if (words === 0) return { kind: name };
      break;
    case "save":
      if (words <= 1) return { kind: "save", name: rest[0] };
      break;
    case "example":
      if (words === 1) return { kind: "example", name: rest[0]! };
      break;
    case "set": {
      const settings = /^!?set\s+([A-Za-z][\w-]*\s*=[^]*)$/.exec(text)?.[1];
      if (settings !== undefined) return { kind: "set", settings: readSettings(settings) };
    }
  }
  if (!marked) return { kind: "message", text };
  return { kind: "unknown", name, near: nearest(name, names) };
}

/** Settings are parted at semicolons that another `name=` follows, so that a system prompt may hold semicolons. */
function readSettings(text: string): Setting[] {
  return text.replace(/[;\s]+$/, "").split(/;\s*(?=[A-Za-z][\w-]*\s*=)/).map((part) => {
    const equals = part.indexOf("=");
    return { name: part.slice(0, equals).trim(), value: part.slice(equals + 1).trim() };
  });
}
