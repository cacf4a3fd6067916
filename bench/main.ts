/**
 * Benchmarks: ours on each device, and beside the peers.
 *
 *     deno task bench [--device cpu|webgpu|all] [--only NAME …] [--quick] [--profile] [--json PATH]
 *         [--python PYTHON] [--rounds 3]
 *
 * Every piece runs on every device in a process of its own, so that its memory is its own. `--profile` shows where
 * the time of whole steps goes. `--python` names a Python that has TRL, transformers and torch: the same work is
 * then done by them and by us in turns, and a table shows the ratios beside what is to be reached. jax-js comes
 * from npm.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { UserError } from "../core/mod.ts";
import { attentionPiece } from "./attention.ts";
import { type BackendName, backendNames, openBackend } from "./backend.ts";
import { matmulPiece } from "./matmul.ts";
import { dpoStepPiece } from "./dpo_step.ts";
import { goalRows } from "./peers/goals.ts";
import { type ContestResults, contestsByName, runContests } from "./peers/run.ts";
import type { Piece, PieceOptions, Row } from "./piece.ts";
import { samplingPiece } from "./sampling.ts";
import { sftStepPiece } from "./sft_step.ts";
import { showTable, showTransposed } from "./table.ts";

const pieces: readonly Piece[] = [
  matmulPiece,
  attentionPiece,
  sftStepPiece,
  dpoStepPiece,
  samplingPiece,
];

/** What one process measured. */
interface Outcome {
  /** The device, in its own words; null where the system has none of the kind. */
  readonly description: string | null;
  readonly rows: readonly Row[];
  /** As text. */
  readonly profiles: readonly string[];
}

const devices: Readonly<Record<string, readonly BackendName[]>> = {
  cpu: ["cpu+blas", "cpu"],
  webgpu: ["webgpu"],
  all: backendNames,
};

/** How a piece is run. */
type RunOptions = Pick<PieceOptions, "quick"> & { readonly profile: boolean };

async function measure(
  piece: Piece,
  name: BackendName,
  { quick, profile }: RunOptions,
): Promise<Outcome> {
  const backend = await openBackend(name);
  if (backend === undefined) return { description: null, rows: [], profiles: [] };
  // The device goes with the process.
  const profiles: string[] = [];
  const onProfile = (text: string) => void profiles.push(text);
  const rows = await piece.run(backend, { quick, ...(profile ? { onProfile } : {}) });
  return {
    profiles,
    description: backend.device.description,
    rows: rows.map((row) => ({ device: label(backend), ...row })),
  };
}

function label({ name, software }: { name: BackendName; software: boolean }): string {
  return software ? `${name} (software)` : name;
}

async function measureApart(
  piece: Piece,
  name: BackendName,
  { quick, profile }: RunOptions,
): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      import.meta.url,
      ...["--apart", "--only", piece.name, "--device", name],
      ...(quick ? ["--quick"] : []),
      ...(profile ? ["--profile"] : []),
    ],
  }).output();
  if (code !== 0) {
    throw new Error(`${piece.name} failed on ${name}:\n${new TextDecoder().decode(stderr)}`);
  }
  return JSON.parse(new TextDecoder().decode(stdout));
}

/**
 * Takes OpenBLAS's settings out of the environment. A kernel chosen for another processor would slow one side alone:
 * the peers have a BLAS of their own.
 */
function withoutBlasSettings(): void {
  const settings = Object.entries(Deno.env.toObject())
    .filter(([name]) => /^OPENBLAS_(CORETYPE|L2_SIZE)$/.test(name));
  for (const [name, value] of settings) {
    Deno.env.delete(name);
    process.stderr.write(`${name}=${value} is left out: OpenBLAS chooses for this processor.\n`);
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function choose<T>(kind: string, name: string, known: Readonly<Record<string, T>>): T {
  const chosen = Object.hasOwn(known, name) ? known[name] : undefined;
  if (chosen === undefined) {
    throw new UserError(`There is no ${kind} "${name}". Known: ${Object.keys(known).join(", ")}.`);
  }
  return chosen;
}

async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      device: { type: "string", default: "all" },
      json: { type: "string" },
      only: { type: "string", multiple: true },
      quick: { type: "boolean", default: false },
      profile: { type: "boolean", default: false },
      python: { type: "string" },
      rounds: { type: "string", default: "3" },
      /** Measures in this process and prints JSON; the benchmark calls itself so. */
      apart: { type: "boolean", default: false },
    },
  });
  if (!values.apart) withoutBlasSettings();
  const options: RunOptions = { quick: values.quick, profile: values.profile };
  const byName = Object.fromEntries(pieces.map((piece) => [piece.name, piece]));
  const known = Object.keys({ ...byName, ...contestsByName });
  const only = values.only?.map((name) =>
    choose("benchmark", name, Object.fromEntries(known.map((each) => [each, each])))
  );
  const chosen = only?.flatMap((name) => byName[name] ?? []) ?? pieces;
  const contests = only?.flatMap((name) => contestsByName[name] ?? []) ??
    (values.python === undefined ? [] : Object.values(contestsByName));
  const rounds = values.quick ? 1 : Number(values.rounds);
  if (!(Number.isInteger(rounds) && rounds > 0)) {
    throw new UserError(`--rounds is ${values.rounds}; it must be an integer of at least 1.`);
  }
  if (values.apart) {
    const own = Object.fromEntries(backendNames.map((name) => [name, name]));
    const outcome = await measure(chosen[0]!, choose("device", values.device, own), options);
    print(JSON.stringify(outcome));
    return;
  }
  const names = choose("device", values.device, devices);
  const start = performance.now();
  const descriptions = new Map<string, string | null>();
  const results: Record<string, Row[]> = {};
  for (const piece of chosen) {
    const rows: Row[] = results[piece.name] = [];
    const profiles: string[] = [];
    for (const name of names) {
      const outcome = await measureApart(piece, name, options);
      if (!descriptions.has(name)) {
        descriptions.set(name, outcome.description);
        print(`${name}: ${outcome.description ?? "not on this system"}`);
      }
      rows.push(...outcome.rows);
      profiles.push(...outcome.profiles);
    }
    print(`\n${piece.title}\n`);
    print(piece.casesAre === "rows" ? showTable(rows) : showTransposed(rows, "device"));
    for (const text of profiles) print(`\n${text}`);
  }
  let beside: ContestResults | null = null;
  if (contests.length > 0) {
    const python = values.python ?? null;
    beside = await runContests({ contests, python, rounds, quick: values.quick, print });
  }
  const goals = beside && goalRows({ ...beside, hostShare: hostShareOf(results) });
  if (goals) print(`\n${showTable(goals)}`);
  if (goals && values.quick) print("Quick: a small model, one run each; the goals are not for it.");
  const seconds = (performance.now() - start) / 1000;
  const date = new Date().toISOString();
  const path = values.json ??
    new URL(`results/${date.replaceAll(":", "-")}.json`, import.meta.url).pathname;
  if (values.json === undefined) {
    await Deno.mkdir(new URL("results", import.meta.url), { recursive: true });
  }
  await Deno.writeTextFile(
    path,
    JSON.stringify(
      {
        date,
        quick: values.quick,
        system: {
          deno: Deno.version.deno,
          build: Deno.build.target,
          cores: navigator.hardwareConcurrency,
          // Other work on the machine makes figures worse.
          loadAverage: Deno.loadavg(),
        },
        devices: Object.fromEntries(descriptions),
        results,
        ...(beside ? { beside, goals } : {}),
        seconds,
      },
      null,
      2,
    ) + "\n",
  );
  print(`\n${seconds.toFixed(0)} s; written to ${path}`);
}

/** The host's share of a steady step of supervised fine-tuning on the CPU, if it was measured. */
function hostShareOf(results: Readonly<Record<string, readonly Row[]>>): number | null {
  const row = results[sftStepPiece.name]?.find((each) => each["device"] === "cpu+blas");
  const share = row?.["host share %"];
  return typeof share === "number" ? share : null;
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    const known = error instanceof UserError ||
      (error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE"));
    process.stderr.write(
      `${known ? error.message : error instanceof Error ? error.stack : error}\n`,
    );
    Deno.exit(1);
  }
}
