/** A conversation with a model: what was said, under which settings, and what each line does. @module */

import { UserError } from "../../core/errors.ts";
import { type Message, tokenizeChat } from "../../data/chat/chat_template.ts";
import { drawSeed, freshSeed } from "../../train/generation/seeds.ts";
import type { GenerationModel } from "../../train/generation/open.ts";
import type { ChatValues } from "./options.ts";
import { type Answer, answerer } from "./answer.ts";
import { chatCommands, readLine, type Setting } from "./commands.ts";
import type { Examples } from "./examples.ts";
import { saveChat, savePath } from "./save.ts";
import { chatSettings, settingsInEffect, withSettings } from "./settings.ts";

/** Where a chat shows what happens. */
export interface ChatScreen {
  /** The model's words, as they come. */
  readonly write: (text: string) => void;
  /** What the program has to say, in whole lines. */
  readonly note: (text: string) => void;
  /** What went wrong. */
  readonly complain: (text: string) => void;
  /** Who speaks next: you, or the model. */
  readonly speaker: (who: "user" | "model") => void;
}

/** What a chat begins with. */
export interface ChatStart {
  /** The flags. */
  readonly values: ChatValues;
  /** Which of them were given. */
  readonly given: ReadonlySet<string>;
  /** For `example`. */
  readonly examples: Examples;
  /** Where things are shown. */
  readonly screen: ChatScreen;
}

/** A chat. */
export interface ChatSession {
  /** Does what a line says. Aborting the signal ends an answer. Gives false when the chat is over. */
  readonly handle: (line: string, signal?: AbortSignal) => Promise<boolean>;
  /**
   * Says something to the model.
   *
   * @throws {UserError} if it cannot be answered; then it was not said.
   */
  readonly ask: (text: string, signal?: AbortSignal) => Promise<Answer>;
  /** What was said so far. */
  readonly history: () => readonly Message[];
  /** Lines to show at the start. */
  readonly notices: readonly string[];
}

/**
 * Begins a chat. Without a chat template the model continues each text on its own.
 *
 * @throws {UserError} if settings are wrong, or there is a system prompt and no template.
 */
export function chatSession(opened: GenerationModel, start: ChatStart): ChatSession {
  const { tokenizer } = opened;
  const { values, examples, screen } = start;
  const answer = answerer(opened);
  const hasTemplate = tokenizer.chatTemplates.default !== undefined;
  const initial = chatSettings(values, start.given, opened);
  let settings = initial;
  let seed = values.seed ?? freshSeed();
  let history: readonly Message[] = [];
  let answers = 0;

  const begin = () => {
    const system = settings.flags.system_prompt;
    if (system !== undefined && !hasTemplate) {
      throw new UserError(
        `There is a system_prompt, but the tokenizer in ${tokenizer.directory} has no chat template to put it into. ` +
          "Give one with --chat_template_path (a .jinja file, or a checkpoint that has one), or leave the system " +
          "prompt out.",
      );
    }
    history = system === undefined ? [] : [{ role: "system", content: system }];
    answers = 0;
  };

  const tokensOf = (messages: readonly Message[]): number[] =>
    hasTemplate
      ? tokenizeChat(tokenizer, messages, { addGenerationPrompt: true }).inputIds
      : tokenizer.encode(String(messages.at(-1)?.content ?? ""));

  const ask = async (text: string, signal?: AbortSignal): Promise<Answer> => {
    const said = [...history, { role: "user", content: text }];
    const answered = await answer({
      promptIds: tokensOf(said),
      settings: settings.generation,
      seed: drawSeed(seed, answers),
      write: screen.write,
      remedy: answers > 0 ? "Begin a new conversation with `clear`, or say less." : "Say less.",
      ...(signal === undefined ? {} : { signal }),
    });
    const retracted = answered.end === "stopped" && answered.text === "";
    if (!retracted) {
      history = [...said, { role: "assistant", content: answered.text }];
      answers++;
    }
    return answered;
  };

  const converse = async (text: string, signal?: AbortSignal) => {
    screen.speaker("model");
    const answered = await ask(text, signal);
    screen.write("\n");
    screen.note(describeAnswer(answered, settings.generation.values.max_new_tokens));
  };

  const set = (changes: readonly Setting[]) => {
    const before = settings;
    settings = withSettings(settings, changes, opened);
    try {
      if (settings.flags.system_prompt !== before.flags.system_prompt) {
        begin();
        screen.note("A new conversation, with the new system prompt.");
      }
    } catch (error) {
      settings = before;
      throw error;
    }
    if (settings.flags.seed !== before.flags.seed) seed = settings.flags.seed ?? freshSeed();
    const known = new Set(before.generation.notices);
    settings.generation.notices.filter((notice) => !known.has(notice)).forEach(screen.note);
    const effect = settingsInEffect(settings);
    const names = changes.map(({ name }) => name.replaceAll("-", "_"));
    screen.note(names.map((name) => `${name} = ${String(effect[name] ?? "unset")}`).join(", "));
  };

  const status = () => {
    const used = history.length > 0 && hasTemplate ? tokensOf(history).length : 0;
    screen.note(
      Object.entries(settingsInEffect(settings)).map(([name, value]) =>
        `${name} = ${String(value)}`
      )
        .join("\n"),
    );
    screen.note(`${used} of ${opened.model.config.maxPositions} positions are taken.`);
  };

  const save = async (name: string | undefined) => {
    const path = savePath(name, {
      folder: values.save_folder,
      model: values.model_name_or_path,
      now: new Date(),
    });
    await saveChat(path, { ...values, ...settingsInEffect(settings) }, history);
    screen.note(`The chat is in ${path}.`);
  };

  const example = async (name: string, signal?: AbortSignal) => {
    if (!Object.hasOwn(examples, name)) {
      throw new UserError(
        `There is no example "${name}". Examples: ${Object.keys(examples).join(", ") || "none"}.`,
      );
    }
    begin();
    screen.speaker("user");
    screen.note(examples[name]!);
    await converse(examples[name]!, signal);
  };

  const perform = async (line: string, signal?: AbortSignal): Promise<boolean> => {
    const read = readLine(line);
    switch (read.kind) {
      case "nothing":
        break;
      case "exit":
        return false;
      case "message":
        await converse(read.text, signal);
        break;
      case "clear":
        begin();
        screen.note("A new conversation.");
        break;
      case "reset":
        settings = initial;
        seed = values.seed ?? freshSeed();
        begin();
        screen.note("A new conversation, with the settings of the start.");
        break;
      case "help":
        screen.note(helpText(Object.keys(examples)));
        break;
      case "status":
        status();
        break;
      case "save":
        await save(read.name);
        break;
      case "example":
        await example(read.name, signal);
        break;
      case "set":
        set(read.settings);
        break;
      case "unknown":
        throw new UserError(
          `"!${read.name}" is no command, or wants other words after it; the nearest is "${read.near}". !help lists ` +
            "them.",
        );
    }
    return true;
  };

  begin();
  return {
    handle: async (line, signal) => {
      try {
        return await perform(line, signal);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        screen.complain(error.message);
        return true;
      }
    },
    ask,
    history: () => history,
    notices: [
      ...(hasTemplate ? [] : [
        `The tokenizer in ${tokenizer.directory} has no chat template, so this is no conversation: the model continues ` +
        "each text on its own. --chat_template_path takes a template (a .jinja file, or a checkpoint that has one).",
      ]),
      ...initial.generation.notices,
    ],
  };
}

/** A line about an answer: its tokens, how fast they came, and why it ended if not by itself. */
export function describeAnswer(
  { tokens, end, seconds, firstSeconds }: Answer,
  maxNewTokens: number,
): string {
  const rate = tokens > 1 && seconds > firstSeconds
    ? `, ${((tokens - 1) / (seconds - firstSeconds)).toFixed(1)} tokens/s`
    : "";
  const reasons = {
    eos: "",
    stop: "; ended by a stop string",
    length: `; cut at max_new_tokens = ${maxNewTokens}`,
    positions: "; cut where the model's positions end, `clear` begins a new conversation",
    stopped: "; stopped",
  };
  const count = `${tokens} token${tokens === 1 ? "" : "s"}`;
  return `${count}${rate}, the first after ${firstSeconds.toFixed(2)} s${reasons[end]}`;
}

function helpText(examples: readonly string[]): string {
  const width = Math.max(...chatCommands.map(([usage]) => usage.length));
  return [
    ...chatCommands.map(([usage, effect]) => `${usage.padEnd(width)}  ${effect}`),
    `Examples: ${examples.join(", ")}. Any command may have a ! before it. Ctrl-C stops an answer.`,
  ].join("\n");
}
