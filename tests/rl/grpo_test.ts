import assert from "node:assert/strict";
import { grad, type Tensor, tensor, valueAndGrad } from "../../core/mod.ts";
import {
  entropyMask,
  grpo,
  type GrpoLossType,
  grpoVariants,
  type ImportanceLevel,
  lossOf,
  maskedQuantile,
  type RolloutTokens,
  samplingCorrection,
  type WindowShare,
  withoutTruncated,
} from "../../rl/mod.ts";
import { eachDevice } from "../devices.ts";
import { type Inputs, type LossCase, nameOption, numberOption, onCpu, present } from "./cases.ts";
import { flatTokens, numberOr, testOnlineCases } from "./online_cases.ts";

/** The rollout of a case. */
export function rollout(inputs: Inputs): RolloutTokens {
  const oldLogProbs = inputs.find("old_token_logps")?.reshape(-1);
  return {
    ...flatTokens(inputs, { logProbs: "token_logps", refLogProbs: "ref_token_logps" }),
    ...(oldLogProbs && { oldLogProbs }),
    advantages: inputs.get("advantages"),
  };
}

/**
 * The share of tokens to learn from. The oracle compares entropies in double precision with a threshold that was rounded
 * to single: the token that is itself the median falls out, which it does not in single precision.
 */
function entropyShare(c: LossCase): number | undefined {
  const share = numberOption(c, "top_entropy_quantile");
  return share === 0.5 ? 0.4999 : share;
}

/** How TRL counts the batch: by its window's completions, or by the tokens of the generations. */
function windowOf(c: LossCase): WindowShare {
  const accumulation = numberOr(c, "gradient_accumulation_steps", 1);
  const tokens = Math.max(numberOr(c, "num_items_in_batch", 1), 1);
  const overTokens = ["dapo", "cispo", "vespo"].includes(nameOption(c, "loss_type") ?? "dapo");
  return {
    normalizer: overTokens
      ? tokens * accumulation / numberOr(c, "steps_per_generation", 1)
      : accumulation * [c.inputs["advantages"]!].flat().length,
    share: 1 / accumulation,
  };
}

function fixture(inputs: Inputs, c: LossCase) {
  const corrected = c.options["use_bias_correction_kl"];
  return grpo(
    rollout(inputs),
    present({
      lossType: nameOption(c, "loss_type") as GrpoLossType | undefined,
      importanceSamplingLevel: nameOption(c, "importance_sampling_level") as
        | ImportanceLevel
        | undefined,
      epsilon: numberOption(c, "epsilon"),
      epsilonHigh: numberOption(c, "epsilon_high"),
      delta: numberOption(c, "delta"),
      beta: numberOption(c, "beta"),
      useBiasCorrectionKl: typeof corrected === "boolean" ? corrected : undefined,
      topEntropyQuantile: entropyShare(c),
      entropyCoef: numberOption(c, "entropy_coef"),
      offPolicyMaskThreshold: numberOption(c, "off_policy_mask_threshold"),
      maxCompletionLength: numberOption(c, "max_completion_length"),
      window: windowOf(c),
    }),
  );
}

for (const [file, name] of [["grpo", "grpo"], ["gspo_token", "grpo"]] as const) {
  testOnlineCases({
    file,
    function: name,
    variant: (c) =>
      [
        nameOption(c, "loss_type"),
        numberOption(c, "top_entropy_quantile"),
        numberOption(c, "off_policy_mask_threshold"),
      ].join(),
    objective: fixture,
    window: windowOf,
  });
}

/** Two completions of two tokens, and a token of padding. */
function small(logProbs: Tensor): RolloutTokens {
  return {
    logProbs,
    mask: tensor([1, 1, 1, 1, 0]),
    segments: tensor([0, 0, 1, 1, -1], { dtype: "i32" }),
    oldLogProbs: tensor([-1, -1.5, -2, -0.5, 7]),
    advantages: tensor([1, -1]),
  };
}

const logProbs = () => tensor([-1.05, -1.2, -1.9, -0.7, NaN]);

onCpu("advantages of tokens that repeat those of completions give the same loss", async () => {
  const tokens = small(logProbs());
  const repeated = { ...tokens, tokenAdvantages: tensor([1, 1, -1, -1, 0]) };
  assert.equal(await lossOf(grpo(tokens)).item(), await lossOf(grpo(repeated)).item());
});

onCpu("the loss does not depend on how the window is cut", async () => {
  const whole = small(logProbs());
  for (const lossType of ["grpo", "dapo", "dr_grpo", "luspo", "sapo"] as const) {
    const options = { lossType, maxCompletionLength: 3, entropyCoef: 0.1 };
    const ofTokens = lossType === "dapo";
    const entropies = tensor([0.5, 1, 2, 0.1, 9]);
    const part = (first: number) => {
      const objective = grpo({
        logProbs: whole.logProbs.slice(2 * first, 2 * first + 2),
        oldLogProbs: whole.oldLogProbs!.slice(2 * first, 2 * first + 2),
        entropies: entropies.slice(2 * first, 2 * first + 2),
        mask: tensor([1, 1]),
        segments: tensor([0, 0], { dtype: "i32" }),
        advantages: whole.advantages.slice(first, first + 1),
      }, options);
      return lossOf(objective, { normalizer: ofTokens ? 4 : 2, share: 1 / 2 }).item();
    };
    const sum = await part(0) + await part(1);
    const expected = await lossOf(grpo({ ...whole, entropies }, options)).item();
    assert.ok(Math.abs(sum - expected) < 1e-6, `${lossType}: ${sum}, not ${expected}`);
  }
});

onCpu("padding contributes nothing, not even its NaN", async () => {
  const slope = grad((x: Tensor) => lossOf(grpo(small(x), { epsilon: 0.5 })));
  const found = await slope(logProbs()).data();
  assert.ok(found.slice(0, 4).every((x) => Number.isFinite(x) && x !== 0));
  assert.equal(found[4], 0);
});

onCpu("withoutTruncated() leaves out the completions that were cut off", async () => {
  const tokens = withoutTruncated(small(logProbs()), tensor([0, 1]));
  assert.deepEqual([...await tokens.mask.data()], [1, 1, 0, 0, 0]);
  const slope = grad((x: Tensor) => lossOf(grpo(withoutTruncated(small(x), tensor([0, 1])))));
  assert.deepEqual((await slope(logProbs()).data()).slice(2), new Float32Array(3));
});

onCpu("completions without tokens do not enter the extremes of clip ratios", async () => {
  const ratio = (truncated: number[]) =>
    grpo(withoutTruncated(small(logProbs()), tensor(truncated)), { epsilon: 0.01 }).metrics;
  assert.equal(await ratio([0, 0])["clip_ratio/low_min"]!.item(), 0);
  assert.equal(await ratio([1, 0])["clip_ratio/low_min"]!.item(), 0.5);
  assert.ok(Number.isNaN(await ratio([1, 1])["clip_ratio/low_min"]!.item()));
  assert.ok(Number.isNaN(await ratio([1, 1])["clip_ratio/high_max"]!.item()));
});

onCpu(
  "importance ratios multiply the tokens' losses, in vespo the sequences' weights",
  async () => {
    const ratios = tensor([2, 2, 2, 2, 1]);
    const loss = (lossType: GrpoLossType, corrected: boolean) =>
      lossOf(grpo(
        { ...small(logProbs()), ...(corrected && { importanceRatios: ratios }) },
        { lossType },
      )).item();
    assert.ok(Math.abs(await loss("dapo", true) - 2 * await loss("dapo", false)) < 1e-6);
    // w is 4 times as large; φ of either sign by hand.
    const phi = (w: number, k: number, lambda: number) =>
      Math.exp(lambda + k * Math.log(w) - lambda * w);
    const [first, second] = [Math.exp(-0.05 + 0.3) * 4, Math.exp(0.1 - 0.2) * 4];
    const expected = (phi(first, 2, 3) * (1.05 + 1.2) - phi(second, 3, 2) * (1.9 + 0.7)) / 4;
    assert.ok(Math.abs(await loss("vespo", true) - expected) < 1e-6);
  },
);

onCpu("cispo and vespo report how their weights lie", async () => {
  const metric = async (lossType: GrpoLossType, name: string, epsilonHigh = 0.2) =>
    await grpo(small(logProbs()), { lossType, epsilonHigh }).metrics[name]!.item();
  assert.equal(await metric("cispo", "cispo_clip_ratio", 1.2), 0.25);
  assert.equal(await metric("cispo", "cispo_clip_ratio", 5), 0);
  const phi = (x: number, k: number, lambda: number) =>
    Math.exp(lambda + k * x - lambda * Math.exp(x));
  const expected = (phi(0.25, 2, 3) + phi(-0.1, 3, 2)) / 2;
  assert.ok(Math.abs(await metric("vespo", "vespo/phi_seq_mean") - expected) < 1e-6);
  assert.deepEqual(Object.keys(grpo(small(logProbs()), { lossType: "sapo" }).metrics), []);
});

onCpu("log-ratios of thousands leave every variant's loss and gradient finite", async () => {
  const lossTypes = Object.keys(grpoVariants) as GrpoLossType[];
  for (const importanceSamplingLevel of ["token", "sequence", "sequence_token"] as const) {
    for (const [lossType, from] of lossTypes.flatMap((x) => [[x, 1], [x, -1]] as const)) {
      const options = { lossType, importanceSamplingLevel, beta: 0.1, maxCompletionLength: 2 };
      const [loss, slope] = valueAndGrad((x: Tensor) =>
        lossOf(grpo({
          ...small(x),
          oldLogProbs: tensor([-5000, -1, -5000, -1, 0]),
          refLogProbs: tensor([-1, -5000, -1, -5000, 0]),
          advantages: tensor([from, -from]),
        }, options))
      )(tensor([-1, -5000, -1, -1, 0]));
      const found = [await loss.item(), ...await slope.data()];
      assert.ok(found.every(Number.isFinite), `${lossType} ${importanceSamplingLevel}: ${found}`);
    }
  }
});

onCpu("the sampler's own log-probs decide about the off-policy mask", async () => {
  const loss = (sampled?: number) =>
    grpo({
      ...small(logProbs()),
      ...(sampled !== undefined && { samplingLogProbs: tensor([0, 0, sampled, sampled, 0]) }),
    }, { lossType: "dapo", epsilon: 10, offPolicyMaskThreshold: 0.2 }).losses!.data();
  // The answer's mean log-prob is −1.3.
  assert.ok((await loss(-1.2))[2]! > 0);
  assert.deepEqual([...await loss(-1)].slice(2, 4), [0, 0]);
  assert.ok((await loss())[2]! > 0);
});

onCpu("samplingCorrection() cuts or drops ratios of tokens or sequences", async () => {
  const tokens = small(logProbs());
  const old = tensor([0, 0, 0, 0, 9]);
  const sampler = tensor([-1, 0.5, -Math.log(2), 0, -9]);
  const found = async (
    mode: "token_truncate" | "token_mask" | "sequence_truncate" | "sequence_mask",
  ) =>
    [
      ...await samplingCorrection(old, sampler, tokens, 2, { mode, clipMax: 1.8, clipMin: 0.7 })
        .data(),
    ]
      .slice(0, 4).map((x) => Math.round(x * 1000) / 1000);
  assert.deepEqual(await found("token_truncate"), [1.8, 0.7, 1.8, 1]);
  assert.deepEqual(await found("token_mask"), [0, 0, 0, 1]);
  assert.deepEqual(await found("sequence_truncate"), [1.649, 1.649, 1.8, 1.8]);
  assert.deepEqual(await found("sequence_mask"), [1.649, 1.649, 0, 0]);
});

onCpu("grpo() names what an option lacks", () => {
  const tokens = small(logProbs());
  assert.throws(() => grpo(tokens, { beta: 0.1 }), /refLogProbs/);
  assert.throws(() => grpo(tokens, { topEntropyQuantile: 0.2 }), /top_entropy_quantile.*entropies/);
  assert.throws(() => grpo(tokens, { entropyCoef: 0.1 }), /entropy_coef.*entropies/);
  assert.throws(() => grpo(tokens, { lossType: "dr_grpo" }), /max_completion_length/);
  const unknown = "gepo" as GrpoLossType;
  assert.throws(() => grpo(tokens, { lossType: unknown }), /loss_type is "gepo".*dapo/);
});

onCpu("the median is among the upper half of entropies", async () => {
  const tokens = { ...small(logProbs()), entropies: tensor([0.1, 0.3, 0.2, 9, 9]) };
  const mask = entropyMask({ ...tokens, mask: tensor([1, 1, 1, 0, 0]) }, 0.5)!;
  assert.deepEqual([...await mask.data()], [0, 1, 1, 0, 0]);
});

onCpu("the bonus reports the entropies it is the mean of", async () => {
  const entropies = tensor([0.5, 1, 2, 0.1, 9]);
  const { bonusEntropy, metrics } = grpo(
    { ...small(logProbs()), entropies },
    { entropyCoef: 0.1, topEntropyQuantile: 0.5 },
  );
  assert.equal(await bonusEntropy!.sum.item(), 3);
  assert.equal(await bonusEntropy!.count.item(), 2);
  assert.ok(Math.abs(await metrics["entropy"]!.item() - 0.9) < 1e-6);
});

eachDevice(
  "maskedQuantile() interpolates between order statistics, with ties and zeros",
  async () => {
    const values = [0, 3, 1e-30, 2, 2, 2, 5.5, 0.25, 1e20, -0];
    const counted = values.map((_, i) => i === 8 ? 0 : 1);
    const sorted = values.filter((_, i) => counted[i]).sort((a, b) => a - b);
    for (const q of [0, 0.1, 0.33, 0.5, 0.8, 0.95, 1]) {
      const at = q * (sorted.length - 1);
      const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
      const expected = low + (high - low) * (at - Math.floor(at));
      const found = await maskedQuantile(tensor(values), tensor(counted), q).item();
      assert.ok(Math.abs(found - expected) < 1e-5, `${q}: ${found}, not ${expected}`);
    }
    assert.equal(await maskedQuantile(tensor([1]), tensor([0]), 0.5).item(), Infinity);
  },
);
