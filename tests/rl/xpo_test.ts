import assert from "node:assert/strict";
import { tensor } from "../../core/mod.ts";
import { type OnlineDpoLossType, xpo } from "../../rl/mod.ts";
import { nameOption, numberOption, onCpu, present } from "./cases.ts";
import { testOnlineCases } from "./online_cases.ts";

testOnlineCases({
  file: "xpo",
  function: "xpo",
  variant: (c) => nameOption(c, "loss_type") ?? "",
  objective: ({ get }, c) =>
    xpo({
      policyOnModel: get("policy_on_model").sum(1),
      policyOnReference: get("policy_on_ref").sum(1),
      referenceOnModel: get("ref_on_model").sum(1),
      referenceOnReference: get("ref_on_ref").sum(1),
      modelScores: get("model_is_chosen"),
      referenceScores: get("model_is_chosen").neg().add(1),
    }, {
      ...present({ beta: numberOption(c, "beta"), alpha: numberOption(c, "alpha") }),
      lossType: nameOption(c, "loss_type") as OnlineDpoLossType,
    }),
});

onCpu("the policy's answer wins when scores are equal, and metrics follow", async () => {
  const { metrics } = xpo({
    policyOnModel: tensor([-1, -2]),
    policyOnReference: tensor([-3, -4]),
    referenceOnModel: tensor([-2, -2]),
    referenceOnReference: tensor([-2, -2]),
    modelScores: tensor([1, 0]),
    referenceScores: tensor([1, 3]),
  }, { beta: 1 });
  const expected = {
    "rewards/chosen": -0.5,
    "rewards/rejected": -0.5,
    "rewards/margins": 0,
    "rewards/accuracies": 0.5,
    "logps/chosen": -4.5,
    "logps/rejected": -4.5,
    "objective/kl": -0.5,
    "objective/entropy": 2.5,
    "objective/model_scores": 0.5,
    "objective/ref_scores": 2,
    "objective/scores_margin": -1.5,
  };
  for (const [name, value] of Object.entries(expected)) {
    assert.equal(await metrics[name]!.item(), value, name);
  }
});
