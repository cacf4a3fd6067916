/**
 * `trainer_state.json`: the state of a run in the file format of transformers' TrainerState, so that
 * tools which read Hugging Face checkpoints read these too.
 *
 * @module
 */

import {
  count,
  fields,
  flag,
  list,
  mapping,
  measured,
  number,
  orNull,
  otherwise,
  type Place,
  positive,
  type Reader,
  readJson,
  record,
  text,
} from "./checked_json.ts";

/**
 * One logged row: `step`, `epoch` and metrics by TRL's names (`loss`, `grad_norm`, `eval_loss`, …).
 * A metric that is not a number is null in the file and NaN here.
 */
export type LogRow = Readonly<Record<string, number>> & { readonly step: number };

/** The fields of transformers' TrainerState, by their names in the file. */
export interface TrainerState {
  /** The step of the best evaluation; null before the first or where none decides. */
  readonly best_global_step: number | null;
  /** The metric of the best evaluation. */
  readonly best_metric: number | null;
  /** The directory of the best evaluation's checkpoint. */
  readonly best_model_checkpoint: string | null;
  /** Passes over the data so far, with their fraction. */
  readonly epoch: number;
  /** Steps between evaluations. */
  readonly eval_steps: number;
  /** Optimiser steps done. */
  readonly global_step: number;
  /** Always false here. */
  readonly is_hyper_param_search: boolean;
  /** Always true here: there is one process. */
  readonly is_local_process_zero: boolean;
  /** Always true here: there is one process. */
  readonly is_world_process_zero: boolean;
  /** Everything logged so far, oldest first. */
  readonly log_history: readonly LogRow[];
  /** Steps between logged rows. */
  readonly logging_steps: number;
  /** Optimiser steps of the whole run. */
  readonly max_steps: number;
  /** Tokens so far, where they are counted; TRL logs num_tokens instead. */
  readonly num_input_tokens_seen: number;
  /** Passes over the data of the whole run, rounded up. */
  readonly num_train_epochs: number;
  /** Steps between checkpoints. */
  readonly save_steps: number;
  /** States by name; see {@linkcode statefulCallbacks}. */
  readonly stateful_callbacks: Readonly<Record<string, unknown>>;
  /** Floating-point operations so far. */
  readonly total_flos: number;
  /** Rows of one forward pass. */
  readonly train_batch_size: number | null;
  /** Always null here. */
  readonly trial_name: string | null;
  /** Always null here. */
  readonly trial_params: Readonly<Record<string, unknown>> | null;
}

/** The state of a run that has not begun, with the given fields in it. */
export function newTrainerState(fields: Partial<TrainerState> = {}): TrainerState {
  return {
    best_global_step: null,
    best_metric: null,
    best_model_checkpoint: null,
    epoch: 0,
    eval_steps: 500,
    global_step: 0,
    is_hyper_param_search: false,
    is_local_process_zero: true,
    is_world_process_zero: true,
    log_history: [],
    logging_steps: 500,
    max_steps: 0,
    num_input_tokens_seen: 0,
    num_train_epochs: 0,
    save_steps: 500,
    stateful_callbacks: {},
    total_flos: 0,
    train_batch_size: null,
    trial_name: null,
    trial_params: null,
    ...fields,
  };
}

/**
 * Entries of `stateful_callbacks`: transformers' `TrainerControl`, which is what the loop was about to do when the
 * checkpoint was written, and which device computed.
 */
export function statefulCallbacks(
  { shouldStop, device }: { readonly shouldStop: boolean; readonly device: string },
): Readonly<Record<string, unknown>> {
  return {
    PlumbDevice: { args: {}, attributes: { device } },
    TrainerControl: {
      args: {
        should_epoch_stop: false,
        should_evaluate: false,
        should_log: false,
        should_save: true,
        should_training_stop: shouldStop,
      },
      attributes: {},
    },
  };
}

/** Top-level fields that Python holds as floats and writes with a decimal point. */
const FLOATS = new Set(["epoch", "best_metric", "total_flos"]);

/**
 * The text of `trainer_state.json`, as Python writes it: keys in order, two spaces, floats with a
 * decimal point or in Python's exponent form, so that a file is the same text after a round trip
 * through transformers.
 */
export function formatTrainerState(state: TrainerState): string {
  const { logging_steps, eval_steps, save_steps } = state;
  // transformers makes an interval whole only above one, so that "each step" is written 1.0.
  const intervals = Object.entries({ logging_steps, eval_steps, save_steps });
  const each = new Set(intervals.filter(([, steps]) => steps <= 1).map(([name]) => name));
  const floats = (path: readonly string[]) => path.length === 1 && each.has(path[0]!);
  return `${write(state, "", (path) => isFloat(path) || floats(path))}\n`;
}

function isFloat(path: readonly string[]): boolean {
  const [field, key] = path;
  if (field === "log_history") return key !== "step";
  return field !== undefined && path.length === 1 && FLOATS.has(field);
}

type FloatPaths = (path: readonly string[]) => boolean;

function write(
  value: unknown,
  indent: string,
  floats: FloatPaths,
  path: readonly string[] = [],
): string {
  if (typeof value === "number") return formatNumber(value, floats(path));
  if (typeof value !== "object" || value === null) return ascii(JSON.stringify(value) ?? "null");
  const inner = `${indent}  `;
  const items = Array.isArray(value)
    ? value.map((item: unknown) => write(item, inner, floats, path))
    : Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .sort(([a], [b]) => a < b ? -1 : 1)
      .map(([key, item]) =>
        `${ascii(JSON.stringify(key))}: ${write(item, inner, floats, [...path, key])}`
      );
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  if (items.length === 0) return `${open}${close}`;
  return `${open}\n${items.map((item) => inner + item).join(",\n")}\n${indent}${close}`;
}

/** Python escapes what is not ASCII. */
function ascii(json: string): string {
  return json.replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function formatNumber(value: number, float: boolean): string {
  // Python would write NaN, which is not JSON and breaks every other reader.
  if (!Number.isFinite(value)) return "null";
  return float || !Number.isInteger(value) ? pythonFloat(value) : String(value);
}

/** A finite number as Python's `repr` of a float: `1.0`, `1e-05`, `1e+16`. */
export function pythonFloat(value: number): string {
  if (Object.is(value, -0)) return "-0.0";
  const [digits = "0", power = "0"] = value.toExponential().split("e");
  const exponent = Number(power);
  if (value === 0 || (exponent >= -4 && exponent < 16)) {
    // Beyond 1e-7 JavaScript itself would turn to exponents; in this range it does not.
    const text = String(value);
    return text.includes(".") ? text : `${text}.0`;
  }
  const sign = exponent < 0 ? "-" : "+";
  return `${digits}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

/** A row of the history, in which a metric that is not a number is null. */
export function logRow(value: unknown, place: Place): LogRow {
  const { step } = fields({ step: count })(value, place);
  return { ...mapping(measured)(value, place), step };
}

const initial = newTrainerState();

const trainerState: Reader<TrainerState> = fields({
  best_global_step: otherwise(orNull(count), null),
  best_metric: otherwise(orNull(number), null),
  best_model_checkpoint: otherwise(orNull(text), null),
  epoch: otherwise(positive, initial.epoch),
  eval_steps: otherwise(positive, initial.eval_steps),
  global_step: count,
  is_hyper_param_search: otherwise(flag, false),
  is_local_process_zero: otherwise(flag, true),
  is_world_process_zero: otherwise(flag, true),
  log_history: list(logRow),
  logging_steps: otherwise(positive, initial.logging_steps),
  max_steps: count,
  num_input_tokens_seen: otherwise(count, 0),
  num_train_epochs: otherwise(positive, 0),
  save_steps: otherwise(positive, initial.save_steps),
  stateful_callbacks: otherwise(record, {}),
  total_flos: otherwise(positive, 0),
  train_batch_size: otherwise(orNull(count), null),
  trial_name: otherwise(orNull(text), null),
  trial_params: otherwise(orNull(record), null),
});

/**
 * Reads the text of a `trainer_state.json`; `path` is for messages. Fields that are missing get
 * transformers' defaults; fields it does not know are dropped.
 *
 * @throws {UserError} When the text is not JSON or a field has the wrong type or range.
 */
export function parseTrainerState(text: string, path: string): TrainerState {
  return readJson(text, trainerState, { path, what: "a trainer state" });
}
