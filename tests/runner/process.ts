/** One `deno` process that tests something, watched from outside. @module */

/** What is run as one process. */
export interface TestJob {
  /** What people know it by: a test file's path. */
  readonly name: string;
  /** The arguments of `deno`. */
  readonly args: readonly string[];
  /** Whether it prints how many tests passed and failed; one that does not is judged by its exit status alone. */
  readonly counts: boolean;
}

/** What came of a process. */
export interface TestOutcome {
  /** The job's name. */
  readonly name: string;
  /** Tests that passed. */
  readonly passed: number;
  /** Tests that failed. Whatever ends badly counts one at least. */
  readonly failed: number;
  /** From start to end. */
  readonly seconds: number;
  /** All that it printed. */
  readonly output: string;
  /** Why it failed, where its output does not say: a crash, a time-out. */
  readonly reason: string | undefined;
  /** Whether a signal ended it when all its tests had passed. */
  readonly diedAfterPassing: boolean;
  /** Why it was run a second time, if it was: this is what came of that. */
  readonly again?: string | undefined;
}

const running = new Set<Deno.ChildProcess>();

/** Ends all processes that still run. */
export function killAll(): void {
  for (const child of running) child.kill("SIGKILL");
}

/** Runs a job to its end, or kills it after `limitSeconds`. It never throws for what the job does. */
export async function runJob(
  job: TestJob,
  env: Readonly<Record<string, string>>,
  limitSeconds: number,
): Promise<TestOutcome> {
  const started = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: [...job.args],
    env: { ...env, NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  running.add(child);
  const output = collected([child.stdout, child.stderr]);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
    // A process of its own that still runs would keep the pipe open for ever.
    output.stop();
  }, limitSeconds * 1000);
  const status = await child.status;
  const text = await output.text;
  clearTimeout(timer);
  running.delete(child);
  const seconds = (performance.now() - started) / 1000;
  const told = job.counts ? countsIn(text) : { passed: 0, failed: status.success ? 0 : 1 };
  const reason = late
    ? `it did not end within ${limitSeconds} s`
    : status.signal
    ? `it was ended by ${status.signal}`
    : !told
    ? `it ended with status ${status.code} and no result`
    : !status.success && told.failed === 0
    ? `it ended with status ${status.code}`
    : undefined;
  const { passed, failed } = told ?? { passed: 0, failed: 0 };
  const failures = reason === undefined ? failed : Math.max(1, failed);
  const diedAfterPassing = !late && status.signal !== null && passed > 0 && failed === 0;
  return {
    name: job.name,
    passed,
    failed: failures,
    seconds,
    output: text,
    reason,
    diedAfterPassing,
  };
}

/** The counts of `deno test`'s last line, such as `ok | 12 passed (3 steps) | 0 failed | 1 ignored (2s)`. */
function countsIn(text: string): { passed: number; failed: number } | undefined {
  const line = [...text.matchAll(/^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed/gm)].at(-1);
  return line && { passed: Number(line[1]), failed: Number(line[2]) };
}

/** What comes from several streams, in the order it comes, until all end or `stop` is called. */
function collected(streams: readonly ReadableStream<Uint8Array>[]): {
  readonly text: Promise<string>;
  readonly stop: () => void;
} {
  let text = "";
  const readers = streams.map((stream) => stream.pipeThrough(new TextDecoderStream()).getReader());
  const all = readers.map(async (reader) => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
    }
  });
  return {
    text: Promise.all(all).then(() => text),
    stop: () => readers.forEach((reader) => void reader.cancel()),
  };
}
