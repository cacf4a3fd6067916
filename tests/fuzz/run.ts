/**
 * Reads mutated inputs in processes of their own, and counts how the verdicts compare with the reference's.
 *
 *     deno run -A tests/fuzz/run.ts [--every N] [--only NUMBER…]
 *
 * prints what is not as it should be; without arguments it reads all of them.
 *
 * @module
 */

import { onPurpose } from "./accepted.ts";
import { compare, type Verdict } from "./compare.ts";
import { inputCount, inputOf } from "./inputs.ts";
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
export async function fuzz(numbers: readonly number[]): Promise<Findings> {
  const reference = await referenceVerdicts();
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

async function referenceVerdicts(): Promise<ReadonlyMap<number, Reading | null>> {
  const text = await Deno.readTextFile(new URL("verdicts.jsonl", import.meta.url));
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
  const numbers = flag === "--only"
    ? given.map(Number)
    : Array.from({ length: Math.ceil(inputCount / step) }, (_, i) => i * step);
  const { counts, findings, slowest } = await fuzz(numbers);
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
