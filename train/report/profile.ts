/** `--profile`: where the time of a run's steps goes. @module */

import { type Device, showProfile, startProfile } from "../../core/mod.ts";
import type { LogRecord } from "./progress.ts";
import type { Reporter } from "./reporters.ts";

/** Steps that are left out: kernels are compiled in them. */
const skippedSteps = 2;

/** A profiler that follows a run by its records. */
export interface RunProfiler {
  /** The same reporter, with the profiler listening. */
  readonly following: (reporter: Reporter) => Reporter;
  /** After the run: says what was found, and writes `trace.json` into the directory. */
  readonly finish: (say: (text: string) => void) => Promise<void>;
}

/** Measures what the machine can do, and profiles the steps after the first two. */
export async function openProfiler(device: Device, directory: string): Promise<RunProfiler> {
  const profile = await startProfile(device);
  let steps = 0;
  const take = ({ kind, step, totalSteps }: LogRecord) => {
    if (kind !== "progress" && kind !== "train") return;
    steps++;
    if (step >= totalSteps) profile.end();
    else if (steps >= skippedSteps) profile.step();
  };
  return {
    following: (reporter) => ({
      report: (record) => {
        take(record);
        reporter.report(record);
      },
      close: reporter.close,
    }),
    finish: async (say) => {
      if (steps <= skippedSteps) {
        say(
          `Nothing was profiled: the run had ${steps} steps, and the first ${skippedSteps}, in which kernels are ` +
            "compiled, are left out.",
        );
        return;
      }
      const report = await profile.stop();
      const path = `${directory}/trace.json`;
      await Deno.writeTextFile(path, report.trace);
      say(`${showProfile(report)}\n`);
      say(`Timeline for ui.perfetto.dev or chrome://tracing: ${path}`);
    },
  };
}
