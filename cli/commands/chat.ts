/** `plumb chat`: a conversation with a model. @module */

import { UserError } from "../../core/errors.ts";
import { standardError, standardOutput } from "../../core/terminal.ts";
import { basePath } from "../../data/files/local_paths.ts";
import { converse } from "../chat/converse.ts";
import { defaultExamples, readExamples } from "../chat/examples.ts";
import { type ChatScreen, chatSession } from "../chat/session.ts";
import { terminalScreen } from "../chat/screen.ts";
import { showingDownloads } from "../downloads.ts";
import { fetchModels } from "../../train/recipes/fetching.ts";
import type { Command } from "../command.ts";
import { openGenerationModel } from "../../train/generation/open.ts";
import { openAskedDevice } from "../device.ts";
import { interruptSignal } from "../interrupt.ts";
import { chatOptions, type ChatValues } from "../chat/options.ts";
import { checkGenerationModel } from "../../train/settings/generation.ts";
import { parse } from "../parse.ts";

/** What `chat` is called with. */
export const chatCommand: Command = {
  name: "chat",
  options: chatOptions,
  run: async (argv) => {
    const { values, given, notices } = parse(argv, chatOptions, { check: checkGenerationModel });
    const atTerminal = Deno.stdin.isTerminal();
    const prompt = atTerminal ? undefined : await readPrompt();
    const examples = values.examples_path === undefined
      ? defaultExamples
      : await readExamples(values.examples_path);
    const screen = atTerminal
      ? terminalScreen({ user: userName(values), model: basePath(values.model_name_or_path) })
      : pipeScreen;
    notices.forEach(screen.note);
    await showingDownloads((access) => fetchModels(chatOptions, values, access));
    const device = await openAskedDevice(values, atTerminal ? screen.note : () => {});
    try {
      const opened = await openGenerationModel(values, screen.note);
      const session = chatSession(opened, { values, given, examples, screen });
      session.notices.forEach(screen.note);
      if (prompt !== undefined) return await answerPrompt(session.ask, prompt);
      screen.note("help lists the commands. Ctrl-C stops an answer, Ctrl-D ends the chat.");
      // Line editing takes a while to load, which no other command should wait for.
      const { terminalLines } = await import("../chat/terminal_lines.ts");
      await converse(session, terminalLines(), screen);
      return 0;
    } finally {
      device.destroy();
    }
  },
};

const say = (text: string) => standardError.write(`${text}\n`);

/** Standard output is the answer and nothing else. */
const pipeScreen: ChatScreen = {
  write: standardOutput.write,
  note: say,
  complain: say,
  speaker: () => {},
};

async function readPrompt(): Promise<string> {
  const prompt = (await new Response(Deno.stdin.readable).text()).trim();
  if (prompt !== "") return prompt;
  throw new UserError(
    "Standard input is no terminal and has no text, so there is nothing to answer. Give a prompt, as in " +
      "`echo Hello | plumb chat …`, or run chat at a terminal.",
  );
}

/** Answers one prompt; gives the exit code. */
async function answerPrompt(
  ask: (text: string, signal: AbortSignal) => Promise<{ readonly end: string }>,
  prompt: string,
): Promise<number> {
  const interrupt = interruptSignal(() => {});
  try {
    const { end } = await ask(prompt, interrupt.signal);
    pipeScreen.write("\n");
    return end === "stopped" ? interrupt.exitCode() : 0;
  } catch (error) {
    // Whoever reads the answer has read enough.
    if (error instanceof Deno.errors.BrokenPipe) return 0;
    throw error;
  } finally {
    interrupt.dispose();
  }
}

function userName({ user }: ChatValues): string {
  return user ?? Deno.env.get("USER") ?? Deno.env.get("USERNAME") ?? "user";
}
