/**
 * Runs all tests, and the examples in doc comments, and ends with a line `N passed, N failed`.
 *
 *     deno task test [paths] [flags of deno test]
 *     deno task test:quick
 *     deno task test --record    # and keeps how long each file took
 *
 * Each file is a process of its own, as many at a time as there are cores (`DENO_JOBS` says otherwise), the longest
 * first: a crash or a hang is that file's alone. Types are checked once, beside the tests.
 *
 * @module
 */

import { readArguments } from "./runner/arguments.ts";
import { expandPaths, readCosts, writeCosts } from "./runner/files.ts";
import { runPool } from "./runner/pool.ts";
import { killAll, type TestJob } from "./runner/process.ts";
import { testReport } from "./runner/report.ts";

/** A file that takes longer than this is left out of the quick run. */
const quickSeconds = 2.5;

/** A file that takes longer than this hangs. */
const limitSeconds = 600;

/** What a file without a measurement is taken to need. */
const unknownSeconds = 5;

const documented = [
  ...["mod.ts", "core/mod.ts", "core/jit.ts", "core/create.ts", "core/grad.ts", "nn/mod.ts"],
  ...["nn/generate.ts", "rl/mod.ts", "data/mod.ts", "train/mod.ts"],
];

const asked = readArguments(Deno.args);
const costs = readCosts();
const known = asked.quick ? costs.quick : costs.full;
const seconds = (name: string) => known[name] ?? unknownSeconds;

const all = asked.files ?? expandPaths(["tests"]);
const leftOut = asked.quick ? all.filter((file) => (known[file] ?? 0) > quickSeconds) : [];
const tests = all.filter((file) => !leftOut.includes(file))
  .sort((a, b) => seconds(b) - seconds(a))
  .map((file): TestJob => ({
    name: file,
    args: ["test", "-A", "--no-check", ...asked.flags, file],
    counts: true,
  }));
const types: TestJob = { name: "types", args: ["check", "--quiet"], counts: false };
// Examples are run, not checked: what `--doc` imports for them is more than they use.
const examples: TestJob = {
  name: "examples in doc comments",
  args: ["test", "-A", "--doc", "--no-check", ...asked.flags, ...documented],
  counts: true,
};
const jobs = asked.files ? tests : [types, ...asked.quick ? [] : [examples], ...tests];

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => {
    killAll();
    Deno.exit(130);
  });
}

// deno-lint-ignore no-console -- the report's one way out
const report = testReport((line) => console.log(line));
const outcomes = await runPool(jobs, {
  processes: Number(Deno.env.get("DENO_JOBS")) || navigator.hardwareConcurrency,
  limitSeconds,
  env: {
    // The processes share the cores; what depends on the number of threads asks for it.
    ...jobs.length > 1 ? { PLUMB_THREADS: "1", LP_NUM_THREADS: "1" } : {},
    ...asked.quick ? { PLUMB_REQUIRE_WEBGPU: "0" } : {},
    ...Deno.env.toObject(),
  },
  done: report.done,
});
if (asked.record) {
  const taken = Object.fromEntries(outcomes.map(({ name, seconds }) => [name, seconds]));
  const kind = asked.quick ? "quick" : "full";
  writeCosts({ ...costs, [kind]: { ...costs[kind], ...taken } });
}
report.end(outcomes, leftOut);
const ran = outcomes.some(({ passed }) => passed > 0);
Deno.exit(ran && outcomes.every(({ failed }) => failed === 0) ? 0 : 1);
