import assert from "node:assert/strict";
import { concat, iota, tensor } from "../../core/mod.ts";
import { tpo, type TpoLogProbs, tpoLogProbs, type TpoLossType } from "../../rl/mod.ts";
import { type Inputs, nameOption, numberOption, onCpu, present, testCases } from "./cases.ts";

/** Rectangles [B, T] of chosen, rejected and gold tokens as one stream. */
function fromTokens({ get }: Inputs): TpoLogProbs {
  const [pairs, length] = get("chosen_mask").shape as [number, number];
  const stream = (what: string) =>
    concat(["chosen", "rejected", "reference"].map((name) => get(`${name}_${what}`))).reshape(-1);
  return tpoLogProbs({
    logProbs: stream("token_logps"),
    mask: stream("mask"),
    segments: iota(3 * pairs).reshape(3 * pairs, 1).broadcastTo(3 * pairs, length).reshape(-1),
  }, pairs);
}

testCases({
  file: "tpo",
  variant: (c) => nameOption(c, "loss_type")!,
  objective: (inputs, c) =>
    tpo(
      fromTokens(inputs),
      present({
        lossType: nameOption(c, "loss_type") as TpoLossType,
        beta: numberOption(c, "beta"),
        labelSmoothing: numberOption(c, "label_smoothing"),
        tpoAlpha: numberOption(c, "tpo_alpha"),
        tpoLGamma: numberOption(c, "tpo_l_gamma"),
      }),
    ),
});

onCpu("tpo() without gold answers is refused unless tpoAlpha is 0", () => {
  const x = tensor([-1]);
  assert.throws(() => tpo({ chosen: x, rejected: x }), /referenceLengths.*tpo_alpha/);
  tpo({ chosen: x, rejected: x }, { tpoAlpha: 0 });
});
