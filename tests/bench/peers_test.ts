import assert from "node:assert/strict";
import { checkTokens, hold, medianOf, type Outcome, ratioOf } from "../../bench/peers/compare.ts";
import { contests, type Setting } from "../../bench/peers/contests.ts";
import { type Figures, figuresOf } from "../../bench/peers/figures.ts";
import { floors } from "../../bench/peers/floor.ts";
import { contestRows, goalRows } from "../../bench/peers/goals.ts";
import { runSeen } from "../../bench/peers/process.ts";
import { writeWorkload } from "../../bench/peers/workload.ts";

function seen(lines: readonly (readonly [ms: number, text: string])[]) {
  return { lines: lines.map(([ms, text]) => ({ ms, text })), peakBytes: 5e6 };
}

Deno.test("a step's time is the median after the first two, by the arrival of their lines", () => {
  const figures = figuresOf(seen([
    [900, "CPU, 2 threads"],
    [2000, "step  1/10  epoch 0.1  loss 1.0  num_tokens 100  tokens/s 3"],
    [3000, "step  2/10  epoch 0.2  loss 1.0  num_tokens 200  tokens/s 3"],
    [3100, "step  3/10  epoch 0.3  loss 1.0  num_tokens 300  tokens/s 3"],
    [3300, "step  4/10  epoch 0.4  loss 1.0  num_tokens 400  tokens/s 3"],
    [3420, "step 10/10  epoch 0.5  loss 1.0  num_tokens 500  tokens/s 3"],
    [3421, "step 10/10  done  in 00:03  train_loss 1.0"],
  ]));
  assert.deepEqual(figures, { ms: 120, tokens: 100, firstMs: 2000, peakBytes: 5e6 });
});

Deno.test("scripts may tell their own times, and tokens of a step or of all so far", () => {
  const line = (step: number, ms: number) => JSON.stringify({ step, ms, tokens: 7 });
  const own = figuresOf(
    seen([[50, line(1, 40)], [60, line(2, 9)], [65, line(3, 4)], [70, line(4, 6)]]),
  );
  assert.deepEqual(own, { ms: 5, tokens: 7, firstMs: 50, peakBytes: 5e6 });
  const total = (step: number) => `{"step": ${step}, "tokens": ${step * 8}.0, "cumulative": true}`;
  const trl = figuresOf(seen([[10, total(1)], [20, total(2)], [30, total(3)]]));
  assert.deepEqual([trl.ms, trl.tokens], [10, 8]);
});

Deno.test("log-probs computed ahead of the steps are charged to the steps", () => {
  const { ms } = figuresOf(seen([
    [100, "Reference log-probs of 12 examples are computed once ahead."],
    [400, "Memory of a step by plan: …"],
    [1000, "step 1/3  epoch 1  num_tokens 10"],
    [1100, "step 2/3  epoch 2  num_tokens 20"],
    [1150, "step 3/3  epoch 3  num_tokens 30"],
  ]));
  assert.equal(ms, 50 + 300 / 3);
});

Deno.test("steps of unequal tokens, and runs of too few steps, give no figures", () => {
  const line = (step: number, tokens: number) => JSON.stringify({ step, ms: 1, tokens });
  assert.throws(
    () => figuresOf(seen([[1, line(1, 5)], [2, line(2, 5)], [3, line(3, 6)]])),
    /not alike: they have 5, 5, 6 tokens/,
  );
  assert.throws(() => figuresOf(seen([[1, line(1, 5)]])), /lines of 1 steps/);
});

function runs(ms: readonly number[], tokens: number | null = 10): Figures[] {
  return ms.map((each) => ({ ms: each, tokens, firstMs: 10 * each, peakBytes: each * 1e6 }));
}

Deno.test("work of different tokens is not compared", () => {
  assert.throws(
    () => checkTokens("SFT step", { ours: runs([1], 10), theirs: runs([1], 11) }),
    /SFT step: ours has 10 tokens a step and theirs 11; different work is not compared/,
  );
  checkTokens("product", { ours: runs([1], null), theirs: runs([1], 11) });
});

Deno.test("ratios are of runs that followed each other, and their median counts", () => {
  const outcome: Outcome = { ours: runs([10, 20, 10]), theirs: runs([20, 60, 90]) };
  assert.equal(ratioOf(outcome, ["theirs", "ours"], ({ ms }) => ms), 3);
  assert.equal(medianOf(outcome, "theirs", ({ ms }) => ms), 60);
  assert.equal(ratioOf(outcome, ["theirs", "nobody"], ({ ms }) => ms), null);
  assert.equal(medianOf(outcome, "nobody", ({ ms }) => ms), null);
});

Deno.test("the table says what was reached, and what was not measured", () => {
  const outcomes = {
    "peer-sft": {
      "plumb cpu+blas": runs([100, 100, 100]),
      "plumb cpu": runs([500, 500, 500]),
      "TRL f32": runs([180, 190, 170]),
    },
  };
  const rows = goalRows({ outcomes, floors: { "peer-sft": 60 }, hostShare: 4 });
  const byWork = Object.fromEntries(rows.map((row) => [row["work"], row]));
  const sft = byWork["SFT step, BLAS, against TRL f32"]!;
  assert.deepEqual(sft, {
    work: "SFT step, BLAS, against TRL f32",
    tokens: 10,
    ours: "100 ms",
    theirs: "180 ms",
    floor: "60 ms",
    figure: "1.80 ×",
    bar: "1.3 ×",
    aim: "2 ×",
    reached: "bar",
  });
  assert.equal(byWork["SFT step, no BLAS, against TRL f32"]!["reached"], "no");
  assert.equal(byWork["peak memory of SFT, against TRL f32"]!["figure"], "0.56 ×");
  assert.equal(byWork["SFT step, BLAS, against TRL bf16"]!["figure"], "not measured");
  assert.equal(byWork["GRPO step, against TRL f32"]!["figure"], "not measured");
  assert.equal(byWork["host time in a steady step of SFT"]!["reached"], "bar");
  const [first] = contestRows(outcomes["peer-sft"]);
  assert.deepEqual(
    [first!["contestant"], first!["tokens/s"], first!["peak MB"]],
    ["plumb cpu+blas", 100, 100],
  );
});

Deno.test("a process is seen line by line, and one that fails says why", async () => {
  const path = Deno.execPath();
  const { lines, peakBytes } = await runSeen({
    path,
    args: [
      "eval",
      "console.log('one'); console.error('two'); await new Promise((r) => setTimeout(r, 60));",
    ],
  });
  assert.deepEqual(lines.map(({ text }) => text).toSorted(), ["one", "two"]);
  assert.ok(lines.every(({ ms }) => ms > 0));
  if (Deno.build.os === "linux") assert.ok(peakBytes! > 1e6);
  await assert.rejects(
    runSeen({ path, args: ["eval", "console.error('broken'); Deno.exit(3)"] }),
    /failed:\nbroken/,
  );
});

Deno.test("our command line does the workload's tokens; without a Python, the others stay out", async () => {
  const scratch = await Deno.makeTempDir({ prefix: "plumb-test-" });
  try {
    const workload = await writeWorkload(scratch, { steps: 3, quick: true });
    const setting: Setting = { python: null, workload, scratch, quick: true };
    for (const method of ["sft", "dpo"] as const) {
      const contest = contests.find(({ name }) => name === `peer-${method}`)!;
      const outcome = await hold(contest, setting, 1);
      assert.ok(Object.keys(outcome).every((name) => name.startsWith("plumb")), method);
      const [run] = outcome["plumb cpu+blas"]!;
      assert.equal(run!.tokens, workload.counts[method].tokens);
      assert.ok(run!.ms > 0 && run!.firstMs > run!.ms);
    }
    const roofline = { flopsPerMs: 1e8, bytesPerMs: 1e7, productSide: 1024 };
    for (const floor of Object.values(floors(workload, roofline))) assert.ok(floor > 0);
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
});
