import assert from "node:assert/strict";
import {
  accuracyReward,
  cosineScaledReward,
  reasoningAccuracyReward,
  type RewardArguments,
} from "../../rl/mod.ts";

function args(
  rows: readonly (readonly [completion: string, solution: string, tokens?: number])[],
  logExtra: RewardArguments["logExtra"] = () => {},
): RewardArguments {
  return {
    prompts: rows.map(() => "?"),
    completions: rows.map(([content]) => [{ role: "assistant", content }]),
    completionIds: rows.map(([, , length = 0]) => Array.from({ length }, () => 1)),
    columns: { solution: rows.map(([, solution]) => solution) },
    trainerState: null,
    logExtra,
    logMetric: () => {},
  };
}

Deno.test("accuracy is 1 for the right answer, 0 for another, null without a solution", () => {
  const logged: Record<string, readonly unknown[]> = {};
  const third = "\\frac{1}{3}";
  const rewards = accuracyReward(args([
    ["My answer is \\boxed{\\frac{1}{3}}", third],
    ["My answer is \\boxed{\\frac{1}{2}}", third],
    ["1/3", third],
    ["\\boxed{1}", "no idea"],
  ], (column, values) => logged[column] = values));
  assert.deepEqual(rewards, [1, 0, 0, null]);
  assert.deepEqual(logged, {
    solution: [third, third, third, "no idea"],
    gold_parsed: [third, third, third, "[unparseable]"],
    answer_parsed: [third, "\\frac{1}{2}", "[unparseable]", "[skipped]"],
  });
});

Deno.test("accuracy reads completions that are plain texts", () => {
  const texts = { ...args([["", "4"]]), completions: ["\\boxed{4}"] };
  assert.deepEqual(accuracyReward(texts), [1]);
});

Deno.test("accuracy without a column of solutions, or of a completion without text, is an error", () => {
  const complete = args([["\\boxed{4}", "4"]]);
  assert.throws(
    () => accuracyReward({ ...complete, columns: { answer: ["4"] } }),
    /column "solution" of the data set, whose columns are answer/,
  );
  assert.throws(
    () => accuracyReward({ ...complete, columns: { solution: [4] } }),
    /"solution" of completion 1 is 4/,
  );
  assert.throws(
    () => accuracyReward({ ...complete, completions: [[]] }),
    /Completion 1 has no text/,
  );
});

Deno.test("reasoning accuracy looks behind the reasoning and gives nothing for unfinished reasoning", () => {
  const rewards = reasoningAccuracyReward(args([
    ["<think> \\boxed{2} </think> It is \\boxed{3}", "3"],
    ["<think> \\boxed{3} </think> It is \\boxed{2}", "3"],
    ["<think> \\boxed{3}", "3"],
    ["<think> \\boxed{3} </think> that's it", "3"],
    ["<think> hm", "no idea"],
    ["hm </think> \\boxed{3}", "no idea"],
  ]));
  assert.deepEqual(rewards, [1, 0, 0, 0, 0, null]);
});

Deno.test("reasoning may end with other delimiters", () => {
  const rows = args([["hm [/r] \\boxed{3}", "3"], ["hm </think> \\boxed{3}", "3"]]);
  assert.deepEqual(reasoningAccuracyReward(rows, { reasoningDelimiters: ["[/r]"] }), [1, 0]);
});

Deno.test("cosine scaling favours short right answers and long wrong ones", async () => {
  const rows = [0, 50, 100, 300].flatMap((length) => [
    ["\\boxed{1}", "1", length] as const,
    ["\\boxed{2}", "1", length] as const,
  ]);
  const reward = cosineScaledReward({ maxLen: 100 });
  const values = await reward(args([...rows, ["\\boxed{1}", "no idea", 5]]));
  assert.deepEqual(values, [1, -1, 0.75, -0.75, 0.5, -0.5, 0.5, -0.5, null]);
  assert.throws(() => cosineScaledReward({ maxLen: 0 }), /max_len is 0/);
});
