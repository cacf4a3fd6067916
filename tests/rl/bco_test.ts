import assert from "node:assert/strict";
import { tensor } from "../../core/mod.ts";
import { bco, type BcoLogProbs, emptyRunningMean, lossOf, type RunningMean } from "../../rl/mod.ts";
import {
  type Inputs,
  type LossCase,
  numberOption,
  onCpu,
  present,
  readCases,
  testCases,
} from "./cases.ts";

function rows({ get, find }: Inputs, c: LossCase): BcoLogProbs {
  const mean = numberOption(c, "running_mean");
  const densityRatios = find("udm_weight");
  return {
    logProbs: get("logps"),
    refLogProbs: get("ref_logps"),
    labels: get("label"),
    running: mean === undefined
      ? emptyRunningMean()
      : { mean: tensor(mean), count: tensor(numberOption(c, "running_count")!) },
    ...(densityRatios && { densityRatios }),
  };
}

testCases({
  file: "bco",
  variant: (c) => `${c.inputs["udm_weight"] !== undefined}`,
  objective: (inputs, c) => bco(rows(inputs, c), present({ beta: numberOption(c, "beta") })),
});

const inputsOf = (c: LossCase): Inputs => {
  const find = (name: string) => {
    const value = c.inputs[name];
    return value === undefined ? undefined : tensor(value);
  };
  return { find, get: (name) => find(name)! };
};

onCpu("bco() gives the running mean after the batch", async () => {
  for (const c of readCases("bco")) {
    const { running } = bco(rows(inputsOf(c), c), present({ beta: numberOption(c, "beta") }));
    const { mean, count } = c.expected.running!;
    assert.ok(Math.abs(await running.mean.item() - mean) < 1e-5, c.name);
    assert.equal(await running.count.item(), count, c.name);
  }
});

onCpu("bco() in evaluation leaves the running mean alone and measures against it", async () => {
  const x = tensor([-1, -2]);
  const running: RunningMean = { mean: tensor(0.5), count: tensor(7) };
  const batch = { logProbs: x, refLogProbs: x, labels: tensor([1, 1]), running };
  const found = bco(batch, { updateRunning: false });
  assert.equal(await found.running.count.item(), 7);
  assert.equal(await found.metrics["delta"]!.item(), 0.5);
  assert.ok(Math.abs(await lossOf(found).item() - Math.log1p(Math.exp(0.5))) < 1e-6);
  assert.equal(await found.counts!["rewards/chosen"]!.item(), 2);
  assert.equal(await found.counts!["rewards/rejected"]!.item(), 0);
  assert.ok(Number.isNaN(await found.metrics["rewards/rejected"]!.item()));
});
