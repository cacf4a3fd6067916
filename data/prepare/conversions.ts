/**
 * Rows from one form to another, a function for each of TRL's (`trl.data_utils`, 1.13). All are pure.
 * Columns that a function does not speak of stay, as they do when `datasets` maps TRL's functions
 * over a data set.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { plainJson } from "../../core/terminal.ts";
import { type Message, renderChat } from "../chat/chat_template.ts";
import { Float } from "../jinja/values.ts";
import { plainValue } from "../readers/column_types.ts";
import type { DatasetRow } from "./formats.ts";
import { isRecord } from "../files/json_files.ts";
import { isMessageList, isPresent, kindOf } from "./row_values.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** A prompt or an answer: a text, or messages. */
export type Content = string | readonly Message[];

const CONTENT_COLUMNS = ["prompt", "chosen", "rejected", "completion", "messages"] as const;

/**
 * Whether a row consists of messages rather than texts, judged by the first of its columns prompt,
 * chosen, rejected, completion and messages.
 */
export function isConversational(row: DatasetRow): boolean {
  const column = CONTENT_COLUMNS.find((name) => isPresent(row[name]));
  return column !== undefined && isMessageList(row[column]);
}

/** Whether a row has `conversations` in ShareGPT's form, messages of `from` and `value`. */
export function isConversationalFromValue(row: DatasetRow): boolean {
  const list = row["conversations"];
  return Array.isArray(list) && isRecord(list[0]) && "from" in list[0] && "value" in list[0];
}

/**
 * A row whose messages have `role` and `content` instead of ShareGPT's `from` and `value`, and whose
 * `conversations` are called `messages`. The names of the speakers stay.
 */
export function maybeConvertToChatml(row: DatasetRow): DatasetRow {
  const converted: Record<string, unknown> = {};
  for (const [column, value] of Object.entries(row)) {
    const holdsMessages = column === "conversations" ||
      CONTENT_COLUMNS.some((name) => name === column);
    converted[column === "conversations" ? "messages" : column] =
      holdsMessages && Array.isArray(value) ? value.map(toChatml) : value;
  }
  return converted;
}

function toChatml(message: unknown): unknown {
  if (!isRecord(message)) return message;
  const { from, value, ...rest } = message;
  return {
    ...rest,
    ...(from === undefined ? {} : { role: from }),
    ...(value === undefined ? {} : { content: value }),
  };
}

/** Column sets that {@link applyChatTemplate} knows, as sorted lists. */
const TEMPLATE_COLUMNS = [
  "messages",
  "prompt",
  "completion,prompt",
  "chosen,prompt,rejected",
  "chosen,rejected",
  "completion,label,prompt",
];

/**
 * A conversational row as texts: `messages` becomes `text`, the other columns keep their names. A
 * prompt ends with the start of an answer, or, if the assistant spoke last, stays open. What an
 * answer is follows from the rendering of prompt and answer together; where templates write a
 * prompt differently before an answer, the prompt is the common start.
 *
 * @throws {UserError} on columns that make no known form, a last speaker of a prompt that is neither
 * user, tool nor assistant, or a template that fails
 */
export function applyChatTemplate(
  row: DatasetRow,
  tokenizer: Tokenizer,
  options: { readonly tools?: readonly unknown[] | null } = {},
): DatasetRow {
  const columns = [...CONTENT_COLUMNS, "label"].filter((name) => isPresent(row[name])).sort();
  if (!TEMPLATE_COLUMNS.includes(columns.join())) {
    throw new UserError(
      `A chat template cannot be applied to a row with the columns ${
        Object.keys(row).join(", ")
      }: ` +
        `it takes messages; prompt; prompt and completion, perhaps with a label; or chosen and ` +
        `rejected, perhaps with a prompt.`,
    );
  }
  const variables = row["chat_template_kwargs"];
  const render = (messages: readonly Message[], open: object = {}) =>
    renderChat(tokenizer, messages, {
      // Some templates write their boilerplate for tools even for an empty list of them.
      tools: options.tools?.length ? options.tools : null,
      ...(isRecord(variables) && { variables }),
      ...open,
    });
  const { messages, ...rest } = row;
  if (isPresent(messages)) return { ...rest, text: render(messagesOf(row, "messages")) };

  const answers = (["chosen", "rejected", "completion"] as const)
    .filter((name) => isPresent(row[name]));
  if (!isPresent(row["prompt"])) {
    const texts = answers.map((name) => [name, render(messagesOf(row, name))]);
    return { ...row, ...Object.fromEntries(texts) };
  }
  const conversation = messagesOf(row, "prompt");
  const wholes = answers.map((name) => render([...conversation, ...messagesOf(row, name)]));
  const prompt = wholes.reduce(commonStart, render(conversation, promptEnd(conversation)));
  const texts = answers.map((name, i) => [name, wholes[i]!.slice(prompt.length)]);
  return { ...row, prompt, ...Object.fromEntries(texts) };
}

function promptEnd(conversation: readonly Message[]): object {
  const role = conversation.at(-1)?.role;
  if (role === "user" || role === "tool") return { addGenerationPrompt: true };
  if (role === "assistant") return { continueFinalMessage: true };
  throw new UserError(
    `The last message of a prompt has the role ${plainJson(role)}: expected user or tool, ` +
      `which the answer follows, or assistant, whose words it continues.`,
  );
}

function messagesOf(row: DatasetRow, column: string): readonly Message[] {
  const value = row[column];
  if (isMessageList(value)) return value;
  throw new UserError(
    `A chat template takes messages, but the column "${column}" of the row holds ${
      plainJson(value).slice(0, 60)
    }: expected a list of { role, content }.`,
  );
}

/** The longest common start of two texts that splits no character. */
function commonStart(a: string, b: string): string {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  const last = a.charCodeAt(length - 1);
  const splits = length < a.length && last >= 0xd800 && last < 0xdc00;
  return a.slice(0, splits ? length - 1 : length);
}

/** A conversational row as texts, any other row as it is. @throws {UserError} as `applyChatTemplate` */
export function maybeApplyChatTemplate(
  row: DatasetRow,
  tokenizer: Tokenizer,
  options: { readonly tools?: readonly unknown[] | null } = {},
): DatasetRow {
  return isConversational(row) ? applyChatTemplate(row, tokenizer, options) : row;
}

/**
 * A preference row with its prompt, which is the longest common start of `chosen` and `rejected`, in
 * a column of its own. Of texts a blank before the difference goes to the answers. Where one is the
 * start of the other, its last character or message still counts as an answer.
 *
 * TRL 1.13 looks for that blank at the *end* of `chosen` if already the first characters differ;
 * here the prompt is then empty.
 *
 * @throws {UserError} if `chosen` and `rejected` are not both texts or both lists
 */
export function extractPrompt(row: DatasetRow): DatasetRow {
  const { chosen, rejected } = row;
  if (typeof chosen === "string" && typeof rejected === "string") {
    // By characters, not UTF-16 units: a prompt must not end in half an emoji.
    const [a, b] = [Array.from(chosen), Array.from(rejected)];
    const length = sharedLength(a, b);
    return {
      ...row,
      prompt: a.slice(0, length).join(""),
      chosen: a.slice(length).join(""),
      rejected: b.slice(length).join(""),
    };
  }
  if (Array.isArray(chosen) && Array.isArray(rejected)) {
    const length = sharedLength(chosen, rejected);
    return {
      ...row,
      prompt: chosen.slice(0, length),
      chosen: chosen.slice(length),
      rejected: rejected.slice(length),
    };
  }
  throw new UserError(
    `A prompt can only be found in "chosen" and "rejected" if both are texts or both are lists of ` +
      `messages: the one is ${kindOf(chosen)}, the other ${kindOf(rejected)}.`,
  );
}

function sharedLength(chosen: readonly unknown[], rejected: readonly unknown[]): number {
  const shorter = Math.min(chosen.length, rejected.length);
  for (let i = 0; i < shorter; i++) {
    if (!isSameJson(chosen[i], rejected[i])) return i > 0 && chosen[i - 1] === " " ? i - 1 : i;
  }
  return Math.max(shorter - 1, 0);
}

/** Equality of JSON values. A field that is null equals one that is absent, as in a data set's table. */
function isSameJson(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, i) => isSameJson(item, b[i]));
  }
  if (isPythonic(a) || isPythonic(b)) return isSameJson(plainValue(a), plainValue(b));
  if (isRecord(a) && isRecord(b)) {
    const fields = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...fields].every((field) => isSameJson(a[field] ?? null, b[field] ?? null));
  }
  return a === b;
}

function isPythonic(value: unknown): boolean {
  return value instanceof Float || value instanceof Map;
}

/**
 * A preference row with its prompt in a column of its own. Rows that are none are returned as they
 * are, and so are those whose `prompt` is of the kind of their `chosen`: a text beside conversations
 * only repeats what they begin with.
 *
 * @throws {UserError} as `extractPrompt`
 */
export function maybeExtractPrompt(row: DatasetRow): DatasetRow {
  if (!isPresent(row["chosen"]) || !isPresent(row["rejected"])) return row;
  const explicit = isPresent(row["prompt"]) &&
    isMessageList(row["prompt"]) === isMessageList(row["chosen"]);
  return explicit ? row : extractPrompt(row);
}

/** A TPO row with its prompt in a column of its own, taken off `reference` too (TRL's triple preference). */
export function extractTriplePrompt(row: DatasetRow): DatasetRow {
  const { reference, ...pair } = row;
  const extracted = extractPrompt(pair);
  const prompt = extracted["prompt"];
  const isText = typeof prompt === "string" && typeof reference === "string";
  const begins = isText
    ? reference.startsWith(prompt)
    : Array.isArray(prompt) && Array.isArray(reference) &&
      isSameJson(reference.slice(0, prompt.length), prompt);
  if (!begins) {
    throw new UserError(
      `"reference" does not begin with the prompt that "chosen" and "rejected" share, ${
        plainJson(prompt).slice(0, 80)
      }. Put the prompt into a column "prompt" of its own, or begin all three with it.`,
    );
  }
  const length = isText ? prompt.length : Array.isArray(prompt) ? prompt.length : 0;
  const rest = typeof reference === "string" || Array.isArray(reference)
    ? reference.slice(length)
    : reference;
  return { ...extracted, reference: rest };
}

/** Options of {@link unpairPreference}. */
export interface UnpairOptions {
  /** Rows taken apart together: first all that were chosen, then all that were rejected. Default 1000. */
  readonly batchRows?: number;
}

/** Where a row taken from a pair comes from. */
export interface UnpairedOrigin {
  /** The number of the pair's row, from 0. */
  readonly row: number;
  /** Whether it is what was chosen. */
  readonly label: boolean;
}

/** The order in which {@link unpairPreference} puts the halves of `count` rows. */
export function unpairedOrder(count: number, options: UnpairOptions = {}): UnpairedOrigin[] {
  const { batchRows = 1000 } = options;
  const order: UnpairedOrigin[] = [];
  for (let start = 0; start < count; start += batchRows) {
    const end = Math.min(start + batchRows, count);
    for (const label of [true, false]) {
      for (let row = start; row < end; row++) order.push({ row, label });
    }
  }
  return order;
}

/**
 * Preference rows taken apart: each becomes one row with `completion` and `label: true`, and one with
 * `label: false` (TRL's `unpair_preference_dataset`).
 */
export function unpairPreference(
  rows: readonly DatasetRow[],
  options: UnpairOptions = {},
): DatasetRow[] {
  return unpairedOrder(rows.length, options).map(({ row, label }) => {
    const { chosen, rejected, ...rest } = rows[row]!;
    return { ...rest, completion: label ? chosen : rejected, label };
  });
}

/** Preference rows taken apart, other rows as they are; the first row decides. */
export function maybeUnpairPreference(
  rows: readonly DatasetRow[],
  options: UnpairOptions = {},
): readonly DatasetRow[] {
  const first = rows[0] ?? {};
  const paired = isPresent(first["chosen"]) && isPresent(first["rejected"]);
  return paired ? unpairPreference(rows, options) : rows;
}
