/** Jobs on all cores. @module */

import { runJob, type TestJob, type TestOutcome } from "./process.ts";

/** How a pool runs its jobs. */
export interface PoolOptions {
  /** Processes at a time. */
  readonly processes: number;
  /** Seconds after which a job has failed. */
  readonly limitSeconds: number;
  /** Variables for each process. */
  readonly env: Readonly<Record<string, string>>;
  /** Called with each outcome as it comes. */
  readonly done: (outcome: TestOutcome) => void;
}

/** Runs jobs in their order, as many at a time as there are processes. */
export async function runPool(
  jobs: readonly TestJob[],
  { processes, limitSeconds, env, done }: PoolOptions,
): Promise<TestOutcome[]> {
  const left = [...jobs];
  const outcomes: TestOutcome[] = [];
  const worker = async () => {
    for (let job = left.shift(); job; job = left.shift()) {
      const first = await runJob(job, env, limitSeconds);
      // A software driver may crash as its process ends, once in hundreds of times. Twice is no accident.
      const outcome = first.diedAfterPassing
        ? { ...await runJob(job, env, limitSeconds), again: first.reason }
        : first;
      outcomes.push(outcome);
      done(outcome);
    }
  };
  await Promise.all(Array.from({ length: Math.min(processes, jobs.length) }, worker));
  return outcomes;
}
