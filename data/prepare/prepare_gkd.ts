/**
 * From conversations to prompts and answers to distil, as the collator of TRL 1.13's `GKDTrainer`
 * (`DataCollatorForChatML`) makes them.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { type Message, renderChat } from "../chat/chat_template.ts";
import { maybeConvertToChatml } from "./conversions.ts";
import type { DatasetRow } from "./formats.ts";
import { checkMaxLength } from "./length_limits.ts";
import type { PromptedCompletion } from "./preference_tokens.ts";
import { mapRows, type Progress } from "./prepared.ts";
import { firstRow, inRow, isMessageList, kindOf } from "./row_values.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** A prompt and the last answer of a conversation. */
export interface DistillationExample extends PromptedCompletion {
  /** The number, from 0, of the data set's row. */
  readonly row: number;
}

/** Options of `prepareGkd`, named after TRL's flags. */
export interface PrepareGkdOptions {
  /** Told how far it is. */
  readonly progress?: Progress;
  /**
   * Tokens in a row at most; the first ones of longer rows are cut off. null for no limit
   * (where TRL takes 1024, or less if the tokenizer says so). Default 1024.
   */
  readonly maxLength?: number | null;
}

/** What `prepareGkd` makes. */
export interface PreparedGkd {
  /** The examples, in the order of the rows. */
  readonly examples: readonly DistillationExample[];
  /** One line for people. */
  readonly description: string;
}

/**
 * Tokens of conversations whose last message is the answer: `messages`, `conversations`, or `prompt`
 * and `completion` as lists of messages. A text in `prompt` beside `messages` is taken as the
 * rendered prompt. The answer begins at the first token that starts behind the prompt. As in TRL,
 * tools and template variables of the rows are not used.
 *
 * @throws {UserError} on other rows, conversations of one message, or rows whose answer fills
 * `maxLength`
 */
export function prepareGkd(
  rows: readonly DatasetRow[],
  tokenizer: Tokenizer,
  options: PrepareGkdOptions = {},
): PreparedGkd {
  const { maxLength = 1024 } = options;
  checkMaxLength(maxLength);
  const first = maybeConvertToChatml(firstRow(rows));
  readConversation(first, 0);
  const examples = mapRows(rows, (stored, row): DistillationExample => {
    const { prompt, messages } = readConversation(maybeConvertToChatml(stored), row);
    return inRow(row, () => {
      const start = typeof prompt === "string"
        ? prompt
        : renderChat(tokenizer, prompt, { addGenerationPrompt: true });
      const whole = renderChat(tokenizer, messages);
      const ids = tokenizer.encode(whole, { addSpecialTokens: false });
      const border = answerStart(tokenizer, start, whole, ids);
      const cut = Math.max(0, ids.length - (maxLength ?? Infinity));
      if (border <= cut) {
        throw new UserError(
          `No token of the prompt is left: prompt and answer have ${ids.length} tokens, the answer ` +
            `${
              ids.length - border
            }, and max_length is ${maxLength}. There is nothing to generate ` +
            `from. Give a larger --max_length, or remove the row.`,
        );
      }
      return {
        promptIds: Int32Array.from(ids.slice(cut, border)),
        completionIds: Int32Array.from(ids.slice(border)),
        row,
      };
    });
  }, options.progress);
  const column = isMessageList(first["messages"])
    ? "conversations (messages; the last one is the answer)"
    : "prompt-completion pairs of messages (prompt, completion)";
  return { examples, description: column };
}

/** The number of the first token that starts behind the prompt. */
function answerStart(
  tokenizer: Tokenizer,
  prompt: string,
  whole: string,
  ids: readonly number[],
): number {
  const { pre_tokenizer, decoder } = tokenizer.definition;
  if (!JSON.stringify([pre_tokenizer, decoder]).includes('"ByteLevel"')) {
    return tokenizer.encode(prompt, { addSpecialTokens: false }).length;
  }
  let end = 0;
  const starts = tokenizer.spans(whole).map(([from, to]) => {
    // A token of blanks that its span leaves out stands where the one before it ended.
    const start = from === to ? end : from;
    end = from === to ? end : to;
    return start;
  });
  const found = starts.findIndex((start) => start >= prompt.length);
  return found < 0 ? ids.length : found;
}

interface Conversation {
  readonly prompt: string | readonly Message[];
  readonly messages: readonly Message[];
}

function readConversation(row: DatasetRow, index: number): Conversation {
  const { messages, prompt, completion } = row;
  if (isMessageList(messages)) {
    if (typeof prompt === "string") return { prompt, messages };
    if (messages.length > 1) return { prompt: messages.slice(0, -1), messages };
    throw new UserError(
      `Row ${
        index + 1
      } of the data set has a conversation of one message: expected a prompt and an ` +
        `answer at least.`,
    );
  }
  if (isMessageList(prompt) && isMessageList(completion)) {
    return { prompt, messages: [...prompt, ...completion] };
  }
  const columns = Object.keys(row).map((column) => `${column} (${kindOf(row[column])})`);
  throw new UserError(
    `Row ${index + 1} of the data set has the columns ${
      columns.join(", ") || "(none)"
    }: gkd needs ` +
      `conversations. It accepts: "messages" (a list of { role, content }, the last one the answer); ` +
      `"conversations" (the same, or { from, value }); "prompt" and "completion" (lists of { role, ` +
      `content }).`,
  );
}
