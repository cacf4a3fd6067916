/**
 * Everything worth knowing of a graphics card, in at most eight minutes: first whether plumb is right on it, then how
 * fast.
 *
 *     deno run -A bench/gpu/main.ts [--out DIRECTORY] [--small] [--only NAME …] [--minutes 8] [--python PYTHON]
 *
 * Sections run in the order of their worth, each in a process of its own with a time of its own. `gpu.json` and
 * `gpu.txt` are written anew after each row and each section: whatever ends the measurement, what was done is there.
 * `--small` runs miniatures, to see on any adapter that all of it works.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { type Device, openDevice, UserError } from "../../core/mod.ts";
import { describeAdapter, isSoftware, listAdapters } from "../../core/device/webgpu/adapter.ts";
import { describeDriver } from "../../core/device/webgpu/driver.ts";
import type { Row } from "../piece.ts";
import { showTable } from "../table.ts";
import { measureDecoding } from "./decoding.ts";
import { measureAttention, measureProducts } from "./kernels.ts";
import { paritySections } from "./parity.ts";
import { measureQlora } from "./qlora.ts";
import type { Section } from "./section.ts";
import { measureSteps } from "./steps.ts";
import { measureTrl } from "./trl.ts";

const sections: readonly Section[] = [
  ...paritySections,
  { name: "products", title: "Products, f32", seconds: 60, run: measureProducts },
  {
    name: "sft-27M",
    title: "SFT, 27 M, 8 rows of GSM8K's lengths",
    seconds: 40,
    run: measureSteps("sft", "27M"),
  },
  {
    name: "sft-0.5B",
    title: "SFT, Qwen2.5-0.5B's shape, 8 rows of GSM8K's lengths",
    seconds: 60,
    run: measureSteps("sft", "0.5B"),
  },
  {
    name: "qlora-8B-512",
    title: "QLoRA, Llama 3 8B's shape, nf4, r 16, 512 tokens",
    seconds: 90,
    run: measureQlora(1, 512),
  },
  {
    name: "decoding-0.5B",
    title: "Sampling, 0.5 B, f32",
    seconds: 60,
    run: measureDecoding("0.5B"),
  },
  { name: "attention", title: "Causal attention, f32", seconds: 45, run: measureAttention },
  { name: "dpo-0.5B", title: "DPO, 0.5 B, 4 pairs", seconds: 60, run: measureSteps("dpo", "0.5B") },
  {
    name: "qlora-8B-4x2048",
    title: "QLoRA, Llama 3 8B's shape, nf4, r 16, 4 × 2,048 tokens",
    seconds: 120,
    run: measureQlora(4, 2048),
  },
  {
    name: "grpo-27M",
    title: "GRPO, 27 M, 8 × 8 answers of 64",
    seconds: 60,
    run: measureSteps("grpo", "27M"),
  },
  { name: "dpo-27M", title: "DPO, 27 M, 4 pairs", seconds: 40, run: measureSteps("dpo", "27M") },
  { name: "decoding-27M", title: "Sampling, 27 M, f32", seconds: 40, run: measureDecoding("27M") },
  {
    name: "grpo-0.5B",
    title: "GRPO, 0.5 B, 8 × 8 answers of 64",
    seconds: 90,
    run: measureSteps("grpo", "0.5B"),
  },
  { name: "trl", title: "TRL on torch's CUDA, the same steps", seconds: 120, run: measureTrl },
];

/** What became of a section. */
interface Outcome {
  readonly name: string;
  readonly title: string;
  readonly status: "done" | "failed" | "cut" | "no time left";
  readonly seconds: number;
  readonly rows: readonly Row[];
  readonly error?: string;
}

const { values } = parseArgs({
  args: Deno.args,
  options: {
    out: { type: "string", default: new URL("../results", import.meta.url).pathname },
    small: { type: "boolean", default: false },
    only: { type: "string", multiple: true },
    minutes: { type: "string", default: "8" },
    python: { type: "string" },
    /** Runs a section in this process and prints its rows; the measurement calls itself so. */
    section: { type: "string" },
  },
});

/** Runs a section here: a line of JSON for each row. */
async function runHere(name: string): Promise<void> {
  const section = sections.find((each) => each.name === name)!;
  let open: Promise<Device> | undefined;
  // What a section prints is no row of it.
  const stdout = Deno.stdout.writeSync.bind(Deno.stdout);
  Deno.stdout.writeSync = (bytes) => Deno.stderr.writeSync(bytes);
  await section.run({
    small: values.small,
    python: values.python,
    device: () => open ??= openDevice("webgpu"),
    keep: (row) => void stdout(new TextEncoder().encode(JSON.stringify(row) + "\n")),
  });
  Deno.exit(0);
}

/** Ends the section that runs, if one does. */
let endSection = () => {};

/** Runs a section in a process of its own, which is ended when its time is over. */
async function runApart(
  section: Section,
  seconds: number,
  onRow: (rows: readonly Row[]) => void,
): Promise<Outcome> {
  const { name, title } = section;
  const began = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-check", import.meta.url, "--section", name],
      ...values.small ? ["--small"] : [],
      ...values.python === undefined ? [] : ["--python", values.python],
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    // A group of its own, so that what it started ends with it and leaves the card free.
    detached: true,
  }).spawn();
  let cut = false;
  const end = () => Deno.kill(-child.pid, "SIGKILL");
  endSection = end;
  const watch = setTimeout(() => {
    cut = true;
    end();
  }, seconds * 1000);
  const said = new Response(child.stderr).text();
  const rows: Row[] = [];
  let rest = "";
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    for (const line of lines) rows.push(JSON.parse(line));
    if (lines.length > 0) onRow(rows);
  }
  const { code } = await child.status;
  clearTimeout(watch);
  endSection = () => {};
  const status = cut ? "cut" : code === 0 ? "done" : "failed";
  const spent = Math.round((performance.now() - began) / 100) / 10;
  return {
    ...{ name, title, status, seconds: spent, rows },
    ...status === "failed" ? { error: (await said).trim().slice(-2000) } : {},
  };
}

async function machine(): Promise<Record<string, unknown>> {
  const [adapter] = await listAdapters();
  return {
    date: new Date().toISOString(),
    adapter: adapter ? describeAdapter(adapter.info) : "none",
    driver: adapter ? describeDriver(adapter.info) : "",
    software: adapter ? isSoftware(adapter.info) : false,
    features: adapter ? [...adapter.features].sort() : [],
    largestBuffer: adapter?.limits.maxBufferSize ?? 0,
    deno: Deno.version.deno,
    build: Deno.build.target,
    cores: navigator.hardwareConcurrency,
    small: values.small,
  };
}

/** Writes a file at once: whoever is cut off in between leaves the one before. */
function replaceFile(path: string, text: string): void {
  Deno.writeTextFileSync(`${path}.tmp`, text);
  Deno.renameSync(`${path}.tmp`, path);
}

function write(about: Record<string, unknown>, outcomes: readonly Outcome[]): void {
  Deno.mkdirSync(values.out, { recursive: true });
  replaceFile(
    `${values.out}/gpu.json`,
    JSON.stringify({ ...about, sections: outcomes }, null, 2) + "\n",
  );
  const heading = `${about["adapter"]}, ${about["driver"]}${values.small ? " (miniatures)" : ""}\n`;
  const parts = outcomes.map(({ title, status, seconds, rows, error }) =>
    `\n${title}: ${status} in ${seconds} s\n` + (rows.length > 0 ? `${showTable(rows)}\n` : "") +
    (error ? `${error}\n` : "")
  );
  replaceFile(`${values.out}/gpu.txt`, heading + parts.join(""));
}

/** The sections of these names, or all, in the order of their worth. */
function wantedSections(only: readonly string[] | undefined): readonly Section[] {
  const names = sections.map(({ name }) => name);
  const unknown = only?.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new UserError(`There is no section "${unknown}". Sections: ${names.join(", ")}.`);
  }
  return only ? sections.filter(({ name }) => only.includes(name)) : sections;
}

async function runAll(): Promise<boolean> {
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) throw new UserError(`--minutes is ${values.minutes}; it must be above 0.`);
  const end = performance.now() + minutes * 60_000;
  const wanted = wantedSections(values.only);
  const about = await machine();
  const outcomes: Outcome[] = [];
  const say = (text: string) => Deno.stderr.writeSync(new TextEncoder().encode(`${text}\n`));
  say(`${about["adapter"]}, ${about["driver"]}`);
  for (const section of wanted) {
    const left = (end - performance.now()) / 1000;
    if (left < 5) {
      const { name, title } = section;
      outcomes.push({ name, title, status: "no time left", seconds: 0, rows: [] });
      continue;
    }
    const outcome = await runApart(section, Math.min(left, section.seconds), (rows) => {
      const { name, title } = section;
      write(about, [...outcomes, { name, title, status: "cut", seconds: 0, rows }]);
    });
    outcomes.push(outcome);
    write(about, outcomes);
    say(`${section.name}: ${outcome.status} in ${outcome.seconds} s`);
  }
  write(about, outcomes);
  say(Deno.readTextFileSync(`${values.out}/gpu.txt`));
  return outcomes.every(({ name, status }) =>
    status === "done" || !sections.find((each) => each.name === name)?.parity
  );
}

if (import.meta.main) {
  if (values.section !== undefined) await runHere(values.section);
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    Deno.addSignalListener(signal, () => {
      endSection();
      Deno.exit(code);
    });
  }
  try {
    Deno.exit(await runAll() ? 0 : 1);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    Deno.stderr.writeSync(new TextEncoder().encode(`Error: ${error.message}\n`));
    Deno.exit(2);
  }
}
