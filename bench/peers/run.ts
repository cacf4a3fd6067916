/** The contests of a run, with their tables. @module */

import type { Roofline } from "../../core/mod.ts";
import { showTable } from "../table.ts";
import { hold, type Outcome } from "./compare.ts";
import { type Contest, contests, type Setting } from "./contests.ts";
import { floors } from "./floor.ts";
import { contestRows } from "./goals.ts";
import { runSeen } from "./process.ts";
import { writeWorkload } from "./workload.ts";

/** Which contests to hold, and how. */
export interface ContestOptions {
  readonly contests: readonly Contest[];
  /** A Python with TRL; null leaves its contestants out. */
  readonly python: string | null;
  /** Runs of each contestant. */
  readonly rounds: number;
  readonly quick: boolean;
  readonly print: (text: string) => void;
}

/** What came out. */
export interface ContestResults {
  readonly outcomes: Readonly<Record<string, Outcome>>;
  /** What the CPU with its BLAS can do at best; null where there is none. */
  readonly roofline: Roofline | null;
  /** The least time of each contest's work there. */
  readonly floors: Readonly<Record<string, number>>;
}

/** Contests by name. */
export const contestsByName: Readonly<Record<string, Contest>> = Object.fromEntries(
  contests.map((contest) => [contest.name, contest]),
);

/** Holds contests one after the other. */
export async function runContests(options: ContestOptions): Promise<ContestResults> {
  const { python, rounds, quick, print } = options;
  const scratch = await Deno.makeTempDir({ prefix: "plumb-bench-" });
  try {
    // Two steps are not counted; of ours, which are quick, more than of theirs.
    const workload = await writeWorkload(scratch, { steps: quick ? 3 : 10, quick });
    const setting: Setting = { python, workload, scratch, quick };
    const roofline = await measureRoof();
    print(
      `\nBeside the peers: a Llama of ${(workload.parameters / 1e6).toFixed(1)} M parameters, ` +
        `each ${rounds} times in turns, medians` +
        (roofline === null ? "" : `; best product ${(roofline.flopsPerMs / 1e6).toFixed(0)} ` +
          `GFLOP/s, memory ${(roofline.bytesPerMs / 1e6).toFixed(1)} GB/s`),
    );
    const outcomes: Record<string, Outcome> = {};
    for (const contest of options.contests) {
      const outcome = outcomes[contest.name] = await hold(contest, setting, rounds);
      print(`\n${contest.title}\n`);
      print(showTable(contestRows(outcome)));
    }
    return { outcomes, roofline, floors: roofline ? floors(workload, roofline) : {} };
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}

async function measureRoof(): Promise<Roofline | null> {
  const script = new URL("roof.ts", import.meta.url).pathname;
  try {
    const { lines } = await runSeen({
      path: Deno.execPath(),
      args: ["run", "-A", script, "cpu+blas"],
    });
    return JSON.parse(lines.at(-1)?.text ?? "null");
  } catch {
    return null; // There is no BLAS; then nothing stands beside it either.
  }
}
