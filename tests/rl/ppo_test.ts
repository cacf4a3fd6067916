import { ppo } from "../../rl/mod.ts";
import { numberOption, present } from "./cases.ts";
import { flatTokens, testOnlineCases } from "./online_cases.ts";

testOnlineCases({
  file: "ppo",
  function: "ppo",
  variant: () => "ppo",
  objective: (inputs, c) => {
    const flat = (name: string) => inputs.get(name).reshape(-1);
    return ppo(
      {
        ...flatTokens(inputs, { logProbs: "token_logps" }),
        oldLogProbs: flat("old_token_logps"),
        tokenAdvantages: flat("advantages"),
      },
      {
        values: flat("values"),
        oldValues: flat("old_values"),
        returns: flat("returns"),
        mask: flat("value_mask"),
      },
      present({
        cliprange: numberOption(c, "cliprange"),
        cliprangeValue: numberOption(c, "cliprange_value"),
        vfCoef: numberOption(c, "vf_coef"),
        paddedSize: inputs.get("mask").size,
      }),
    );
  },
});
