/** Rows of a file as prompts. @module */

import { UserError } from "../../core/errors.ts";
import { type Message, tokenizeChat } from "../../data/chat/chat_template.ts";
import type { Row } from "../../data/readers/dataset.ts";
import { parseJson } from "../../data/readers/python_json.ts";
import {
  firstRow,
  inRow,
  isMessageList,
  isPresent,
  kindOf,
} from "../../data/prepare/row_values.ts";
import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";

/** A row's prompt in tokens. */
export interface Prompt {
  /** The row it came from. */
  readonly row: Row;
  /** Token ids up to where the completion begins. */
  readonly ids: readonly number[];
  /** Whether it is a conversation, whose completion is a message. */
  readonly conversational: boolean;
}

const columns = ["prompt", "messages", "text"] as const;
type Column = typeof columns[number];

/**
 * Prompts of rows, whose first one says where they stand: in `prompt` (a text, or messages), `messages`, or `text`
 * (what a line of a .txt file is). As with TRL, messages that end with the assistant's are gone on with; a whole
 * conversation in `messages` that does leaves nothing to say.
 *
 * @param positions What the model was made for: a prompt has to leave one for its completion.
 * @throws {UserError} naming the row, if it has no prompt, an empty one or one that is too long.
 */
export function promptsOf(
  rows: readonly Row[],
  tokenizer: Tokenizer,
  positions: number,
): Prompt[] {
  const first = firstRow(rows);
  const column = columns.find((name) => isPresent(first[name]));
  return rows.map((row, index) =>
    inRow(index, () => {
      if (column === undefined || !isPresent(row[column])) throw noPrompt(row, column);
      const prompt = readPrompt(row, column, tokenizer);
      if (prompt.ids.length === 0) {
        throw new UserError(
          `The prompt is empty, or the tokenizer in ${tokenizer.directory} has no tokens for anything in it. Mend or ` +
            "remove the row.",
        );
      }
      if (prompt.ids.length >= positions) {
        throw new UserError(
          `The prompt has ${prompt.ids.length} tokens, and the model was made for ${positions} positions ` +
            "(max_position_embeddings), which leaves none for a completion. Shorten or remove the row.",
        );
      }
      return prompt;
    })
  );
}

function noPrompt(row: Row, column: Column | undefined): UserError {
  const found = Object.keys(row).join(", ") || "(none)";
  return new UserError(
    column === undefined
      ? `It has the columns ${found}, and no prompt: expected "prompt" (a text or a list of messages) or "messages".`
      : `It has no "${column}", where the first row has its prompt; its columns are ${found}. Mend or remove the row.`,
  );
}

function readPrompt(row: Row, column: Column, tokenizer: Tokenizer): Prompt {
  const value = row[column];
  if (column !== "messages" && typeof value === "string") {
    return { row, ids: tokenizer.encode(value), conversational: false };
  }
  if (!isMessageList(value) || column === "text") {
    const expected = column === "prompt"
      ? "a text or a list of messages"
      : column === "text"
      ? "a text"
      : "a list of messages";
    throw new UserError(`The column "${column}" is ${kindOf(value)}; expected ${expected}.`);
  }
  const open = value.at(-1)!.role === "assistant";
  if (open && column === "messages") {
    throw new UserError(
      "The conversation in messages ends with the assistant's answer, so there is nothing left to say. Leave the " +
        'answer out, or put the messages into the column "prompt" to have its last message gone on with.',
    );
  }
  return { row, ids: conversationIds(row, value, open, tokenizer), conversational: true };
}

function conversationIds(
  row: Row,
  messages: readonly Message[],
  open: boolean,
  tokenizer: Tokenizer,
): readonly number[] {
  const variables = row["chat_template_kwargs"];
  return tokenizeChat(tokenizer, messages, {
    ...(open ? { continueFinalMessage: true } : { addGenerationPrompt: true }),
    tools: toolsOf(row),
    ...(typeof variables === "object" && variables !== null ? { variables: { ...variables } } : {}),
  }).inputIds;
}

/** Schemas of tools, which data sets hold as a list or as its JSON text. */
function toolsOf(row: Row): readonly unknown[] | null {
  const stored = row["tools"];
  if (!isPresent(stored)) return null;
  let tools = stored;
  if (typeof stored === "string") {
    try {
      tools = parseJson(stored);
    } catch {
      // Said below.
    }
  }
  if (Array.isArray(tools)) return tools;
  throw new UserError(
    `The column "tools" is ${
      kindOf(tools)
    }; expected a list of tool schemas, or the JSON text of one.`,
  );
}
