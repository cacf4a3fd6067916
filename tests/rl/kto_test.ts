import assert from "node:assert/strict";
import { tensor } from "../../core/mod.ts";
import { kto, type KtoLossType, lossOf } from "../../rl/mod.ts";
import { nameOption, numberOption, onCpu, present, testCases } from "./cases.ts";

testCases({
  file: "kto",
  variant: (c) => nameOption(c, "loss_type") ?? "",
  objective: ({ get }, c) =>
    kto(
      {
        logProbs: get("logps"),
        refLogProbs: get("ref_logps"),
        labels: get("label"),
        klLogProbs: get("kl_logps"),
        refKlLogProbs: get("ref_kl_logps"),
      },
      present({
        lossType: nameOption(c, "loss_type") as KtoLossType | undefined,
        beta: numberOption(c, "beta"),
        desirableWeight: numberOption(c, "desirable_weight"),
        undesirableWeight: numberOption(c, "undesirable_weight"),
      }),
    ),
  otherMetricsAreNaN: true,
});

onCpu("kto() without mismatched completions is refused, apo_zero_unpaired needs none", async () => {
  const x = tensor([-1, -2]);
  const rows = { logProbs: x, refLogProbs: x, labels: tensor([1, 0]) };
  assert.throws(() => kto(rows), /klLogProbs/);
  assert.equal(await lossOf(kto(rows, { lossType: "apo_zero_unpaired" })).item(), 0.5);
});
