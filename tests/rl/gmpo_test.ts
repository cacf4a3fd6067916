import assert from "node:assert/strict";
import { tensor } from "../../core/mod.ts";
import { gmpo } from "../../rl/mod.ts";
import { numberOption, onCpu, present } from "./cases.ts";
import { flatTokens, testOnlineCases } from "./online_cases.ts";

testOnlineCases({
  file: "gmpo",
  function: "gmpo",
  variant: (c) => String(numberOption(c, "beta")),
  objective: (inputs, c) =>
    gmpo(
      {
        ...flatTokens(inputs, { logProbs: "token_logps", refLogProbs: "ref_token_logps" }),
        oldLogProbs: inputs.get("old_token_logps").reshape(-1),
        advantages: inputs.get("advantages"),
      },
      present({
        epsilon: numberOption(c, "epsilon"),
        epsilonHigh: numberOption(c, "epsilon_high"),
        beta: numberOption(c, "beta"),
      }),
    ),
});

onCpu(
  "gmpo() takes its mean over the uncertain tokens only, and tells how many are clipped",
  async () => {
    const { losses, metrics } = gmpo({
      logProbs: tensor([-1, -2, -3]),
      oldLogProbs: tensor([-1.1, -2.3, -4]),
      entropies: tensor([1, 2, 3]),
      mask: tensor([1, 1, 1]),
      segments: tensor([0, 0, 0], { dtype: "i32" }),
      advantages: tensor([2]),
    }, { topEntropyQuantile: 0.5 });
    assert.ok(Math.abs(await losses!.item() + 2 * Math.exp((0.3 + 0.4) / 2)) < 1e-6);
    assert.ok(Math.abs(await metrics["clip_ratio/high_mean"]!.item() - 1 / 3) < 1e-6);
    assert.ok(Math.abs(await metrics["clip_ratio/high_max"]!.item() - 1 / 3) < 1e-6);
    assert.equal(await metrics["clip_ratio/low_mean"]!.item(), 0);
  },
);
