import assert from "node:assert/strict";
import {
  type GroupAdvantageOptions,
  groupAdvantages,
  leaveOneOutAdvantages,
  penalizeMissingEos,
  rewardMetrics,
  type RewardTable,
} from "../../rl/mod.ts";
import { type LossCase, nameOption, present } from "./cases.ts";
import { casesOf, numberOr, rowsOf } from "./online_cases.ts";
import { assertClose } from "../core/compare.ts";

interface Expected {
  readonly advantages: readonly number[];
  readonly metrics?: Readonly<Record<string, number>>;
}

/** The table, what is common to both estimators, and what is expected. */
function read(c: LossCase) {
  const inputs: Readonly<Record<string, unknown>> = c.inputs;
  const expected: unknown = c.expected;
  return {
    table: rowsOf(inputs["rewards_per_func"]),
    common: {
      numGenerations: numberOr(c, "num_generations", 0),
      rewardWeights: c.options["reward_weights"] as number[] | undefined,
    },
    expected: expected as Expected,
  };
}

Deno.test("losses/grpo_advantages.json: advantages and metrics", () => {
  for (const c of casesOf("grpo_advantages", "grpo_advantages")) {
    const { table, common, expected } = read(c);
    const options = present({
      scaleRewards: nameOption(c, "scale_rewards"),
      multiObjectiveAggregation: nameOption(c, "multi_objective_aggregation"),
    }) as Partial<GroupAdvantageOptions>;
    const found = groupAdvantages(table, { ...common, ...options });
    assertClose(found.advantages, expected.advantages, 1e-7, c.name, 1);
    for (const [key, value] of Object.entries(expected.metrics!)) {
      assertClose([found.metrics[key]!], [value], 1e-7, `${c.name}: ${key}`, 1);
    }
  }
});

/** Σ (log π_old − log π_ref) over each row's tokens, and their number. */
function divergencesOf(c: LossCase) {
  const [old, ref, mask] = ["old_token_logps", "ref_token_logps", "mask"].map((name) =>
    rowsOf(c.inputs[name] ?? [])
  ) as [number[][], number[][], number[][]];
  const sum = (row: number[]) => row.reduce((total, x) => total + x, 0);
  return {
    divergences: mask.map((row, i) => sum(row.map((m, t) => m * (old[i]![t]! - ref[i]![t]!)))),
    tokens: sum(mask.map(sum)),
  };
}

Deno.test("losses/rloo.json: advantages", () => {
  for (const c of casesOf("rloo", "rloo_advantages")) {
    const { table, common, expected } = read(c);
    const beta = numberOr(c, "beta", 0);
    const found = leaveOneOutAdvantages(table, {
      ...common,
      beta,
      ...(beta !== 0 && divergencesOf(c)),
      rewardClipRange: (c.options["reward_clip_range"] ?? undefined) as
        | [number, number]
        | undefined,
      normalizeAdvantages: c.options["normalize_advantages"] === true,
    });
    assertClose(found.advantages, expected.advantages, 1e-7, c.name, 1);
    assert.equal("kl" in found.metrics, beta !== 0, c.name);
  }
});

const table: RewardTable = [[1, NaN], [3, 10], [NaN, NaN], [5, NaN]];

Deno.test("what no function applies to has no advantage and no part in the metrics", () => {
  const found = groupAdvantages(table, { numGenerations: 2, scaleRewards: "none" });
  assert.deepEqual(found.advantages, [-6, 6, 0, 0]);
  assert.deepEqual(found.rewards, [1, 13, NaN, 5]);
  assert.equal(found.metrics["reward"], 19 / 3);
  assert.deepEqual(rewardMetrics(table, ["length", "style"]), {
    "rewards/length/mean": 3,
    "rewards/length/std": 2,
    "rewards/style/mean": 10,
    "rewards/style/std": NaN,
  });
});

Deno.test("kl is the divergence per token", () => {
  const options = { numGenerations: 2, beta: 0.5, divergences: [1, 2, 3, 4], tokens: 20 };
  const found = leaveOneOutAdvantages([[1], [2], [3], [4]], options);
  assert.equal(found.metrics["kl"], 0.5);
  assert.deepEqual(found.advantages, [-0.5, 0.5, -0.5, 0.5]);
});

Deno.test("advantages of tables that do not fit are refused", () => {
  assert.throws(() => groupAdvantages(table, { numGenerations: 3 }), /4 completions.*3/);
  assert.throws(
    () => groupAdvantages(table, { numGenerations: 2, rewardWeights: [1] }),
    /reward_weights has 1 numbers for 2/,
  );
  assert.throws(
    () => leaveOneOutAdvantages(table, { numGenerations: 2, beta: 0.1 }),
    /beta is 0.1.*none/,
  );
  const scaleRewards = "std" as "group";
  assert.throws(
    () => groupAdvantages(table, { numGenerations: 2, scaleRewards }),
    /scale_rewards is "std"; it can be group, batch, none/,
  );
});

Deno.test("penalizeMissingEos() takes from completions that do not end", () => {
  assert.deepEqual(penalizeMissingEos([1, 2], [true, false], 0.5), [1, 1.5]);
});
