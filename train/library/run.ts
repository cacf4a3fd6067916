/** A run that a script has started. @module */

import { UserError } from "../../core/mod.ts";
import type { LogRecord } from "../report/progress.ts";
import type { LanguageModel } from "./language_model.ts";

/**
 * A run. It begins at the call that makes it; awaited, it gives the model that it has trained; iterated, the records
 * of its course.
 *
 * Leaving the iteration (`break`) stops it after the step it is in, with a checkpoint; awaiting it then gives the model
 * as it is. An error that nobody awaits is not lost: it ends the program as any rejected promise does.
 */
export interface Run extends Promise<LanguageModel>, AsyncIterable<LogRecord> {
  /** Asks the run to stop after the step it is in, with a checkpoint. */
  readonly stop: () => void;
}

/** Whether a value is a run. */
export function isRun(value: unknown): value is Run {
  return value instanceof Promise && "stop" in value;
}

/** What a run does: it tells its records, and heeds a signal. */
export type Running = (
  tell: (record: LogRecord) => void,
  signal: AbortSignal,
) => Promise<LanguageModel>;

/** Starts a run. */
export function startRun(running: Running): Run {
  const controller = new AbortController();
  let listener: ((record: LogRecord) => void) | undefined;
  // Begins when the caller has had its say: whoever iterates is there before the first record.
  const result = Promise.resolve().then(() =>
    running((record) => listener?.(record), controller.signal)
  );
  const records = () =>
    new ReadableStream<LogRecord>({
      start: (stream) => {
        listener = (record) => stream.enqueue(record);
        result.then(() => stream.close(), (error) => stream.error(error)).catch(() => {
          // The reader has left.
        });
      },
      cancel: async () => {
        listener = undefined;
        controller.abort();
        await result;
      },
    });
  let iterated = false;
  return Object.assign(result, {
    stop: () => controller.abort(),
    [Symbol.asyncIterator]: () => {
      if (iterated) {
        throw new UserError("A run's records can be iterated once. Await the run for its model.");
      }
      iterated = true;
      return records()[Symbol.asyncIterator]();
    },
  });
}
