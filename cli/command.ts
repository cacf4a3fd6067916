/** A command of the command line. @module */

import type { Options } from "../train/settings/option.ts";

/** A command for the command line. */
export interface Command {
  readonly name: string;
  readonly options: Options;
  /** Runs it with what stands behind its name; gives the process's exit code. */
  readonly run: (argv: readonly string[]) => Promise<number>;
}
