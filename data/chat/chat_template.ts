/** Conversations to text and tokens, as transformers' `apply_chat_template` makes them. */

import { UserError } from "../../core/errors.ts";
import { compileTemplate, type Rendering, type Template } from "../jinja/render.ts";
import { TemplateError } from "../jinja/errors.ts";
import { generationMask } from "./generation_mask.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** A turn of a conversation; templates may read further fields (`tool_calls`, `name`, …). */
export interface Message {
  /** Who speaks: `system`, `user`, `assistant`, `tool`, … */
  readonly role: string;
  /** What is said: a text, or a list of parts. */
  readonly content?: unknown;
  /** Whatever else the template reads. */
  readonly [field: string]: unknown;
}

/** How to render a conversation. */
export interface ChatOptions {
  /** End with the start of an answer, for the model to go on. */
  readonly addGenerationPrompt?: boolean;
  /** Leave the last message open (true), or this field of it. */
  readonly continueFinalMessage?: boolean | string;
  /** JSON schemas of the tools the model may call. */
  readonly tools?: readonly unknown[] | null;
  /** Documents to answer from. */
  readonly documents?: readonly unknown[] | null;
  /** Further variables of the template (`chat_template_kwargs`); they win over special tokens. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** The text of a template to use instead of the tokenizer's own. */
  readonly template?: string;
  /** What the template takes for the present moment (`strftime_now`). */
  readonly now?: Date;
}

/** A conversation in tokens. */
export interface TokenizedChat {
  /** Its text. */
  readonly text: string;
  /** Its token ids; no special tokens but those the template writes. */
  readonly inputIds: number[];
}

/**
 * The text of a conversation.
 *
 * @throws {UserError} if there is no template, it fails or refuses, or the options do not fit
 */
export function renderChat(
  tokenizer: Tokenizer,
  messages: readonly Message[],
  options: ChatOptions = {},
): string {
  return render(tokenizer, messages, options).text;
}

/** Token ids of a conversation. @throws {UserError} as `renderChat` */
export function tokenizeChat(
  tokenizer: Tokenizer,
  messages: readonly Message[],
  options: ChatOptions = {},
): TokenizedChat {
  const text = renderChat(tokenizer, messages, options);
  return { text, inputIds: tokenizer.encode(text, { addSpecialTokens: false }) };
}

/**
 * Token ids of a conversation and, for each, 1 if the assistant says it, which is what stands
 * between `{% generation %}` and `{% endgeneration %}` in the template, and 0 if not.
 *
 * @throws {UserError} as `renderChat`, and if the template has no generation markers
 */
export function tokenizeChatWithMask(
  tokenizer: Tokenizer,
  messages: readonly Message[],
  options: ChatOptions = {},
): TokenizedChat & { readonly assistantMask: Uint8Array } {
  requireGenerationMarkers(tokenizer, chatTemplateOf(tokenizer, options));
  const { text, generated } = render(tokenizer, messages, options);
  const inputIds = tokenizer.encode(text, { addSpecialTokens: false });
  return { text, inputIds, assistantMask: generationMask(tokenizer, text, inputIds, generated) };
}

/** Whether a template marks what the assistant says. */
export function hasGenerationMarkers(template: string): boolean {
  return /\{%-?\s*generation\s*-?%\}/.test(template);
}

/**
 * Makes sure that a template marks what the assistant says.
 *
 * @throws {UserError} if it does not
 */
export function requireGenerationMarkers(tokenizer: Tokenizer, template: string): void {
  if (hasGenerationMarkers(template)) return;
  throw new UserError(
    `assistant_only_loss needs a chat template that marks the assistant's words with ` +
      `{% generation %} and {% endgeneration %}, and the template in use for the tokenizer in ` +
      `${tokenizer.directory} has no such markers. Give one that does with --chat_template_path ` +
      `(a .jinja file), or put the answers into prompt-completion rows, where the loss is on the ` +
      `completion alone.`,
  );
}

/** The template that `options` select. @throws {UserError} if there is none */
export function chatTemplateOf(tokenizer: Tokenizer, options: ChatOptions = {}): string {
  if (options.template !== undefined) return options.template;
  const templates = tokenizer.chatTemplates;
  const template = options.tools ? templates.tool_use ?? templates.default : templates.default;
  if (template !== undefined) return template;
  const names = Object.keys(templates);
  throw new UserError(
    names.length > 0
      ? `The tokenizer in ${tokenizer.directory} has the chat templates ${
        names.join(", ")
      } but no ` +
        `default one: choose one with --chat_template_path.`
      : `The data are conversations, but the tokenizer in ${tokenizer.directory} has no chat ` +
        `template to turn them into text: give one with --chat_template_path (a .jinja file, or a ` +
        `checkpoint directory that has one).`,
  );
}

const compiled = new Map<string, Template>();

function compile(source: string): Template {
  const known = compiled.get(source);
  if (known !== undefined) return known;
  const template = compileTemplate(source);
  compiled.set(source, template);
  return template;
}

const CONTINUE_TAG = "CONTINUE_FINAL_MESSAGE_TAG ";

function render(
  tokenizer: Tokenizer,
  messages: readonly Message[],
  options: ChatOptions,
): Rendering {
  const { addGenerationPrompt = false, continueFinalMessage = false } = options;
  const source = chatTemplateOf(tokenizer, options);
  if (messages.length === 0) {
    throw new UserError(
      "A conversation has no messages: each needs at least one. Remove the empty row.",
    );
  }
  if (continueFinalMessage && addGenerationPrompt) {
    throw new UserError(
      "continue_final_message and add_generation_prompt exclude each other: the one goes on with " +
        "the last message, the other begins a new one. Use one of them.",
    );
  }
  const field = continueFinalMessage === true ? "content" : continueFinalMessage || undefined;
  const open = field === undefined ? undefined : openMessage(messages, field, source);
  const rendering = guarded(tokenizer, () =>
    compile(source).render({
      ...tokenizer.specialTokens,
      messages: open?.messages ?? messages,
      tools: options.tools ?? null,
      documents: options.documents ?? null,
      add_generation_prompt: addGenerationPrompt,
      ...options.variables,
    }, { now: options.now ?? tokenizer.now }));
  return open === undefined
    ? rendering
    : { text: cutAtTag(rendering.text, open.text), generated: [] };
}

function guarded<T>(tokenizer: Tokenizer, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    if (!(cause instanceof TemplateError)) throw cause;
    throw new UserError(
      `The chat template of the tokenizer in ${tokenizer.directory} cannot render a conversation: ` +
        `${cause.message.replace(/\.?$/, ".")} Mend the row or the template ` +
        `(--chat_template_path takes another).`,
      { cause },
    );
  }
}

/** The messages with a tag at the end of the last one, to find its place in the rendered text. */
function openMessage(messages: readonly Message[], field: string, template: string) {
  const last = messages.at(-1)!;
  const content = last[field];
  if (content === undefined || content === null) {
    throw new UserError(
      `continue_final_message: the last message has no "${field}" to continue; its fields are ` +
        `${Object.keys(last).join(", ")}.`,
    );
  }
  if (!template.includes(field)) {
    throw new UserError(`continue_final_message: the chat template never reads "${field}".`);
  }
  const withLast = (value: unknown) => [...messages.slice(0, -1), { ...last, [field]: value }];
  if (!Array.isArray(content)) {
    const text = String(content);
    return { text, messages: withLast(text + CONTINUE_TAG) };
  }
  const index = content.findLastIndex((part) => typeof part === "object" && "text" in part);
  if (index < 0) {
    throw new UserError("continue_final_message: the last message has no text to continue.");
  }
  const text = String(content[index].text);
  const parts = content.with(index, { ...content[index], text: text + CONTINUE_TAG });
  return { text, messages: withLast(parts) };
}

function cutAtTag(rendered: string, message: string): string {
  const place = rendered.lastIndexOf(CONTINUE_TAG.trim());
  if (place < 0 || !rendered.includes(message.trim())) {
    throw new UserError(
      "continue_final_message: the last message does not appear in the rendered conversation; the " +
        "chat template drops part of it.",
    );
  }
  // Where the template trims messages, the blanks before the tag are not its own.
  const kept = rendered.slice(place, place + CONTINUE_TAG.length) === CONTINUE_TAG;
  return kept ? rendered.slice(0, place) : rendered.slice(0, place).trimEnd();
}
