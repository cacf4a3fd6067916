/** Telling of a run: notices at the point it has come to, and what rows are prepared. @module */

import type { LogRecord, RunPosition } from "../report/progress.ts";
import type { Reporter } from "../report/reporters.ts";

/** A reporter whose records someone else is told too. */
export function alsoTelling(inner: Reporter, tell: (record: LogRecord) => void): Reporter {
  return {
    report: (record) => {
      tell(record);
      inner.report(record);
    },
    close: inner.close,
  };
}

/** A reporter, and a way to say something at the point the run has come to. */
export function noticing(inner: Reporter): {
  readonly reporter: Reporter;
  readonly say: (text: string) => void;
} {
  let position: RunPosition = { step: 0, totalSteps: 0, epoch: 0, elapsedSeconds: 0 };
  const report = (record: LogRecord) => {
    const { step, totalSteps, epoch, elapsedSeconds } = record;
    position = { step, totalSteps, epoch, elapsedSeconds };
    inner.report(record);
  };
  return {
    reporter: { report, close: inner.close },
    say: (text) => inner.report({ kind: "notice", ...position, text }),
  };
}

/** Reports how many rows are prepared. */
export function preparationProgress(reporter: Reporter): (done: number, total: number) => void {
  const began = performance.now();
  return (done, total) => {
    const elapsedSeconds = (performance.now() - began) / 1000;
    const position = { step: 0, totalSteps: 0, epoch: 0, elapsedSeconds };
    reporter.report({ kind: "prepare", ...position, rows: done, totalRows: total });
  };
}
