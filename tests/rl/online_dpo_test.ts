import assert from "node:assert/strict";
import { tensor } from "../../core/mod.ts";
import { onlineDpo, type OnlineDpoLossType, sequenceSums } from "../../rl/mod.ts";
import { nameOption, numberOption, onCpu, present } from "./cases.ts";
import { flatTokens, numberOr, testOnlineCases } from "./online_cases.ts";

testOnlineCases({
  file: "online_dpo",
  function: "online_dpo",
  variant: (c) => nameOption(c, "loss_type") ?? "",
  objective: (inputs, c) => {
    const tokens = flatTokens(inputs, { logProbs: "token_logps", refLogProbs: "ref_token_logps" });
    const penalty = numberOr(c, "missing_eos_penalty", 0);
    const rewards = inputs.get("rewards");
    const endless = inputs.find("has_eos")?.neg().add(1) ?? 0;
    return onlineDpo(
      {
        logProbs: sequenceSums(tokens.logProbs, tokens, rewards.size),
        refLogProbs: sequenceSums(tokens.refLogProbs!, tokens, rewards.size),
        rewards: penalty === 0 ? rewards : rewards.sub(endless === 0 ? 0 : endless.mul(penalty)),
      },
      present({
        lossType: nameOption(c, "loss_type") as OnlineDpoLossType | undefined,
        beta: numberOption(c, "beta"),
      }),
    );
  },
});

onCpu("the answer of higher reward is chosen, and metrics follow it", async () => {
  const { metrics } = onlineDpo({
    logProbs: tensor([-1, -2, -3, -4]),
    refLogProbs: tensor([-1, -1, -2, -8]),
    rewards: tensor([0, 1, 2, 0.5]),
  }, { beta: 0.5 });
  const expected = {
    "logps/chosen": -2.5,
    "logps/rejected": -2.5,
    "rewards/chosen": -0.5,
    "rewards/rejected": 1,
    "rewards/margins": -1.5,
    "rewards/accuracies": 0,
    "objective/kl": 0.5,
    "objective/entropy": 2.5,
    "objective/non_score_reward": -0.25,
    "objective/scores": 0.875,
    "objective/rlhf_reward": 0.625,
    "objective/scores_margin": 1.25,
  };
  for (const [name, value] of Object.entries(expected)) {
    assert.equal(await metrics[name]!.item(), value, name);
  }
});
