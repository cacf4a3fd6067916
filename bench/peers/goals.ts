/** What is to be reached beside the peers, and whether it was. @module */

import type { Row } from "../piece.ts";
import { showNumber } from "../table.ts";
import { medianOf, type Outcome, ratioOf } from "./compare.ts";
import type { Figures } from "./figures.ts";

/** What a run measured. */
export interface Results {
  /** Outcomes by contest. */
  readonly outcomes: Readonly<Record<string, Outcome>>;
  /** The least time, in milliseconds, of each contest's work by our BLAS; see `floor.ts`. */
  readonly floors: Readonly<Record<string, number>>;
  /** Share of a steady step that is the host's, in per cent; null if that was not measured. */
  readonly hostShare: number | null;
}

/** Figures that are compared, with how they are shown. */
const kinds = {
  time: { of: ({ ms }: Figures) => ms, scale: 1, unit: "ms" },
  memory: { of: ({ peakBytes }: Figures) => peakBytes, scale: 1e-6, unit: "MB" },
  /** From the command to the first step, and to its end. */
  start: { of: ({ firstMs, ms }: Figures) => firstMs - ms, scale: 1e-3, unit: "s" },
  first: { of: ({ firstMs }: Figures) => firstMs, scale: 1e-3, unit: "s" },
} as const;

/** Whose figures a line is about. */
interface Pair {
  readonly contest: string;
  readonly ours: string;
  readonly theirs: string;
}

/** A line of the table. */
interface Goal {
  readonly work: string;
  /** What has to be reached, and what is aimed at: the least, or with `atMost` the greatest value. */
  readonly bar: number;
  readonly aim: number;
  readonly atMost?: boolean;
  readonly unit: "×" | "GFLOP/s" | "s" | "%";
  /** The figure that counts; null: not measured. */
  readonly value: (results: Results) => number | null;
  readonly pair?: Pair & { readonly kind: keyof typeof kinds };
}

const [withBlas, without] = ["plumb cpu+blas", "plumb cpu"];

/** How many times quicker than they we are. */
function speed(work: string, pair: Pair, bar: number, aim: number): Goal {
  const { contest, ours, theirs } = pair;
  return {
    ...{ work, bar, aim, unit: "×", pair: { ...pair, kind: "time" } },
    value: ({ outcomes }) => ratioOf(outcomes[contest], [theirs, ours], kinds.time.of),
  };
}

/** Our peak memory over theirs. */
function memory(work: string, pair: Pair): Goal {
  const { contest, ours, theirs } = pair;
  return {
    ...{ work, bar: 0.8, aim: 0.5, atMost: true, unit: "×", pair: { ...pair, kind: "memory" } },
    value: ({ outcomes }) => ratioOf(outcomes[contest], [ours, theirs], kinds.memory.of),
  };
}

/** The rate of a product of 1024 cubed. */
function product(work: string, ours: string, bar: number, aim: number): Goal {
  const contest = "peer-product";
  return {
    ...{ work, bar, aim, unit: "GFLOP/s", pair: { contest, ours, theirs: "torch", kind: "time" } },
    value: ({ outcomes }) => {
      const ms = medianOf(outcomes[contest], ours, kinds.time.of);
      return ms === null ? null : 2 * 1024 ** 3 / ms / 1e6;
    },
  };
}

/** Seconds until something is there. */
function waiting(work: string, kind: "start" | "first"): Goal {
  return {
    ...{ work, bar: 1.5, aim: 0.7, atMost: true, unit: "s", pair: { ...sft, kind } },
    value: ({ outcomes }) => {
      const ms = medianOf(outcomes[sft.contest], sft.ours, kinds[kind].of);
      return ms === null ? null : ms / 1000;
    },
  };
}

const [sft, dpo, sampling, grpo] = [
  ...["peer-sft", "peer-dpo"].map((contest) => ({ contest, ours: withBlas, theirs: "TRL f32" })),
  { contest: "peer-sampling", ours: withBlas, theirs: "transformers f32" },
  { contest: "peer-grpo", ours: withBlas, theirs: "TRL f32" },
] as [Pair, Pair, Pair, Pair];

const products = { contest: "peer-product", ours: without, theirs: "jax-js wasm" };

const goals: readonly Goal[] = [
  product("product 1024³, no BLAS (beside torch)", without, 65, 80),
  product("product 1024³, BLAS (beside torch)", withBlas, 150, 190),
  speed("product 1024³, no BLAS, against jax-js wasm", products, 1, 1),
  speed(
    "product 1024³, webgpu, against jax-js there",
    { ...products, ours: "plumb webgpu", theirs: "jax-js webgpu" },
    4,
    6,
  ),
  speed("SFT step, BLAS, against TRL f32", sft, 1.3, 2),
  speed("SFT step, BLAS, against TRL bf16", { ...sft, theirs: "TRL bf16" }, 1, 1.5),
  speed("SFT step, no BLAS, against TRL f32", { ...sft, ours: without }, 0.7, 1),
  speed("DPO step, shared prompts, against TRL f32", dpo, 2, 3),
  speed("sampling, against transformers f32", sampling, 2.5, 4),
  speed("GRPO step, against TRL f32", grpo, 2, 3),
  memory("peak memory of SFT, against TRL f32", sft),
  memory("peak memory of DPO, against TRL f32", dpo),
  memory("peak memory of sampling, against transformers", sampling),
  memory("peak memory of GRPO, against TRL f32", grpo),
  waiting("from command to first step of SFT, the step apart", "start"),
  waiting("from command to the first step's record", "first"),
  {
    work: "host time in a steady step of SFT",
    ...{ bar: 10, aim: 3, atMost: true, unit: "%" },
    value: ({ hostShare }) => hostShare,
  },
];

/** The table: ours, theirs, the figure that counts, the bar and the aim, and the least time there is for ours. */
export function goalRows(results: Results): Row[] {
  return goals.map(({ work, bar, aim, atMost, unit, value, pair }) => {
    const figure = value(results);
    const sign = atMost ? "≤ " : "";
    const reached = (goal: number) => figure !== null && (atMost ? figure <= goal : figure >= goal);
    return {
      work,
      ...(pair ? sides(results, pair) : { tokens: "", ours: "", theirs: "", floor: "" }),
      figure: figure === null ? "not measured" : `${showNumber(figure)} ${unit}`,
      bar: `${sign}${bar} ${unit}`,
      aim: `${sign}${aim} ${unit}`,
      reached: figure === null ? "" : reached(aim) ? "aim" : reached(bar) ? "bar" : "no",
    };
  });
}

function sides(
  { outcomes, floors }: Results,
  { contest, ours, theirs, kind }: Pair & { readonly kind: keyof typeof kinds },
): Row {
  const outcome = outcomes[contest];
  const { of, scale, unit } = kinds[kind];
  const shown = (name: string) => {
    const value = medianOf(outcome, name, of);
    return value === null ? "not measured" : `${showNumber(value * scale)} ${unit}`;
  };
  const runs = Object.values(outcome ?? {}).flat();
  const tokens = runs.find((figures) => figures.tokens !== null)?.tokens;
  const floor = floors[contest];
  return {
    tokens: tokens ?? "",
    ours: shown(ours),
    theirs: shown(theirs),
    floor: kind === "time" && ours === withBlas && floor ? `${showNumber(floor)} ms` : "",
  };
}

/** A contest's table: every contestant's median figures. */
export function contestRows(outcome: Outcome): Row[] {
  return Object.entries(outcome).map(([name, runs]) => {
    const ms = medianOf(outcome, name, kinds.time.of)!;
    const tokens = runs[0]?.tokens ?? null;
    const peak = medianOf(outcome, name, kinds.memory.of);
    return {
      contestant: name,
      ms,
      "ms of each run": runs.map((figures) => showNumber(figures.ms)).join(" "),
      ...(tokens === null ? {} : { tokens, "tokens/s": tokens / ms * 1000 }),
      "first step s": medianOf(outcome, name, kinds.first.of)! / 1000,
      ...(peak === null ? {} : { "peak MB": peak / 1e6 }),
    };
  });
}
