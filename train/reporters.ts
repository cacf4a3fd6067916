/**
 * Consumers of a run's records: the console and a JSONL file.
 *
 * @module
 */

import { UserError } from "../core/errors.ts";
import { type BarState, formatBar, formatRecord, type LogRecord } from "./progress.ts";

/** Takes the records of a run in order. */
export interface Reporter {
  /** Takes one record. What it wrote has left the process when it returns. */
  readonly report: (record: LogRecord) => void;
  /** Ends the report; nothing may be reported afterwards. Calling it again does nothing. */
  readonly close: () => void;
}

/** Where a console reporter writes and what it may assume. */
export interface ConsoleOptions {
  /** Writes text as it is; by default to standard error, which keeps standard output clean. */
  readonly write?: (text: string) => void;
  /** Whether a bar may be redrawn in place; by default whether standard error is a terminal. */
  readonly bar?: boolean;
  /** Columns of the terminal, asked for at each redraw; 80 where it cannot be known. */
  readonly columns?: () => number;
  /** Whether notices are shown; true by default. */
  readonly notices?: boolean;
  /** Milliseconds, for limiting redraws; `performance.now` by default. */
  readonly now?: () => number;
}

/** Redraws closer together than this cannot be seen and cost time. */
const REDRAW_MILLISECONDS = 50;

/**
 * Reports to a console. On a terminal a bar is redrawn in place (step, loss, tokens/s, ETA) with the
 * logged rows above it; elsewhere each row is one plain line.
 */
export function consoleReporter(options: ConsoleOptions = {}): Reporter {
  const {
    write = writeStandardError,
    bar = Deno.stderr.isTerminal(),
    columns = terminalColumns,
    notices = true,
    now = () => performance.now(),
  } = options;
  let state: BarState | undefined;
  let drawn = false;
  let drawnAt = -Infinity;
  const erased = () => drawn ? "\r\x1b[2K" : "";
  const drawing = (current: BarState): string => {
    drawn = true;
    drawnAt = now();
    // The last column stays free: some terminals wrap when it is filled.
    return formatBar(current, columns() - 1);
  };
  const erase = () => {
    if (drawn) write(erased());
    drawn = false;
  };
  return {
    report: (record) => {
      if ((record.kind === "notice" || record.kind === "memory") && !notices) return;
      const line = formatRecord(record);
      if (!bar) {
        if (line !== undefined) write(`${line}\n`);
        return;
      }
      state = record.kind === "end" ? undefined : nextBar(state, record);
      if (line === undefined && now() - drawnAt < REDRAW_MILLISECONDS) return;
      // One write per redraw, so that the bar does not flicker.
      const text = erased() + (line === undefined ? "" : `${line}\n`);
      drawn = false;
      write(text + (state === undefined ? "" : drawing(state)));
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

const encoder = new TextEncoder();

function writeStandardError(text: string): void {
  writeAll(Deno.stderr, text);
}

function writeAll(sink: { writeSync: (bytes: Uint8Array) => number }, text: string): void {
  let bytes = encoder.encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(sink.writeSync(bytes));
}

function terminalColumns(): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    return 80;
  }
}

/**
 * The row of a record in a JSONL log: `kind`, `step`, `total_steps`, `epoch`, `elapsed_seconds`, then
 * the metrics by their names. A metric that is not a finite number is null. Undefined for `progress`.
 */
export function formatJsonRow(record: LogRecord, run: Readonly<Record<string, string>> = {}):
  | string
  | undefined {
  if (record.kind === "progress" || record.kind === "answers") return undefined;
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
  if (record.kind === "train" && record.tokensPerSecond !== undefined) {
    row["tokens_per_second"] = Math.round(record.tokensPerSecond * 10) / 10;
  }
  // JSON.stringify writes numbers that are not finite as null.
  return JSON.stringify("values" in record ? { ...row, ...record.values } : row);
}

/**
 * Appends one JSON row per record to a file, each flushed to the disk before `report` returns, so
 * that a killed run keeps its log. `run` (such as `{ run_name }`) is put into every row.
 *
 * @throws {UserError} When the file cannot be opened for appending.
 */
export function jsonlReporter(
  path: string,
  run: Readonly<Record<string, string>> = {},
): Reporter {
  const file = openForAppending(path);
  // A run killed in the middle of a row leaves half a line; the next row must not join it.
  if (endsMidLine(path)) writeAll(file, "\n");
  let open = true;
  return {
    report: (record) => {
      const row = formatJsonRow(record, run);
      if (row === undefined) return;
      writeAll(file, `${row}\n`);
      file.syncDataSync();
    },
    close: () => {
      if (open) file.close();
      open = false;
    },
  };
}

function openForAppending(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { append: true, create: true });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(
      `Cannot write the log ${path}: ${why}. Check that its directory exists and may be written ` +
        "to, or leave jsonl out of --report_to.",
    );
  }
}

function endsMidLine(path: string): boolean {
  using file = Deno.openSync(path, { read: true });
  const { size } = file.statSync();
  if (size === 0) return false;
  file.seekSync(-1, Deno.SeekMode.End);
  const last = new Uint8Array(1);
  file.readSync(last);
  return last[0] !== "\n".charCodeAt(0);
}

/** One reporter that passes each record on to several. */
export function allReporters(reporters: readonly Reporter[]): Reporter {
  return {
    report: (record) => reporters.forEach((reporter) => reporter.report(record)),
    close: () => reporters.forEach((reporter) => reporter.close()),
  };
}
