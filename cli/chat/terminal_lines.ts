/** Lines typed at a terminal, with editing and a history, and Ctrl-C. @module */

import process from "node:process";
import { createInterface } from "node:readline";
import { PassThrough } from "node:stream";
import { leavePastes, markPastes, standardError } from "../../core/terminal.ts";
import type { LineSource } from "./converse.ts";
import { pasteFilter, withLineEnds } from "./paste.ts";

/** Lines typed at the terminal. Between them the terminal is its usual self, and Ctrl-C a signal. */
export function terminalLines(): LineSource {
  const keys = new PassThrough();
  const filter = pasteFilter();
  const decoder = new TextDecoder();
  const reader = createInterface({ input: keys, output: process.stderr, terminal: true });
  const waiting: (string | null)[] = [];
  let take: ((line: string | null) => void) | undefined;

  const arrive = (line: string | null) => {
    if (take) take(line);
    else waiting.push(line);
  };
  const edit = (on: boolean) => {
    process.stdin.setRawMode(on);
    standardError.write(on ? markPastes : leavePastes);
    if (on) process.stdin.resume();
    else process.stdin.pause();
  };

  process.stdin.on("data", (piece: Uint8Array) => {
    keys.write(filter(decoder.decode(piece, { stream: true })));
  });
  process.stdin.on("end", () => arrive(null));
  process.stdin.pause();
  reader.on("line", (line: string) => arrive(withLineEnds(line)));
  reader.on("close", () => arrive(null));
  reader.on("SIGINT", () => {
    const isEmpty = reader.line === "";
    // What was typed stays visible, but is dropped.
    standardError.write("^C\n");
    reader.write(null, { ctrl: true, name: "u" });
    arrive(isEmpty ? null : "");
  });
  reader.setPrompt("");

  return {
    read: () => {
      const next = waiting.shift();
      if (next !== undefined) return Promise.resolve(next);
      return new Promise((resolve) => {
        take = (line) => {
          take = undefined;
          edit(false);
          resolve(line);
        };
        edit(true);
      });
    },
    interrupt,
  };
}

/** Ctrl-C aborts; a second one, for when that takes too long, ends the program. */
function interrupt(): { readonly signal: AbortSignal; readonly dispose: () => void } {
  const controller = new AbortController();
  const listener = () => {
    if (controller.signal.aborted) Deno.exit(130);
    controller.abort();
  };
  Deno.addSignalListener("SIGINT", listener);
  return {
    signal: controller.signal,
    dispose: () => Deno.removeSignalListener("SIGINT", listener),
  };
}
