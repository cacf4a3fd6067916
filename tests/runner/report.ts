/** All that a run of the tests prints. @module */

import type { TestOutcome } from "./process.ts";

/** Reports a run of the tests, line by line. */
export interface TestReport {
  /** A process ended: one line, and of a failed one all that it printed. */
  readonly done: (outcome: TestOutcome) => void;
  /** All ended: what was skipped, the slowest, what failed, and last `N passed, N failed`. */
  readonly end: (outcomes: readonly TestOutcome[], leftOut: readonly string[]) => void;
}

const slowestShown = 10;

/** A report that writes whole lines. */
export function testReport(write: (line: string) => void): TestReport {
  const seconds = (value: number) => `${value.toFixed(1)} s`.padStart(8);
  const tests = (count: number) => `${count} ${count === 1 ? "test" : "tests"}`;
  return {
    done: ({ name, passed, failed, seconds: taken, output, reason, again }) => {
      const count = tests(passed + failed).padStart(10);
      write(`${failed === 0 ? "ok    " : "FAILED"} ${seconds(taken)} ${count}  ${name}`);
      if (again) write(`  ${name}: its tests had passed when ${again}; it was run again`);
      if (failed === 0) return;
      write(output.trimEnd().replaceAll(/^/gm, "  | "));
      if (reason) write(`  ${name}: ${reason}`);
    },
    end: (outcomes, leftOut) => {
      write("");
      for (const [line, count] of skippedIn(outcomes)) write(`${line} (${count} files)`);
      if (leftOut.length > 0) write(`left out, for they take long: ${leftOut.join(", ")}`);
      if (outcomes.length > 1) {
        write("slowest:");
        const slowest = outcomes.toSorted((a, b) => b.seconds - a.seconds).slice(0, slowestShown);
        for (const { name, seconds: taken } of slowest) write(`${seconds(taken)}  ${name}`);
      }
      const failures = outcomes.filter(({ failed }) => failed > 0);
      if (failures.length > 0) write("failed:");
      for (const { name, failed, reason } of failures) {
        write(`  ${name} (${reason ?? `${failed} failed`})`);
      }
      const sum = (count: (outcome: TestOutcome) => number) =>
        outcomes.reduce((total, outcome) => total + count(outcome), 0);
      write(`${sum(({ passed }) => passed)} passed, ${sum(({ failed }) => failed)} failed`);
    },
  };
}

/** What files say they skipped, with how many say so. */
function skippedIn(outcomes: readonly TestOutcome[]): Map<string, number> {
  const skipped = new Map<string, number>();
  for (const { output } of outcomes) {
    const lines = output.split("\n").filter((line) => line.startsWith("skipped: "));
    for (const line of new Set(lines)) skipped.set(line, (skipped.get(line) ?? 0) + 1);
  }
  return skipped;
}
