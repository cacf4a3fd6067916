/** The shapes of rows that supervised fine-tuning accepts, and their common form. */

import { UserError } from "../../core/errors.ts";
import { plainJson } from "../../core/terminal.ts";
import type { Message } from "../chat/chat_template.ts";
import { isRecord, type JsonRecord } from "../files/json_files.ts";
import { parseJson } from "../readers/python_json.ts";
import { type ColumnSet, holds, kindOf, refuseMisfit } from "./row_values.ts";

/** A row as a reader gives it: column names to values. */
export type DatasetRow = JsonRecord;

/** What a chat template gets besides the messages. */
export interface ChatExtras {
  /** JSON schemas of tools, from the column `tools` (a list, or its JSON text). */
  readonly tools: readonly unknown[] | null;
  /** Template variables from the column `chat_template_kwargs`. */
  readonly variables: Readonly<Record<string, unknown>>;
}

/** A row in its common form. */
export type SftRow =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "messages"; readonly messages: readonly Message[]; readonly chat: ChatExtras }
  | { readonly kind: "prompt-completion"; readonly prompt: string; readonly completion: string }
  | {
    readonly kind: "conversational prompt-completion";
    readonly prompt: readonly Message[];
    readonly completion: readonly Message[];
    readonly chat: ChatExtras;
  }
  | {
    readonly kind: "tokenized";
    readonly inputIds: readonly number[];
    readonly labels?: readonly number[];
    readonly completionMask?: readonly number[];
    readonly assistantMasks?: readonly number[];
  };

/** How the rows of a data set are read. */
export interface SftFormat {
  /** The common form of its rows. */
  readonly kind: SftRow["kind"];
  /** Where its rows come from, where that is not the common form itself. */
  readonly source?: "sharegpt" | "alpaca";
  /** The column of the text, for `text`, or of the messages, for `messages`. */
  readonly column?: string;
  /** One line for people. */
  readonly description: string;
}

const pairSet: ColumnSet = { prompt: holds.content, completion: holds.content };
const conversationSets: readonly ColumnSet[] = [
  { input_ids: holds.ids },
  pairSet,
  { messages: holds.messages },
  { conversations: holds.messages },
];
const alpacaSet: ColumnSet = { instruction: holds.text, output: holds.text };

const acceptedColumns = (textField: string) => [
  `"${textField}" (a text${
    textField === "text" ? "; another column with --dataset_text_field" : ""
  })`,
  `"messages" (a list of { role, content })`,
  `"conversations" (a list of { from, value } or { role, content })`,
  `"prompt" and "completion" (texts, or lists of { role, content })`,
  `"instruction", "output" and perhaps "input" (Alpaca)`,
  `"input_ids" (token ids, with "labels", "completion_mask" or "assistant_masks" if need be)`,
];

/**
 * The format of a data set, judged by its first row in TRL's order of preference.
 *
 * @param textField `--dataset_text_field`
 * @throws {UserError} if no format fits: lists the columns seen and the formats accepted
 */
export function detectSftFormat(row: DatasetRow, textField = "text"): SftFormat {
  const has = (column: string) => row[column] !== undefined && row[column] !== null;
  if (has("input_ids")) {
    const extra = ["labels", "completion_mask", "assistant_masks"].filter(has);
    return {
      kind: "tokenized",
      description: `token ids${extra.length > 0 ? ` with ${extra.join(" and ")}` : ""}`,
    };
  }
  if (has("prompt") && has("completion")) {
    const conversational = isMessages(row["prompt"]);
    return conversational
      ? {
        kind: "conversational prompt-completion",
        description: "prompt-completion pairs of messages (prompt, completion)",
      }
      : { kind: "prompt-completion", description: "prompt-completion pairs (prompt, completion)" };
  }
  // A row with half a pair is no row of another format.
  if (has("prompt") || has("completion")) refuseMisfit(row, [pairSet]);
  if (isMessages(row["messages"])) {
    return { kind: "messages", column: "messages", description: "conversations (messages)" };
  }
  if (isFromValue(row["conversations"])) {
    return {
      kind: "messages",
      source: "sharegpt",
      column: "conversations",
      description: "conversations (ShareGPT: conversations with from and value)",
    };
  }
  if (isMessages(row["conversations"])) {
    return {
      kind: "messages",
      column: "conversations",
      description: "conversations (conversations)",
    };
  }
  if (has(textField)) {
    return { kind: "text", column: textField, description: `texts (${textField})` };
  }
  if (has("instruction") && has("output")) {
    return {
      kind: "prompt-completion",
      source: "alpaca",
      description: "prompt-completion pairs (Alpaca: instruction, input, output)",
    };
  }
  refuseMisfit(row, [...conversationSets, { [textField]: holds.text }, alpacaSet]);
  const columns = Object.keys(row);
  throw new UserError(
    `The rows of the data set have the columns ${
      columns.join(", ") || "(none)"
    }, which is no format ` +
      `that supervised fine-tuning knows. It accepts: ${acceptedColumns(textField).join("; ")}.`,
  );
}

/**
 * A row in its common form.
 *
 * @param index the row's number from 0, for messages
 * @throws {UserError} if the row does not fit the format of the data set
 */
export function normalizeSftRow(row: DatasetRow, format: SftFormat, index: number): SftRow {
  const text = (column: string): string => {
    const value = row[column];
    if (typeof value === "string") return value;
    throw mismatch(row, format, index, column, "a text");
  };
  switch (format.kind) {
    case "text":
      return { kind: "text", text: text(format.column ?? "text") };
    case "prompt-completion":
      if (format.source === "alpaca") {
        return {
          kind: "prompt-completion",
          prompt: alpacaPrompt(text("instruction"), row["input"] ? text("input") : ""),
          completion: text("output"),
        };
      }
      return { kind: "prompt-completion", prompt: text("prompt"), completion: text("completion") };
    case "messages": {
      const column = format.column ?? "messages";
      const messages = readMessages(row, format, index, column);
      return { kind: "messages", messages, chat: chatExtras(row, index) };
    }
    case "conversational prompt-completion":
      return {
        kind: "conversational prompt-completion",
        prompt: readMessages(row, format, index, "prompt"),
        completion: readMessages(row, format, index, "completion"),
        chat: chatExtras(row, index),
      };
    case "tokenized": {
      const numbers = (column: string): readonly number[] => {
        const value = row[column];
        if (Array.isArray(value) && value.every((item) => typeof item === "number")) return value;
        throw mismatch(row, format, index, column, "a list of numbers");
      };
      const inputIds = numbers("input_ids");
      const beside = (column: string) => {
        if (row[column] === undefined || row[column] === null) return undefined;
        const values = numbers(column);
        if (values.length === inputIds.length) return values;
        throw new UserError(
          `Row ${
            index + 1
          } of the data set has ${inputIds.length} input_ids but ${values.length} ` +
            `${column}: they must be as many.`,
        );
      };
      const labels = beside("labels");
      const completionMask = beside("completion_mask");
      const assistantMasks = beside("assistant_masks");
      return {
        kind: "tokenized",
        inputIds,
        ...(labels && { labels }),
        ...(completionMask && { completionMask }),
        ...(assistantMasks && { assistantMasks }),
      };
    }
  }
}

/** The prompt of Stanford Alpaca (github.com/tatsu-lab/stanford_alpaca), up to the response. */
function alpacaPrompt(instruction: string, input: string): string {
  return input === ""
    ? "Below is an instruction that describes a task. Write a response that appropriately " +
      `completes the request.\n\n### Instruction:\n${instruction}\n\n### Response:\n`
    : "Below is an instruction that describes a task, paired with an input that provides further " +
      "context. Write a response that appropriately completes the request.\n\n" +
      `### Instruction:\n${instruction}\n\n### Input:\n${input}\n\n### Response:\n`;
}

function isMessages(value: unknown): boolean {
  return Array.isArray(value) && isRecord(value[0]) && "role" in value[0];
}

function isFromValue(value: unknown): boolean {
  return Array.isArray(value) && isRecord(value[0]) && "from" in value[0] && "value" in value[0];
}

function readMessages(
  row: DatasetRow,
  format: SftFormat,
  index: number,
  column: string,
): readonly Message[] {
  const list = row[column];
  const wanted = "a list of messages, each with a role";
  if (!Array.isArray(list) || list.length === 0) {
    throw mismatch(row, format, index, column, wanted);
  }
  return list.map((message: unknown, at): Message => {
    const wrong = (what: string) =>
      new UserError(
        `Row ${index + 1} of the data set has ${what} as message ${
          at + 1
        } in its column "${column}": ${wanted}, was ` +
          "expected. Mend or remove the row.",
      );
    if (!isRecord(message)) throw wrong(kindOf(message));
    const { from, value, ...rest } = message;
    const renamed: JsonRecord = {
      ...(from === undefined ? {} : { role: from }),
      ...(value === undefined ? {} : { content: value }),
      ...rest,
    };
    const role = renamed["role"];
    if (typeof role !== "string") {
      throw wrong(`${plainJson(message).slice(0, 80)}, which has ${kindOf(role)} for its role,`);
    }
    return { ...renamed, role };
  });
}

/** The tools and template variables of a row. @param index the row's number from 0 @throws {UserError} on tools that are no list */
export function chatExtras(row: DatasetRow, index: number): ChatExtras {
  const stored = row["tools"];
  let tools: unknown = stored ?? null;
  if (typeof stored === "string") {
    try {
      tools = parseJson(stored);
    } catch (cause) {
      throw new UserError(
        `Row ${
          index + 1
        } of the data set has a "tools" column that is not JSON: expected a list of ` +
          `tool schemas, or the JSON text of one.`,
        { cause },
      );
    }
  }
  if (tools !== null && !Array.isArray(tools)) {
    throw new UserError(
      `Row ${index + 1} of the data set has a "tools" column that is no list: expected a list of ` +
        `tool schemas, or the JSON text of one.`,
    );
  }
  const variables = row["chat_template_kwargs"];
  return { tools, variables: isRecord(variables) ? variables : {} };
}

function mismatch(
  row: DatasetRow,
  format: SftFormat,
  index: number,
  column: string,
  expected: string,
): UserError {
  const value = row[column];
  const seen = value === undefined
    ? `is missing (its columns are ${Object.keys(row).join(", ")})`
    : Array.isArray(value) && value.length === 0
    ? "is an empty list"
    : `is ${plainJson(value).slice(0, 80)}`;
  return new UserError(
    `Row ${index + 1} of the data set does not fit ` +
      `${index === 0 ? "what its columns say" : "the first one"}, ${format.description}: ` +
      `its column "${column}" ${seen}, where ${expected} was expected. Mend or remove the row.`,
  );
}
