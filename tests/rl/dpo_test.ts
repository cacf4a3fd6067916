import assert from "node:assert/strict";
import { concat, iota, type Tensor, tensor } from "../../core/mod.ts";
import { UserError } from "../../core/errors.ts";
import {
  cpo,
  dpo,
  type DpoLossType,
  type DpoOptions,
  type FDivergence,
  logRatioDpoLosses,
  lossOf,
  type PairLogProbs,
  pairLogProbs,
  scoredDpoLosses,
} from "../../rl/mod.ts";
import { type Inputs, type LossCase, numberOption, onCpu, present, testCases } from "./cases.ts";

function optionsOf(c: LossCase): DpoOptions {
  return present({
    lossType: c.options["loss_type"] as DpoLossType | DpoLossType[],
    lossWeights: c.options["loss_weights"] as number[] | null | undefined,
    fDivergence: c.options["f_divergence_type"] as FDivergence | undefined,
    beta: numberOption(c, "beta"),
    labelSmoothing: numberOption(c, "label_smoothing"),
    fAlphaDivergenceCoef: numberOption(c, "f_alpha_divergence_coef"),
    discopopTau: numberOption(c, "discopop_tau"),
  });
}

function fromSums(inputs: Inputs): PairLogProbs {
  return present({
    chosen: inputs.get("chosen"),
    rejected: inputs.get("rejected"),
    refChosen: inputs.get("ref_chosen"),
    refRejected: inputs.get("ref_rejected"),
    chosenLengths: inputs.get("chosen_length"),
    rejectedLengths: inputs.get("rejected_length"),
    pairWeights: inputs.find("pair_weights"),
  }) as PairLogProbs;
}

/** Rectangles [B, T] of chosen and rejected tokens as one stream. */
function fromTokens(inputs: Inputs, c: LossCase): PairLogProbs {
  const [pairs, length] = inputs.get("chosen_mask").shape as [number, number];
  const stream = (chosen: Tensor, rejected: Tensor) => concat([chosen, rejected]).reshape(-1);
  const sequence = iota(2 * pairs).reshape(2 * pairs, 1).broadcastTo(2 * pairs, length);
  const position = iota(length).reshape(1, length).broadcastTo(2 * pairs, length);
  const mask = stream(inputs.get("chosen_mask"), inputs.get("rejected_mask"));
  const logSumSquares = inputs.find("chosen_log_sum_squared_probs");
  return pairLogProbs(
    {
      logProbs: stream(inputs.get("chosen_token_logps"), inputs.get("rejected_token_logps")),
      refLogProbs: stream(
        inputs.get("ref_chosen_token_logps"),
        inputs.get("ref_rejected_token_logps"),
      ),
      mask,
      segments: sequence.reshape(-1),
      positions: position.reshape(-1),
      ...(logSumSquares && {
        // Zeros at padding, as an output head without a label gives them.
        sumSquares: stream(logSumSquares, inputs.get("rejected_log_sum_squared_probs")).exp().mul(
          mask,
        ),
      }),
    },
    pairs,
    {
      ldAlpha: numberOption(c, "ld_alpha"),
      useWeighting: c.options["use_weighting"] === true,
    },
  );
}

testCases({
  file: "dpo",
  variant: (c) =>
    `${c.function} ${c.options["loss_type"]} ${numberOption(c, "ld_alpha") !== undefined}`,
  objective: (inputs, c) =>
    dpo(c.function === "dpo" ? fromSums(inputs) : fromTokens(inputs, c), optionsOf(c)),
});

const somePairs = (): PairLogProbs => ({
  chosen: tensor([-4, -2, -9]),
  rejected: tensor([-5, -2.5, -7]),
  refChosen: tensor([-4.5, -2, -8]),
  refRejected: tensor([-4, -3, -7]),
  chosenLengths: tensor([3, 1, 6]),
  rejectedLengths: tensor([4, 2, 5]),
});

onCpu("rpoAlpha is the variant sft with that weight", async () => {
  const pair = somePairs();
  const rpo = dpo(pair, { lossType: "hinge", rpoAlpha: 0.3 });
  const mixed = dpo(pair, { lossType: ["hinge", "sft"], lossWeights: [1, 0.3] });
  assert.equal(await lossOf(rpo).item(), await lossOf(mixed).item());
  const plain = await lossOf(dpo(pair, { lossType: "hinge" })).item();
  assert.ok(Math.abs(await lossOf(rpo).item() - plain - 0.3 * 1.5) < 1e-6); // −Σ chosen / Σ lengths = 1.5
});

onCpu("referenceFree takes all reference log-probs as 0", async () => {
  const pair = somePairs();
  const nothing = tensor([0, 0, 0]);
  for (const lossType of ["sigmoid", "aot"] as const) {
    const free = lossOf(dpo(pair, { lossType, referenceFree: true }));
    const zero = lossOf(
      dpo({ ...pair, refChosen: nothing, refRejected: nothing }, { lossType }),
    );
    assert.equal(await free.item(), await zero.item());
  }
});

onCpu(
  "a batch's part of its window's loss is its share of it, in every term",
  async () => {
    const objective = cpo(somePairs(), { cpoAlpha: 0.5 });
    const whole = await lossOf(objective).item();
    const share = await lossOf(objective, { normalizer: 12, share: 1 / 4 }).item();
    assert.ok(Math.abs(share - whole / 4) < 1e-6);
  },
);

onCpu(
  "other divergences than reverse KL are refused for losses of log-ratios, naming those allowed",
  () => {
    const pair = somePairs();
    for (const lossType of Object.keys(logRatioDpoLosses) as DpoLossType[]) {
      assert.throws(() => dpo(pair, { lossType, fDivergence: "js_divergence" }), (e) => {
        assert.ok(e instanceof UserError);
        for (const allowed of Object.keys(scoredDpoLosses)) assert.ok(e.message.includes(allowed));
        return e.message.includes(lossType);
      });
    }
  },
);

onCpu("contradictory options and missing inputs are refused by name", () => {
  const pair = somePairs();
  const { refChosen: _, ...withoutReference } = pair;
  const { chosenLengths: __, ...withoutLengths } = pair;
  const weighted = { ...pair, pairWeights: tensor([1, 1, 1]) };
  assert.throws(() => dpo(pair, { lossType: "exo_pair" }), /label_smoothing.*not 0\b/);
  assert.throws(() => dpo(pair, { lossType: "robust", labelSmoothing: 0.5 }), /\[0, 0\.5\).*0\.5/);
  assert.throws(() => dpo(pair, { lossType: ["ipo", "sft"], lossWeights: [1] }), /1 numbers for 2/);
  assert.throws(() => dpo(weighted, { lossType: "aot" }), /use_weighting.*"aot"/);
  assert.throws(() => dpo(withoutReference), /refChosen/);
  assert.throws(() => dpo(withoutLengths, { lossType: "ipo" }), /chosenLengths/);
  assert.throws(
    () => dpo(pair, { lossType: "sigmund" as DpoLossType }),
    /loss_type is "sigmund"; it can be sigmoid, /,
  );
});
