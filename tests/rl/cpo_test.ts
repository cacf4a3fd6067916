import assert from "node:assert/strict";
import { concat, iota, tensor } from "../../core/mod.ts";
import {
  cpo,
  type CpoLossType,
  lossOf,
  type PairLogProbs,
  pairLogProbs,
  simpo,
} from "../../rl/mod.ts";
import {
  type Inputs,
  nameOption,
  numberOption,
  onCpu,
  pairScores,
  present,
  testCases,
} from "./cases.ts";

function fromTokens({ get }: Inputs): PairLogProbs {
  const [pairs, length] = get("chosen_mask").shape as [number, number];
  return pairLogProbs({
    logProbs: concat([get("chosen_token_logps"), get("rejected_token_logps")]).reshape(-1),
    mask: concat([get("chosen_mask"), get("rejected_mask")]).reshape(-1),
    segments: iota(2 * pairs).reshape(2 * pairs, 1).broadcastTo(2 * pairs, length).reshape(-1),
  }, pairs);
}

testCases({
  file: "cpo",
  variant: (c) =>
    `${c.function} ${nameOption(c, "loss_type")} ${numberOption(c, "alpha") ?? 0 > 0}`,
  objective: (inputs, c) =>
    cpo(
      c.function === "cpo" ? pairScores(inputs) : fromTokens(inputs),
      present({
        lossType: nameOption(c, "loss_type") as CpoLossType,
        beta: numberOption(c, "beta"),
        labelSmoothing: numberOption(c, "label_smoothing"),
        cpoAlpha: numberOption(c, "cpo_alpha"),
        simpoGamma: numberOption(c, "simpo_gamma"),
        alpha: numberOption(c, "alpha"),
      }),
    ),
});

onCpu("simpo() is the variant simpo without imitation", async () => {
  const pairs: PairLogProbs = {
    chosen: tensor([-4, -2]),
    rejected: tensor([-5, -3]),
    chosenLengths: tensor([2, 2]),
    rejectedLengths: tensor([5, 2]),
  };
  // z = −2 − (−1), −1 − (−1.5); x = βz − γ
  const expected = (Math.log1p(Math.exp(2.5)) + Math.log1p(Math.exp(-0.5))) / 2;
  const loss = lossOf(simpo(pairs, { beta: 2, simpoGamma: 0.5 }));
  assert.ok(Math.abs(await loss.item() - expected) < 1e-6);
});
