/**
 * The shapes of rows that preference, reward and distillation training accept, and their common form.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { plainJson } from "../../core/terminal.ts";
import {
  type Content,
  extractPrompt,
  extractTriplePrompt,
  maybeConvertToChatml,
} from "./conversions.ts";
import { type ChatExtras, chatExtras, type DatasetRow, normalizeSftRow } from "./formats.ts";
import {
  type ColumnSet,
  holds,
  inRow,
  isMessageList,
  isPresent,
  kindOf,
  readMargin,
  refuseMisfit,
} from "./row_values.ts";

/** A command that trains on judged answers. */
export type PreferenceCommand =
  | "dpo"
  | "kto"
  | "bco"
  | "orpo"
  | "cpo"
  | "tpo"
  | "reward"
  | "prm";

/**
 * - `preference`: a chosen and a rejected answer, `prompt` in a column of its own (`explicit`) or at
 *   the start of both (`implicit`);
 * - `unpaired`: single answers, good or bad;
 * - `stepwise`: answers in steps, each right or wrong;
 * - `tokenized`: what a preparation of its own made.
 */
export type PreferenceKind = "preference" | "unpaired" | "stepwise" | "tokenized";

/** How the rows of a data set are read. */
export interface PreferenceFormat {
  /** What the rows are. */
  readonly kind: PreferenceKind;
  /** Whether they are messages rather than texts. */
  readonly conversational: boolean;
  /** Where the prompt of a pair stands; `inside`: at the start of both answers, where it stays. */
  readonly prompt: "explicit" | "implicit" | "inside";
  /** Whether there is a `reference` answer beside the pair. */
  readonly reference: boolean;
  /** Whether there is a `margin` beside the pair. */
  readonly margin: boolean;
  /** One line for people. */
  readonly description: string;
}

const accepted: Readonly<Record<PreferenceKind | "triple", string>> = {
  preference:
    `"chosen" and "rejected", perhaps with a "prompt" (texts, or lists of { role, content })`,
  triple:
    `"chosen", "rejected" and "reference", perhaps with a "prompt" (texts, or lists of { role, content })`,
  unpaired:
    `"prompt", "completion" (texts, or lists of { role, content }) and "label" (true or false)`,
  stepwise:
    `"prompt" (a text), "completions" (a list of steps) and "labels" (a list of true and false)`,
  tokenized: "",
};

const setOf: Readonly<Record<PreferenceKind | "triple", ColumnSet>> = {
  preference: { chosen: holds.content, rejected: holds.content },
  triple: { chosen: holds.content, rejected: holds.content, reference: holds.content },
  unpaired: { prompt: holds.content, completion: holds.content, label: holds.truth },
  stepwise: { prompt: holds.text, completions: holds.list, labels: holds.list },
  tokenized: {},
};

const kindsOf: Readonly<Record<PreferenceCommand, readonly (PreferenceKind | "triple")[]>> = {
  dpo: ["preference"],
  orpo: ["preference"],
  cpo: ["preference"],
  tpo: ["triple"],
  kto: ["unpaired", "preference"],
  bco: ["unpaired", "preference"],
  reward: ["preference"],
  prm: ["stepwise"],
};

/** Commands for rows of a kind, to point to from one that cannot use them. */
const commandsFor: Readonly<Record<PreferenceKind, string>> = {
  preference: "dpo, kto, bco, orpo, cpo or reward",
  unpaired: "kto or bco",
  stepwise: "prm",
  tokenized: "",
};

/**
 * The format of a data set for a command, judged by its first row.
 *
 * @throws {UserError} if the command cannot use such rows: says what they are, what it accepts, and
 * which commands take them
 */
export function detectPreferenceFormat(
  row: DatasetRow,
  command: PreferenceCommand,
): PreferenceFormat {
  const has = (...columns: string[]) => columns.every((column) => isPresent(row[column]));
  const tokenized = command === "reward" &&
      (has("chosen_ids", "rejected_ids") || has("chosen_input_ids", "rejected_input_ids")) ||
    command === "prm" && has("input_ids", "labels");
  if (tokenized) {
    return { ...NONE, kind: "tokenized", margin: has("margin"), description: "token ids" };
  }
  const kind = has("completions", "labels")
    ? "stepwise"
    : has("chosen", "rejected")
    ? "preference"
    : has("prompt", "completion", "label")
    ? "unpaired"
    : undefined;
  const columns = Object.keys(row).filter((column) => has(column));
  const kinds = kindsOf[command];
  const fits = kind !== undefined &&
    (kinds.includes(kind) ||
      (kind === "preference" && kinds.includes("triple") && has("reference")));
  if (!fits) {
    refuseMisfit(row, kinds.map((name) => setOf[name]));
    const found = columns.join(", ") || "(none)";
    const missing = kind === "preference" && command === "tpo";
    throw new UserError(
      `The rows of the data set have the columns ${found}` +
        (kind === undefined
          ? `, which is no format that ${command} knows.`
          : missing
          ? `: pairs without the third, "reference" answer (the gold one) that tpo learns from.`
          : `: ${KIND_NAMES[kind]} rows, which ${command} cannot use.`) +
        ` It accepts: ${kinds.map((name) => accepted[name]).join("; ")}.` +
        (kind === undefined ? "" : ` For such rows there is ${commandsFor[kind]}.`),
    );
  }
  const beside = ["prompt", ...(command === "reward" ? ["margin"] : [])];
  const empty = kind === "preference" && beside.find((column) => row[column] === null);
  if (empty) {
    throw new UserError(
      `Row 1 of the data set has null in its column "${empty}". Mend or remove the row; if all rows have null there, ` +
        "take the column out.",
    );
  }
  if (kind === "stepwise") {
    return {
      ...NONE,
      kind,
      description: "stepwise supervision (prompt, completions, labels)",
    };
  }
  return kind === "unpaired" ? unpairedFormat(row) : preferenceFormat(row, command);
}

const NONE = {
  conversational: false,
  prompt: "explicit",
  reference: false,
  margin: false,
} as const;

const KIND_NAMES: Readonly<Record<PreferenceKind, string>> = {
  preference: "preference",
  unpaired: "unpaired preference",
  stepwise: "stepwise",
  tokenized: "tokenized",
};

function unpairedFormat(row: DatasetRow): PreferenceFormat {
  const { prompt, completion } = maybeConvertToChatml(row);
  const conversational = sameKind({ prompt, completion });
  return {
    ...NONE,
    kind: "unpaired",
    conversational,
    description: `unpaired preferences${
      conversational ? " of messages" : ""
    } (prompt, completion, label)`,
  };
}

function preferenceFormat(row: DatasetRow, command: PreferenceCommand): PreferenceFormat {
  const { prompt, chosen, rejected, reference, margin } = maybeConvertToChatml(row);
  const isTriple = command === "tpo";
  const conversational = sameKind({ chosen, rejected, ...(isTriple && { reference }) });
  if (isMessageList(prompt) && !conversational) throw mixed("prompt", prompt, "chosen", chosen);
  // A text beside conversations only repeats what they begin with.
  const explicit = isPresent(prompt) && isMessageList(prompt) === conversational;
  const hasMargin = command === "reward" && isPresent(margin);
  const columns = [
    ...(explicit ? ["prompt"] : []),
    "chosen",
    "rejected",
    ...(isTriple ? ["reference"] : []),
    ...(hasMargin ? ["margin"] : []),
  ];
  return {
    kind: "preference",
    conversational,
    prompt: explicit ? "explicit" : "implicit",
    reference: isTriple,
    margin: hasMargin,
    description: `preference ${isTriple ? "triples" : "pairs"}${
      conversational ? " of messages" : ""
    } (${columns.join(", ")}${explicit ? "" : "; the prompt is their common start"}${
      command === "kto" || command === "bco" ? "; taken apart into single answers" : ""
    })`,
  };
}

/** Whether contents are messages. @throws {UserError} if some are and some are not */
function sameKind(contents: Readonly<Record<string, unknown>>): boolean {
  const [[column, value], ...others] = Object.entries(contents) as [
    [string, unknown],
    ...[string, unknown][],
  ];
  for (const [other, content] of others) {
    if (isMessageList(content) !== isMessageList(value)) throw mixed(column, value, other, content);
  }
  return isMessageList(value);
}

function mixed(a: string, first: unknown, b: string, second: unknown): UserError {
  return new UserError(
    `Row 1 of the data set is of two kinds: "${a}" is ${kindOf(first)} and "${b}" is ${
      kindOf(second)
    }: ` +
      `expected texts in all columns, or lists of { role, content } in all of them.`,
  );
}

/** A pair, or triple, in its common form: all texts or all messages. */
export interface PreferenceRow {
  /** What is answered; what both answers begin with is taken off them. */
  readonly prompt: Content;
  /** The better answer. */
  readonly chosen: Content;
  /** The worse answer. */
  readonly rejected: Content;
  /** TPO's gold answer. */
  readonly reference?: Content;
  /** By how much the chosen answer is better. */
  readonly margin?: number;
  /** What a chat template gets besides the messages. */
  readonly chat: ChatExtras;
}

/** A single answer, in its common form. */
export interface UnpairedRow {
  /** What is answered. */
  readonly prompt: Content;
  /** The answer. */
  readonly completion: Content;
  /** Whether the answer is good. */
  readonly label: boolean;
  /** What a chat template gets besides the messages. */
  readonly chat: ChatExtras;
}

/**
 * A pair in its common form.
 *
 * @param index the row's number from 0, for messages
 * @throws {UserError} if the row does not fit the format of the data set
 */
export function readPreferenceRow(
  stored: DatasetRow,
  format: PreferenceFormat,
  index: number,
): PreferenceRow {
  const read = contentReader(stored, format, index);
  const answers = {
    chosen: read("chosen"),
    rejected: read("rejected"),
    ...(format.reference && { reference: read("reference") }),
  };
  const beside = {
    chat: chatExtras(stored, index),
    ...(format.margin && { margin: readMargin(stored, index) }),
  };
  if (format.prompt === "explicit") return { prompt: read("prompt"), ...answers, ...beside };
  if (format.prompt === "inside") {
    return { prompt: format.conversational ? [] : "", ...answers, ...beside };
  }
  const extract = format.reference ? extractTriplePrompt : extractPrompt;
  const extracted = inRow(index, () => extract(answers));
  return { ...contentsOf(extracted), ...beside };
}

/** The contents of a row whose columns are known to be texts or messages. */
function contentsOf(row: DatasetRow): Omit<PreferenceRow, "chat" | "margin"> {
  const content = (column: string): Content => {
    const value = row[column];
    if (typeof value === "string") return value;
    return Array.isArray(value) ? value : [];
  };
  return {
    prompt: content("prompt"),
    chosen: content("chosen"),
    rejected: content("rejected"),
    ...("reference" in row && { reference: content("reference") }),
  };
}

/**
 * A single answer in its common form.
 *
 * @param index the row's number from 0, for messages
 * @throws {UserError} if the row does not fit the format of the data set, or its label is not boolean
 */
export function readUnpairedRow(
  stored: DatasetRow,
  format: PreferenceFormat,
  index: number,
): UnpairedRow {
  const read = contentReader(stored, format, index);
  const label = stored["label"];
  if (typeof label !== "boolean") {
    throw new UserError(
      `Row ${index + 1} of the data set has the label ${plainJson(label)}: expected ` +
        `true, for a good answer, or false, for a bad one.`,
    );
  }
  return {
    prompt: read("prompt"),
    completion: read("completion"),
    label,
    chat: chatExtras(stored, index),
  };
}

/** Reads contents by column, the readers of supervised rows doing the checks. */
function contentReader(stored: DatasetRow, format: PreferenceFormat, index: number) {
  const { description } = format;
  return (column: string): Content => {
    const kind = format.conversational ? "messages" : "text";
    const read = normalizeSftRow(stored, { kind, column, description }, index);
    if (read.kind === "text") return read.text;
    return read.kind === "messages" ? read.messages : [];
  };
}
