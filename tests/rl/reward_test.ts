import { bradleyTerry } from "../../rl/mod.ts";
import { numberOption, present, testCases } from "./cases.ts";

testCases({
  file: "reward",
  variant: (c) => `${c.inputs["margin"] !== undefined}`,
  objective: ({ get, find }, c) => {
    const margins = find("margin");
    return bradleyTerry(
      {
        chosen: get("chosen_rewards"),
        rejected: get("rejected_rewards"),
        ...(margins && { margins }),
      },
      present({ centerRewardsCoefficient: numberOption(c, "center_rewards_coefficient") }),
    );
  },
});
