/**
 * Consumers of a run's records: the console and a JSONL file.
 *
 * @module
 */

import {
  type Control,
  eraseLine,
  plainJson,
  screenColumns,
  standardError,
  type Terminal,
} from "../../core/terminal.ts";
import {
  type BarState,
  formatBar,
  formatPreparationBar,
  formatRecord,
  type LogRecord,
  type PrepareRecord,
} from "./progress.ts";
import { openRunFile } from "../files/run_file.ts";
import { wrapped } from "./wrap.ts";

/** Takes the records of a run in order. */
export interface Reporter {
  /** Takes one record. What it wrote has left the process when it returns. */
  readonly report: (record: LogRecord) => void;
  /** Ends the report; nothing may be reported afterwards. Calling it again does nothing. */
  readonly close: () => void;
}

/** Where a console reporter writes and what it may assume. */
export interface ConsoleOptions {
  /** Where it writes; by default standard error, which keeps standard output clean. */
  readonly terminal?: Terminal;
  /** Whether a bar may be redrawn in place; by default where the terminal is a screen. */
  readonly bar?: boolean;
  /** Columns of the terminal, asked for at each redraw; 80 where it cannot be known. */
  readonly columns?: () => number;
  /** Whether lines are broken between words to fit the columns; by default where there is a bar. */
  readonly wrap?: boolean;
  /** Whether notices are shown; true by default. */
  readonly notices?: boolean;
  /** Milliseconds, for limiting redraws; `performance.now` by default. */
  readonly now?: () => number;
}

/** Without a bar, this often is said how far the preparation is. */
const PREPARATION_MILLISECONDS = 10_000;

/** Redraws closer together than this cannot be seen and cost time. */
const REDRAW_MILLISECONDS = 50;

/**
 * Reports to a console. On a terminal a bar is redrawn in place (step, loss, tokens/s, ETA) with the
 * logged rows above it; elsewhere each row is one plain line.
 */
export function consoleReporter(options: ConsoleOptions = {}): Reporter {
  const {
    terminal: { write, isScreen } = standardError,
    bar = isScreen(),
    columns = screenColumns,
    wrap = bar,
    notices = true,
    now = () => performance.now(),
  } = options;
  let state: BarState | undefined;
  let drawn = false;
  let drawnAt = -Infinity;
  const erased = (): (string | Control)[] => drawn ? [eraseLine] : [];
  const drawing = (current: BarState): string => {
    // Before it is known how many steps there are, a bar says nothing.
    if (current.totalSteps === 0) return "";
    drawn = true;
    drawnAt = now();
    // The last column stays free: some terminals wrap when it is filled.
    return formatBar(current, columns() - 1);
  };
  let saidAt = now();
  const prepare = (record: PrepareRecord) => {
    const at = now();
    if (bar) {
      const over = record.rows === record.totalRows;
      if (!over && at - drawnAt < REDRAW_MILLISECONDS) return;
      write(...erased(), over ? "" : formatPreparationBar(record, columns() - 1));
      [drawn, drawnAt] = [!over, at];
    } else if (at - saidAt >= PREPARATION_MILLISECONDS) {
      write(`${formatRecord(record)}\n`);
      saidAt = at;
    }
  };
  const erase = () => {
    write(...erased());
    drawn = false;
  };
  return {
    report: (record) => {
      if ((record.kind === "notice" || record.kind === "memory") && !notices) return;
      if (record.kind === "prepare") return prepare(record);
      const row = formatRecord(record);
      // A row's second line stands apart from the next row.
      const line = wrap && row !== undefined
        ? wrapped(row, columns() - 1, record.kind === "notice" ? 0 : 2).join("\n")
        : row;
      if (!bar) {
        if (line !== undefined) write(`${line}\n`);
        return;
      }
      state = record.kind === "end" ? undefined : nextBar(state, record);
      if (line === undefined && now() - drawnAt < REDRAW_MILLISECONDS) return;
      // One write per redraw, so that the bar does not flicker.
      const parts = [...erased(), line === undefined ? "" : `${line}\n`];
      drawn = false;
      write(...parts, state === undefined ? "" : drawing(state));
    },
    close: erase,
  };
}

/** The bar after a record: what a record does not say stays as it was. */
function nextBar(state: BarState | undefined, record: LogRecord): BarState {
  const { step, totalSteps } = record;
  if (record.kind !== "train" && record.kind !== "progress") {
    return { ...state, step, totalSteps };
  }
  const { tokensPerSecond, remainingSeconds } = record;
  const { loss, reward: summed, "objective/scores": scores } = record.kind === "train"
    ? record.values
    : {};
  const reward = summed ?? scores;
  return {
    ...state,
    step,
    totalSteps,
    ...(loss === undefined ? {} : { loss }),
    ...(reward === undefined ? {} : { reward }),
    ...(tokensPerSecond === undefined ? {} : { tokensPerSecond }),
    ...(remainingSeconds === undefined ? {} : { remainingSeconds }),
  };
}

/**
 * The row of a record in a JSONL log: `kind`, `step`, `total_steps`, `epoch`, `elapsed_seconds`, then
 * the metrics by their names. A metric that is not a finite number is null. Undefined for `prepare`, `begin`,
 * `progress` and `answers`.
 */
export function formatJsonRow(record: LogRecord, run: Readonly<Record<string, string>> = {}):
  | string
  | undefined {
  if (["prepare", "begin", "progress", "answers"].includes(record.kind)) return undefined;
  const row: Record<string, unknown> = {
    kind: record.kind,
    ...run,
    step: record.step,
    total_steps: record.totalSteps,
    epoch: record.epoch,
    elapsed_seconds: Math.round(record.elapsedSeconds * 1000) / 1000,
  };
  if (record.kind === "save") row["path"] = record.path;
  if (record.kind === "memory") {
    const { weights, optimizer, temporaries } = record.memory;
    Object.assign(row, {
      weight_bytes: weights,
      optimizer_bytes: optimizer,
      temporary_bytes: temporaries,
    });
  }
  if (record.kind === "notice") row["text"] = record.text;
  if (record.kind === "end") row["interrupted"] = record.interrupted;
  if ("tokensPerSecond" in record && record.tokensPerSecond !== undefined) {
    row["tokens_per_second"] = Math.round(record.tokensPerSecond * 10) / 10;
  }
  if (record.kind === "train" && record.deviceBytes !== undefined) {
    row["device_bytes"] = record.deviceBytes;
  }
  // JSON.stringify writes numbers that are not finite as null.
  return plainJson("values" in record ? { ...row, ...record.values } : row);
}

/**
 * Writes one JSON row per record to a file, each on the disk before `report` returns, so that a killed run keeps its
 * log. Where a run begins anew, the rows of an earlier one go; where it is resumed, those of the steps that it does
 * again. Notices ahead of that wait for it: a run that fails before it begins leaves the file as it was. `run` (such as
 * `{ run_name }`) is put into every row.
 *
 * @throws {UserError} When the file cannot be opened for writing.
 */
export function jsonlReporter(
  path: string,
  run: Readonly<Record<string, string>> = {},
): Reporter {
  const file = openRunFile(path, "leave jsonl out of --report_to");
  let waiting: string[] | undefined = [];
  return {
    report: (record) => {
      if (record.kind === "prepare") return;
      if (record.kind === "begin") file.begin(record);
      const row = formatJsonRow(record, run);
      if (waiting && record.kind === "notice") {
        waiting.push(row!);
        return;
      }
      file.append([...waiting ?? [], ...(row === undefined ? [] : [row])]);
      waiting = undefined;
    },
    close: file.close,
  };
}

/** One reporter that passes each record on to several. */
export function allReporters(reporters: readonly Reporter[]): Reporter {
  return {
    report: (record) => reporters.forEach((reporter) => reporter.report(record)),
    close: () => reporters.forEach((reporter) => reporter.close()),
  };
}
