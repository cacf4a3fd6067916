/** Lines in, answers out, until the chat is over. @module */

import type { ChatScreen, ChatSession } from "./session.ts";

/** Where lines come from. */
export interface LineSource {
  /** The next line; null at the end of the input. */
  readonly read: () => Promise<string | null>;
  /** A signal that the user aborts while a line is dealt with. */
  readonly interrupt: () => { readonly signal: AbortSignal; readonly dispose: () => void };
}

/** Holds a conversation. */
export async function converse(
  session: ChatSession,
  lines: LineSource,
  screen: Pick<ChatScreen, "speaker">,
): Promise<void> {
  for (;;) {
    screen.speaker("user");
    const line = await lines.read();
    if (line === null) return;
    const interrupt = lines.interrupt();
    try {
      if (!await session.handle(line, interrupt.signal)) return;
    } finally {
      interrupt.dispose();
    }
  }
}
