import assert from "node:assert/strict";
import { tensor } from "../../core/mod.ts";
import {
  type Metrics,
  pairLogitMetrics,
  pairTokenMetrics,
  rowLogitMetrics,
  tokenMetrics,
  type TokenStatistics,
  unpairedMetrics,
  unpairedTokenMetrics,
} from "../../rl/mod.ts";
import { eachDevice } from "../devices.ts";

// Sequences 0 and 1 are chosen, 2 and 3 rejected, 4 is a third answer; the last token is padding.
const statistics = (): TokenStatistics => ({
  mask: tensor([1, 1, 1, 1, 1, 1, 1, 0]),
  segments: tensor([0, 0, 1, 2, 2, 2, 4, -1], { dtype: "i32" }),
  entropies: tensor([1, 2, 3, 4, 5, 6, 7, NaN]),
  meanLogits: tensor([1, 2, 6, 10, 20, 60, 1000, NaN]),
  predictions: tensor([5, 6, 7, 8, 9, 10, 11, 0], { dtype: "i32" }),
  targets: tensor([5, 6, 0, 8, 9, 10, 11, 0], { dtype: "i32" }),
});

async function assertMetrics(
  found: Metrics,
  expected: Readonly<Record<string, number>>,
): Promise<void> {
  const entries = Object.entries(found).map(async ([name, x]) => [name, await x.item()] as const);
  const values = Object.fromEntries(await Promise.all(entries));
  assert.deepEqual(Object.keys(values).sort(), Object.keys(expected).sort());
  for (const [name, value] of Object.entries(expected)) {
    const close = Number.isNaN(value)
      ? Number.isNaN(values[name])
      : Math.abs(values[name]! - value) <= 1e-6 * Math.max(1, value);
    assert.ok(close, `${name} is ${values[name]}, not ${value}`);
  }
}

eachDevice(
  "metrics of tokens average over the tokens that TRL's trainers average over",
  async () => {
    await assertMetrics(tokenMetrics(statistics()), { entropy: 4, mean_token_accuracy: 6 / 7 });
    await assertMetrics(pairTokenMetrics(statistics(), 2), {
      entropy: 4, // of all answers
      "logits/chosen": 3,
      "logits/rejected": 30,
      mean_token_accuracy: 2 / 3, // of the chosen
    });
    await assertMetrics(pairLogitMetrics(statistics(), 2), {
      "logits/chosen": 3,
      "logits/rejected": 30,
    });
    const labels = tensor([1, 1, 0, 0, 0]);
    await assertMetrics(unpairedTokenMetrics(statistics(), labels), {
      entropy: 4,
      "logits/chosen": 3,
      "logits/rejected": (90 + 1000) / 4, // per token
    });
    await assertMetrics(rowLogitMetrics(statistics(), labels, 100), {
      "logits/chosen": 9 / 2 * 100, // per row
      "logits/rejected": (90 + 1000) / 3 * 100,
    });
  },
);

eachDevice(
  "metrics of tokens that are not there are 0 for pairs and NaN for rows, as TRL logs them",
  async () => {
    const nothing = { ...statistics(), mask: tensor([0, 0, 0, 0, 0, 0, 0, 0]) };
    await assertMetrics(pairTokenMetrics(nothing, 2), {
      entropy: 0,
      "logits/chosen": 0,
      "logits/rejected": 0,
      mean_token_accuracy: 0,
    });
    const allDesirable = tensor([1, 1, 1, 1, 1]);
    await assertMetrics(unpairedTokenMetrics(statistics(), allDesirable), {
      entropy: 4,
      "logits/chosen": 1099 / 7,
      "logits/rejected": NaN,
    });
    await assertMetrics(rowLogitMetrics(statistics(), allDesirable, 2), {
      "logits/chosen": 1099 / 5 * 2,
      "logits/rejected": NaN,
    });
  },
);

eachDevice("rewards of labels that are not there are NaN, and so is their margin", async () => {
  const [rewards, logProbs] = [tensor([1, 3]), tensor([-4, -6])];
  await assertMetrics(unpairedMetrics(rewards, logProbs, tensor([0, 0])), {
    "rewards/chosen": NaN,
    "rewards/rejected": 2,
    "rewards/margins": NaN,
    "logps/chosen": NaN,
    "logps/rejected": -5,
  });
});
