import { tokenClassification } from "../../rl/mod.ts";
import { testCases } from "./cases.ts";

testCases({
  file: "prm",
  variant: () => "",
  objective: ({ get }) =>
    tokenClassification({
      logits: get("logits").reshape(-1, 2),
      labels: get("labels").cast("i32").reshape(-1),
    }),
});
