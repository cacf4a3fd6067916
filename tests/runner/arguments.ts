/** The arguments of `deno task test`: paths, and flags for `deno test`. @module */

import { expandPaths } from "./files.ts";

/** What is asked of a run of the tests. */
export interface TestArguments {
  /** The test files to run, or undefined for all there are. */
  readonly files: readonly string[] | undefined;
  /** Flags for each `deno test`. */
  readonly flags: readonly string[];
  /** Leave out the WebGPU adapter and the files that take long. */
  readonly quick: boolean;
  /** Write how long each file took into the file of costs. */
  readonly record: boolean;
}

/** Flags of `deno test` whose value may be the next argument. */
const valued = new Set(["--filter", "--seed", "--config", "-c", "--import-map", "--lock", "--env"]);

/**
 * Tells paths, flags of our own (`--quick`, `--record`) and flags of `deno test` apart. A folder stands for the test
 * files in it.
 *
 * @throws {Deno.errors.NotFound} When a path does not exist.
 */
export function readArguments(args: readonly string[]): TestArguments {
  const own = new Set(["--quick", "--record"]);
  const [paths, flags]: [string[], string[]] = [[], []];
  args.forEach((argument, index) => {
    if (own.has(argument)) return;
    const isFlag = argument.startsWith("-") || valued.has(args[index - 1] ?? "");
    (isFlag ? flags : paths).push(argument);
  });
  return {
    files: paths.length > 0 ? expandPaths(paths) : undefined,
    flags,
    quick: args.includes("--quick"),
    record: args.includes("--record"),
  };
}
