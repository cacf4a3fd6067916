/**
 * Reads mutated inputs in processes of their own, and counts how the verdicts compare with the reference's.
 *
 *     deno run -A tests/fuzz/run.ts [--every N] [--only NUMBER…] [--verdicts FILE]
 *
 * prints what is not as it should be; without arguments it reads all of them, with a file of other verdicts those.
 *
 * @module
 */

import { onPurpose } from "./accepted.ts";
import { compare, type Verdict } from "./compare.ts";
import { inputOf } from "./inputs.ts";
import type { Reading } from "./reading.ts";

/** An input that was not read as it should be. */
export interface Finding {
  readonly number: number;
  readonly kind: "defect" | "silent";
  readonly why: string;
}

/** What a run found. */
export interface Findings {
  readonly counts: Readonly<Record<"equal" | "stricter" | "purpose", number>>;
  readonly findings: readonly Finding[];
  /** Milliseconds of the slowest input. */
  readonly slowest: number;
}

/** How long an input may take, in milliseconds; the first also waits for the process. */
const limit = 20_000;

/** Reads inputs and compares. */
export async function fuzz(
  numbers: readonly number[],
  reference: Verdicts,
): Promise<Findings> {
  const counts = { equal: 0, stricter: 0, purpose: 0 };
  const findings: Finding[] = [];
  let slowest = 0;
  for await (const [number, verdict, milliseconds] of verdictsOf(numbers)) {
    slowest = Math.max(slowest, milliseconds);
    const compared = compare(verdict, reference.get(number) ?? null);
    if (compared.kind === "equal" || compared.kind === "stricter") counts[compared.kind]++;
    else if (compared.kind === "silent" && onPurpose(await inputOf(number), compared.why)) {
      counts.purpose++;
    } else findings.push({ number, ...compared });
  }
  return { counts, findings, slowest };
}

/** What the reference makes of inputs, by their numbers; null where it refuses them. */
export type Verdicts = ReadonlyMap<number, Reading | null>;

/** Verdicts of a file, by default the kept ones. */
export async function readVerdicts(
  path: string | URL = new URL("verdicts.jsonl", import.meta.url),
): Promise<Verdicts> {
  const text = await Deno.readTextFile(path);
  return new Map<number, Reading | null>(text.trim().split("\n").map((line) => JSON.parse(line)));
}

/** A line of the reader. */
type Line = readonly [number, "begin"] | readonly [number, Verdict, number];

async function* verdictsOf(numbers: readonly number[]): AsyncGenerator<[number, Verdict, number]> {
  let left = [...numbers];
  while (left.length > 0) {
    const reader = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-check",
        "--quiet",
        new URL("reader.ts", import.meta.url).href,
        ...left.map(String),
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const said = new Response(reader.stderr).text();
    let [reading, late] = [left[0]!, false];
    const end = () => {
      late = true;
      reader.kill("SIGKILL");
    };
    let watch = setTimeout(end, limit);
    for await (const [number, verdict, milliseconds] of linesOf(reader.stdout)) {
      clearTimeout(watch);
      watch = setTimeout(end, limit);
      reading = number;
      if (verdict === "begin") continue;
      left = left.filter((n) => n !== number);
      yield [number, verdict, milliseconds!];
    }
    clearTimeout(watch);
    await reader.status;
    if (left.length === 0) return;
    left = left.filter((n) => n !== reading);
    const why = late
      ? `no end within ${limit / 1000} s`
      : `the process ended: ${(await said).slice(-300)}`;
    yield [reading, { defect: why }, late ? limit : 0];
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<Line> {
  let rest = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield JSON.parse(line);
  }
}

if (import.meta.main) {
  const [flag, ...given] = Deno.args;
  const step = flag === "--every" ? Number(given[0]) : 1;
  const verdicts = await readVerdicts(flag === "--verdicts" ? given[0] : undefined);
  const numbers = flag === "--only"
    ? given.map(Number)
    : [...verdicts.keys()].filter((_, i) => i % step === 0);
  const { counts, findings, slowest } = await fuzz(numbers, verdicts);
  for (const { number, kind, why } of findings) {
    const { file, beside } = await inputOf(number);
    // deno-lint-ignore no-console -- what the run is for
    console.log(`${number} ${file} (${beside?.split("/").at(-1) ?? "alone"}) ${kind}: ${why}`);
  }
  // deno-lint-ignore no-console -- what the run is for
  console.log(
    `${numbers.length} inputs: ${counts.equal} as the reference, ${counts.stricter} refused where it reads, ` +
      `${counts.purpose} accepted on purpose, ${findings.length} findings; the slowest took ${
        (slowest / 1000).toFixed(1)
      } s`,
  );
  Deno.exit(findings.length === 0 ? 0 : 1);
}
