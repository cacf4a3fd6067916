import assert from "node:assert/strict";
import {
  formatBar,
  formatBytes,
  formatDuration,
  formatNumber,
  formatRecord,
  type LogRecord,
} from "../../../train/report/progress.ts";

const at = { step: 10, totalSteps: 200, epoch: 0.4, elapsedSeconds: 83.2 };

Deno.test("bytes have a unit and three digits", () => {
  assert.equal(formatBytes(512), "0.50 KiB");
  assert.equal(formatBytes(37.5 * 2 ** 20), "37.5 MiB");
  assert.equal(formatBytes(512 * 2 ** 20), "512 MiB");
  assert.equal(formatBytes(1.2 * 2 ** 30), "1.20 GiB");
});

Deno.test("the memory of a step is one line with its sum", () => {
  const memory = { weights: 2 ** 20, optimizer: 2 ** 21, temporaries: 2 ** 22 };
  assert.equal(
    formatRecord({ kind: "memory", ...at, memory }),
    "Memory of a step by plan: weights 1.00 MiB, optimiser 2.00 MiB, gradients and activations " +
      "4.00 MiB; together 7.00 MiB.",
  );
});

Deno.test("numbers are short and keep their width", () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, "0"],
    [576, "576"],
    [2.3451, "2.345"],
    [2.3, "2.300"],
    [12.3, "12.30"],
    [999.96, "1000"],
    [9999.4, "9999"],
    [12345.6, "12346"],
    [1234567.5, "1.23e6"],
    [0.0012, "0.001200"],
    [2e-5, "2.00e-5"],
    [-0.5, "-0.5000"],
    [NaN, "NaN"],
    [-Infinity, "-inf"],
  ];
  for (const [value, text] of cases) assert.equal(formatNumber(value), text);
});

Deno.test("durations grow from minutes to days", () => {
  assert.equal(formatDuration(0), "00:00");
  assert.equal(formatDuration(83.4), "01:23");
  assert.equal(formatDuration(59.6), "01:00");
  assert.equal(formatDuration(3723), "1:02:03");
  assert.equal(formatDuration(2 * 86_400 + 3723), "2d 01:02:03");
  assert.equal(formatDuration(Infinity), "--:--");
});

Deno.test("each kind of record has its line", () => {
  const lines: readonly (readonly [LogRecord, string | undefined])[] = [
    [
      {
        kind: "train",
        ...at,
        values: { entropy: 5.25, learning_rate: 2e-5, grad_norm: 1.2, loss: 2.345, epoch: 0.4 },
        tokensPerSecond: 1234.4,
        remainingSeconds: 83,
      },
      "step  10/200  epoch 0.4000  loss 2.345  grad_norm 1.200  lr 2.00e-5  entropy 5.250  " +
      "tokens/s 1234  eta 01:23",
    ],
    [
      { kind: "eval", ...at, values: { eval_entropy: 1.5, eval_loss: 2.25 } },
      "step  10/200  epoch 0.4000  eval_loss 2.250  eval_entropy 1.500",
    ],
    [{ kind: "save", ...at, path: "out/checkpoint-10" }, "step  10/200  saved out/checkpoint-10"],
    [{ kind: "notice", ...at, text: "Note this." }, "Note this."],
    [
      { kind: "end", ...at, interrupted: false, values: { train_loss: 2.5 } },
      "step  10/200  done  in 01:23  train_loss 2.500",
    ],
    [
      { kind: "end", ...at, interrupted: true, values: {} },
      "step  10/200  stopped early  in 01:23",
    ],
    [{ kind: "progress", ...at }, undefined],
  ];
  for (const [record, line] of lines) assert.equal(formatRecord(record), line);
});

Deno.test("the bar fills with the steps and keeps to the width", () => {
  const state = { step: 50, totalSteps: 200, loss: 2.345, tokensPerSecond: 999.6 };
  assert.equal(
    formatBar(state, 60),
    `[${"#".repeat(5)}${"-".repeat(17)}]   50/200  loss 2.345  tokens/s 1000`,
  );
  for (const width of [10, 30, 45, 60, 200]) assert.ok(formatBar(state, width).length <= width);
  assert.equal(formatBar({ step: 3, totalSteps: 3 }, 20), `[${"#".repeat(13)}]  3/3`);
  assert.equal(formatBar({ step: 0, totalSteps: 0 }, 20), `[${"-".repeat(13)}]  0/0`);
  assert.equal(formatBar(state, 25), " 50/200  loss 2.345  toke");
});

Deno.test("a row of rewarded answers leads with the reward and leaves details to the logs", () => {
  const line = formatRecord({
    ...{ kind: "train", step: 1, totalSteps: 2, epoch: 0.5, elapsedSeconds: 1 },
    values: {
      ...{ loss: 0, grad_norm: 1, learning_rate: 1e-4, num_tokens: 10 },
      ...{ "completions/mean_length": 3, "completions/min_length": 1, "clip_ratio/low_mean": 0 },
      ...{ "rewards/right/mean": 0.5, "rewards/right/std": 0.5, reward: 0.5, kl: 0.1, entropy: 2 },
    },
  });
  assert.equal(
    line,
    "step 1/2  epoch 0.5000  reward 0.5000  kl 0.1000  entropy 2  completions/mean_length 3  loss 0  grad_norm 1  " +
      "lr 1.00e-4  num_tokens 10  rewards/right/mean 0.5000",
  );
});
