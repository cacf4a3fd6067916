import { rloo } from "../../rl/mod.ts";
import { type Inputs, numberOption, present } from "./cases.ts";
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
