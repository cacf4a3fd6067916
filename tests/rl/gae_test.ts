import assert from "node:assert/strict";
import { openDevice, tensor } from "../../core/mod.ts";
import {
  adaptiveEntropyCoef,
  adaptiveKlCoef,
  gae,
  type KlEstimator,
  klRewards,
  whiten,
} from "../../rl/mod.ts";
import { assertClose } from "../core/compare.ts";
import { type LossCase, nameOption } from "./cases.ts";
import { casesOf, numberOr, rowsOf } from "./online_cases.ts";

/** What a case that is no objective expects. */
function outputsOf(c: LossCase): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(c.expected));
}

/** Rows and numbers of a case's inputs, the completions' rows cut to their lengths. */
function read(c: LossCase) {
  const inputs: Readonly<Record<string, unknown>> = c.inputs;
  const rows = (name: string) => rowsOf(inputs[name]);
  const width = rows("values")[0]!.length;
  const lengths = inputs["mask"]
    ? rows("mask").map((row) => row.filter((m) => m === 1).length)
    : inputs["response_length"] as number[];
  const cut = (name: string, to = lengths) => rows(name).map((row, i) => row.slice(0, to[i]));
  const outputs = outputsOf(c);
  const expected = (name: string) => rowsOf(outputs[name]);
  return { inputs, width, lengths, cut, expected, scores: inputs["scores"] as number[] };
}

/** Asserts that rows are those expected, over their own lengths. */
function assertRows(
  found: readonly ArrayLike<number>[],
  expected: readonly number[][],
  what: string,
) {
  for (const [i, row] of found.entries()) {
    assertClose(row, expected[i]!.slice(0, row.length), 1e-7, `${what} of row ${i}`, 1);
  }
}

Deno.test("losses/ppo.json, ppo_returns: rewards, advantages, returns, divergence", () => {
  for (const c of casesOf("ppo", "ppo_returns")) {
    const { inputs, width, lengths, cut, expected, scores } = read(c);
    const penalty = numberOr(c, "missing_eos_penalty", 0);
    const hasEos = inputs["has_eos"] as number[];
    const steps = lengths.map((length) => Math.min(length + 1, width));
    const rollout = {
      logProbs: cut("token_logps"),
      refLogProbs: cut("ref_token_logps"),
      scores: scores.map((score, i) => score - (hasEos[i] === 1 ? 0 : penalty)),
    };
    const { rewards, metrics } = klRewards(rollout, {
      klCoef: numberOr(c, "kl_coef", 0.05),
      klEstimator: (nameOption(c, "kl_estimator") ?? "k1") as KlEstimator,
      steps,
    });
    const given = c.options["whiten_rewards"] === true
      ? whiten(rewards, { shiftMean: false })
      : rewards;
    const { advantages, returns } = gae(given, cut("values", steps), {
      gamma: numberOr(c, "gamma", 1),
      lam: numberOr(c, "lam", 0.95),
    });
    const ofTokens = whiten(advantages.map((row, i) => row.slice(0, lengths[i])));
    assertRows(given, expected("rewards"), `${c.name}: rewards`);
    assertRows(returns, expected("returns"), `${c.name}: returns`);
    assertRows(ofTokens, expected("advantages"), `${c.name}: advantages`);
    const kl = c.expected.metrics!["objective/kl"]!;
    assertClose([metrics["objective/kl"]!], [kl], 1e-7, `${c.name}: kl`, 1);
  }
});

Deno.test("losses/ppo.json, classic_returns: rewards, advantages, returns", () => {
  for (const c of casesOf("ppo", "classic_returns")) {
    const { width, lengths, cut, expected, scores } = read(c);
    const estimator = nameOption(c, "kl_penalty")!;
    const { rewards } = klRewards(
      { logProbs: cut("token_logps"), refLogProbs: cut("ref_token_logps"), scores },
      {
        klCoef: numberOr(c, "kl_coef", 0),
        klEstimator: (estimator === "kl" ? "k1" : estimator) as KlEstimator,
      },
    );
    assertRows(rewards, expected("rewards"), `${c.name}: rewards`);
    // That API whitened padding along: with the mean kept, it becomes a small reward after the end.
    const padded = (rows: readonly number[][]) =>
      rows.map((row) => [...row, ...new Array<number>(width - row.length).fill(0)]);
    const given = c.options["whiten_rewards"] === true
      ? whiten(padded(rewards), { shiftMean: false, lengths })
      : padded(rewards);
    const { advantages, returns } = gae(given, padded(cut("values")), {
      gamma: numberOr(c, "gamma", 1),
      lam: numberOr(c, "lam", 0.95),
    });
    assertRows(returns, expected("returns"), `${c.name}: returns`);
    assertRows(whiten(advantages, { lengths }), expected("advantages"), `${c.name}: advantages`);
  }
});

Deno.test("losses/ppo.json, adaptive_kl: the coefficient step by step", () => {
  for (const c of casesOf("ppo", "adaptive_kl")) {
    let coef = numberOr(c, "init_kl_coef", 0);
    const options = { target: numberOr(c, "target", 0), horizon: numberOr(c, "horizon", 0) };
    const found = (c.inputs["kl"] as number[]).map((kl) =>
      coef = adaptiveKlCoef(coef, kl, numberOr(c, "n_steps", 0), options)
    );
    assertClose(found, outputsOf(c)["kl_coef"] as number[], 1e-10, c.name);
  }
});

Deno.test("the entropy coefficient rises while entropy is low and is applied only then", async () => {
  await openDevice("cpu");
  const after = async (coef: number, entropy: number, options = {}) => {
    const next = adaptiveEntropyCoef(tensor(coef), tensor(entropy), options);
    return [await next.coef.item(), await next.applied.item()].map((x) =>
      Math.round(x * 1e6) / 1e6
    );
  };
  assert.deepEqual(await after(0.01, 0.1), [0.015, 0.015]);
  assert.deepEqual(await after(0.01, 0.5), [0.005, 0]);
  assert.deepEqual(await after(0.004, 0.5), [0, 0]);
  assert.deepEqual(await after(0.3, 0.1, { max: 0.302 }), [0.302, 0.302]);
});

Deno.test("objective metrics are means over completions", () => {
  const { metrics, divergences } = klRewards(
    { logProbs: [[-1, -2], [-3]], refLogProbs: [[-2, -2], [-3.5]], scores: [1, 2] },
    { klCoef: 0.1 },
  );
  assert.deepEqual(divergences, [1, 0.5]);
  assertClose(
    [
      "objective/kl",
      "objective/entropy",
      "objective/non_score_reward",
      "objective/scores",
      "objective/rlhf_reward",
    ].map((name) => metrics[name]!),
    [0.75, 3, -0.075, 1.5, 1.425],
    1e-12,
    "metrics",
  );
});

Deno.test("gae() with λ = 1 is the return less the value, with λ = 0 the one-step error", () => {
  const [rewards, values] = [[[1, 2, 4], []], [[0.5, 1, 3], []]];
  assert.deepEqual(gae(rewards, values, { lam: 1, gamma: 0.5 }).returns, [[3, 4, 4], []]);
  assert.deepEqual(gae(rewards, values, { lam: 0 }).advantages, [[1.5, 4, 1], []]);
});

Deno.test("a single number whitens to 0, and so do equal ones", () => {
  assert.deepEqual(whiten([[3]]), [[0]]);
  assert.deepEqual(whiten([[3, 3], [3]]), [[0, 0], [0]]);
});

Deno.test("rows that do not fit are refused", () => {
  assert.throws(() => gae([[1, 2]], [[1]]), /completion 0 has 2 steps and 1 values/);
  const rollout = { logProbs: [[1]], refLogProbs: [[1], [2]], scores: [1] };
  assert.throws(() => klRewards(rollout), /1 and 2 completions/);
});
