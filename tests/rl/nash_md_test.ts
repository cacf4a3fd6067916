import assert from "node:assert/strict";
import { tensor } from "../../core/mod.ts";
import { nashMd } from "../../rl/mod.ts";
import { numberOption, onCpu, present } from "./cases.ts";
import { flatTokens, testOnlineCases } from "./online_cases.ts";

testOnlineCases({
  file: "nash_md",
  function: "nash_md",
  variant: () => "nash_md",
  objective: (inputs, c) =>
    nashMd({
      ...flatTokens(inputs, { logProbs: "token_logps", refLogProbs: "ref_token_logps" }),
      modelScores: inputs.get("model_scores"),
      mixtureScores: inputs.get("mixture_scores"),
    }, present({ beta: numberOption(c, "beta") })),
});

onCpu("nashMd() without a reference is refused; metrics compare policy and reference", async () => {
  const tokens = {
    logProbs: tensor([-1, -2, -4]),
    mask: tensor([1, 1, 1]),
    segments: tensor([0, 0, 1], { dtype: "i32" }),
    modelScores: tensor([1, 2]),
    mixtureScores: tensor([1, 4]),
  };
  assert.throws(() => nashMd(tokens), /refLogProbs/);
  const { metrics } = nashMd({ ...tokens, refLogProbs: tensor([-2, -2, -3]) });
  const expected = {
    "logps/chosen": -3.5,
    "logps/rejected": -3.5,
    "rewards/chosen": 1.5,
    "rewards/rejected": 2.5,
    "rewards/margins": 0,
    "rewards/accuracies": 0.5,
    "objective/entropy": 3.5,
    "loss/kl": 0,
  };
  for (const [name, value] of Object.entries(expected)) {
    assert.equal(await metrics[name]!.item(), value, name);
  }
});
