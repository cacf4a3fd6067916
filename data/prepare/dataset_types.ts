/**
 * Data sets from one type to another: the table of conversions in TRL's guide to dataset formats.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { type Content, extractPrompt, unpairPreference } from "./conversions.ts";
import type { DatasetRow } from "./formats.ts";
import { isMessageList, isPresent, kindOf } from "./row_values.ts";

/** TRL's types of data sets. */
export type DatasetType =
  | "language modeling"
  | "prompt-only"
  | "prompt-completion"
  | "preference with implicit prompt"
  | "preference"
  | "unpaired preference"
  | "stepwise supervision";

type Convert = (rows: readonly DatasetRow[]) => DatasetRow[];

const columnsOf: Readonly<Record<DatasetType, readonly string[]>> = {
  "language modeling": ["text", "messages"],
  "prompt-only": ["prompt"],
  "prompt-completion": ["prompt", "completion"],
  "preference with implicit prompt": ["chosen", "rejected"],
  "preference": ["prompt", "chosen", "rejected"],
  "unpaired preference": ["prompt", "completion", "label"],
  "stepwise supervision": ["prompt", "completions", "labels"],
};

/** The conversions there are, by type before and after. */
const conversions: Readonly<
  Partial<Record<DatasetType, Readonly<Partial<Record<DatasetType, Convert>>>>>
> = {
  "prompt-completion": {
    "language modeling": asText("prompt", "completion"),
    "prompt-only": without("completion"),
  },
  "preference with implicit prompt": {
    "language modeling": asText("chosen"),
    "prompt-completion": (rows) => chosenAsCompletion(rows.map(extractPrompt)),
    "prompt-only": (rows) => without("chosen", "rejected")(rows.map(extractPrompt)),
    "preference": (rows) => rows.map(extractPrompt),
    "unpaired preference": (rows) => unpairPreference(rows.map(extractPrompt)),
  },
  "preference": {
    "language modeling": asText("prompt", "chosen"),
    "prompt-completion": (rows) => chosenAsCompletion(rows),
    "prompt-only": without("chosen", "rejected"),
    "preference with implicit prompt": (rows) =>
      rows.map(({ prompt, ...row }) => ({
        ...row,
        chosen: join(prompt, row["chosen"]),
        rejected: join(prompt, row["rejected"]),
      })),
    "unpaired preference": (rows) => unpairPreference(rows),
  },
  "unpaired preference": {
    "language modeling": (rows) => asText("prompt", "completion")(rows.filter(isGood)),
    "prompt-completion": (rows) => without("label")(rows.filter(isGood)),
    "prompt-only": without("completion", "label"),
  },
  "stepwise supervision": {
    "language modeling": (rows) =>
      asText("prompt", "completion")(rows.map(joinSteps).filter(isGood)),
    "prompt-completion": (rows) => without("label")(rows.map(joinSteps).filter(isGood)),
    "prompt-only": without("completions", "labels"),
    "unpaired preference": (rows) => rows.map(joinSteps),
  },
};

/**
 * A data set as another type. Texts and conversations are both taken (language modelling on
 * conversations has a column `messages`). Conversions that keep good answers alone leave out rows
 * with a false label, or with a false step.
 *
 * @param from the type it has; by default what its first row's columns say
 * @throws {UserError} if there is no such conversion, or a row lacks a column
 */
export function convertDataset(
  rows: readonly DatasetRow[],
  to: DatasetType,
  from: DatasetType = datasetTypeOf(rows[0] ?? {}),
): DatasetRow[] {
  if (from === to) return [...rows];
  const convert = conversions[from]?.[to];
  if (convert === undefined) {
    const targets = Object.keys(conversions[from] ?? {});
    throw new UserError(
      `A data set of the type ${from} cannot be made one of the type ${to}. ` +
        (targets.length > 0
          ? `It can become: ${targets.join("; ")}.`
          : `There is no conversion from that type.`),
    );
  }
  rows.forEach((row, index) => requireColumns(row, from, index));
  return convert(rows);
}

/** The type of a data set with such rows. @throws {UserError} if it is none of TRL's */
export function datasetTypeOf(row: DatasetRow): DatasetType {
  const has = (...columns: string[]) => columns.every((column) => isPresent(row[column]));
  if (has("completions", "labels")) return "stepwise supervision";
  if (has("prompt", "chosen", "rejected")) return "preference";
  if (has("chosen", "rejected")) return "preference with implicit prompt";
  if (has("prompt", "completion", "label")) return "unpaired preference";
  if (has("prompt", "completion")) return "prompt-completion";
  if (has("text") || has("messages")) return "language modeling";
  if (has("prompt")) return "prompt-only";
  const types = Object.entries(columnsOf)
    .map(([type, columns]) =>
      `${type} (${columns.join(type === "language modeling" ? " or " : ", ")})`
    );
  throw new UserError(
    `Rows with the columns ${
      Object.keys(row).join(", ") || "(none)"
    } are no type of data set that ` +
      `can be converted. These can: ${types.join("; ")}.`,
  );
}

function requireColumns(row: DatasetRow, type: DatasetType, index: number): void {
  const missing = columnsOf[type].filter((column) => !isPresent(row[column]));
  if (missing.length === 0) return;
  throw new UserError(
    `Row ${index + 1} of the data set has the columns ${Object.keys(row).join(", ")}: a data set ` +
      `of the type ${type} needs ${missing.join(" and ")} too.`,
  );
}

function without(...columns: string[]): Convert {
  return (rows) =>
    rows.map((row) =>
      Object.fromEntries(Object.entries(row).filter(([column]) => !columns.includes(column)))
    );
}

const removeContents = without("prompt", "completion", "chosen", "rejected", "label");

function asText(...columns: string[]): Convert {
  return (rows) => {
    const rest = removeContents(rows);
    return rows.map((row, i) => {
      const whole = columns.map((column) => row[column]).reduce(join);
      return { ...rest[i]!, [typeof whole === "string" ? "text" : "messages"]: whole };
    });
  };
}

function chosenAsCompletion(rows: readonly DatasetRow[]): DatasetRow[] {
  return rows.map(({ chosen, rejected: _, ...row }) => ({ ...row, completion: chosen }));
}

function isGood(row: DatasetRow): boolean {
  return row["label"] === true;
}

/** The steps as one answer, which is good if every step is. */
function joinSteps({ completions, labels, ...row }: DatasetRow): DatasetRow {
  if (!Array.isArray(completions) || !Array.isArray(labels)) {
    throw new UserError(
      `"completions" is ${kindOf(completions)} and "labels" ${
        kindOf(labels)
      }: expected lists, of ` +
        `steps and of what each is worth.`,
    );
  }
  return { ...row, completion: completions.join(""), label: labels.every(Boolean) };
}

function join(start: unknown, end: unknown): Content {
  if (typeof start === "string" && typeof end === "string") return start + end;
  if (isMessageList(start) && isMessageList(end)) return [...start, ...end];
  throw new UserError(
    `Prompt and answer cannot be joined: the one is ${kindOf(start)}, the other ${kindOf(end)}. ` +
      `Expected two texts or two lists of messages.`,
  );
}
