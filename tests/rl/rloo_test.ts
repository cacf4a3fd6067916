import assert from "node:assert/strict";
import { tensor } from "../../core/mod.ts";
import { lossOf, rloo } from "../../rl/mod.ts";
import { type Inputs, numberOption, onCpu, present } from "./cases.ts";
import { flatTokens, testOnlineCases } from "./online_cases.ts";

const tokens = (inputs: Inputs) => ({
  ...flatTokens(inputs, { logProbs: "token_logps" }),
  oldLogProbs: inputs.get("old_token_logps").reshape(-1),
  advantages: inputs.get("advantages"),
});

testOnlineCases({
  file: "rloo",
  function: "rloo",
  variant: () => "rloo",
  objective: (inputs, c) =>
    rloo(
      tokens(inputs),
      present({
        epsilon: numberOption(c, "epsilon"),
        epsilonHigh: numberOption(c, "epsilon_high"),
      }),
    ),
});

onCpu(
  "the ratio of a completion is the product over its tokens, 1 without old log-probs",
  async () => {
    const tokens = {
      logProbs: tensor([-1, -2, -4, 9]),
      mask: tensor([1, 1, 1, 0]),
      segments: tensor([0, 0, 1, -1], { dtype: "i32" }),
      advantages: tensor([1, -2]),
      entropies: tensor([1, 2, 6, 100]),
    };
    assert.deepEqual([...await rloo(tokens).losses!.data()], [-1, 2]);
    const old = tensor([-1.25, -1.75, -4 - Math.log(2), 0]);
    const { losses, metrics } = rloo({ ...tokens, oldLogProbs: old }, { epsilonHigh: 0.5 });
    const found = await losses!.data();
    assert.ok(Math.abs(found[0]! + 1) < 1e-6 && Math.abs(found[1]! - 4) < 1e-5);
    assert.equal(await metrics["entropy"]!.item(), 3);
    assert.equal(await metrics["clip_ratio/high_max"]!.item(), 0);
  },
);

onCpu("a batch's loss is its share of the window's completions", async () => {
  const tokens = {
    logProbs: tensor([-1]),
    mask: tensor([1]),
    segments: tensor([0], { dtype: "i32" }),
    advantages: tensor([1]),
  };
  assert.equal(await lossOf(rloo(tokens), { normalizer: 4, share: 1 / 4 }).item(), -0.25);
});
