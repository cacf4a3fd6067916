/**
 * Benchmarks. `deno run -A bench/main.ts [--device cpu|webgpu|all] [--only name] [--quick] [--json path]`
 *
 * Every piece runs on every device in a process of its own, so that its memory is its own.
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
import type { Piece, PieceOptions, Row } from "./piece.ts";
import { sftStepPiece } from "./sft_step.ts";
import { showTable, showTransposed } from "./table.ts";

const pieces: readonly Piece[] = [matmulPiece, attentionPiece, sftStepPiece, dpoStepPiece];

/** What one process measured. */
interface Outcome {
  /** The device, in its own words; null where the system has none of the kind. */
  readonly description: string | null;
  readonly rows: readonly Row[];
}

const devices: Readonly<Record<string, readonly BackendName[]>> = {
  cpu: ["cpu+blas", "cpu"],
  webgpu: ["webgpu"],
  all: backendNames,
};

async function measure(piece: Piece, name: BackendName, options: PieceOptions): Promise<Outcome> {
  const backend = await openBackend(name);
  if (backend === undefined) return { description: null, rows: [] };
  // The device goes with the process.
  const rows = await piece.run(backend, options);
  return {
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
  { quick }: PieceOptions,
): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      import.meta.url,
      ...["--apart", "--only", piece.name, "--device", name],
      ...(quick ? ["--quick"] : []),
    ],
  }).output();
  if (code !== 0) {
    throw new Error(`${piece.name} failed on ${name}:\n${new TextDecoder().decode(stderr)}`);
  }
  return JSON.parse(new TextDecoder().decode(stdout));
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
      /** Measures in this process and prints JSON; the benchmark calls itself so. */
      apart: { type: "boolean", default: false },
    },
  });
  const options: PieceOptions = { quick: values.quick };
  const byName = Object.fromEntries(pieces.map((piece) => [piece.name, piece]));
  const chosen = values.only?.map((name) => choose("piece", name, byName)) ?? pieces;
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
    for (const name of names) {
      const outcome = await measureApart(piece, name, options);
      if (!descriptions.has(name)) {
        descriptions.set(name, outcome.description);
        print(`${name}: ${outcome.description ?? "not on this system"}`);
      }
      rows.push(...outcome.rows);
    }
    print(`\n${piece.title}\n`);
    print(piece.casesAre === "rows" ? showTable(rows) : showTransposed(rows, "device"));
  }
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
        seconds,
      },
      null,
      2,
    ) + "\n",
  );
  print(`\n${seconds.toFixed(0)} s; written to ${path}`);
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
