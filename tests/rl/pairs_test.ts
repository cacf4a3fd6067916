import assert from "node:assert/strict";
import { tensor } from "../../core/mod.ts";
import { dpo, lossOf, pairLogProbs, type TokenLogProbs } from "../../rl/mod.ts";
import { onCpu } from "./cases.ts";

// One pair: three chosen tokens, one rejected; a token of neither.
const tokens = (): TokenLogProbs => ({
  logProbs: tensor([-1, -2, -4, -3, -100]),
  mask: tensor([1, 1, 1, 1, 1]),
  segments: tensor([0, 0, 0, 1, 2], { dtype: "i32" }),
  positions: tensor([0, 1, 2, 0, 0], { dtype: "i32" }),
});

onCpu("pairLogProbs() sums the completions and leaves other sequences out", async () => {
  const pairs = pairLogProbs(tokens(), 1);
  assert.equal(await pairs.chosen.item(), -7);
  assert.equal(await pairs.rejected.item(), -3);
  assert.equal(await pairs.chosenLengths!.item(), 3);
  assert.equal(pairs.refChosen, undefined);
});

onCpu("ldAlpha discounts what goes beyond the shorter completion, but not imitation", async () => {
  const pairs = pairLogProbs(tokens(), 1, { ldAlpha: 0.5 });
  assert.equal(await pairs.chosen.item(), -1 - 0.5 * 6);
  assert.equal(await pairs.rejected.item(), -3);
  const loss = lossOf(dpo(pairs, { lossType: "sft", referenceFree: true }));
  assert.ok(Math.abs(await loss.item() - 7 / 3) < 1e-6);
});

onCpu("options of pairLogProbs() without their inputs are refused", () => {
  const { positions: _, ...withoutPositions } = tokens();
  assert.throws(() => pairLogProbs(withoutPositions, 1, { ldAlpha: 0.5 }), /positions/);
  assert.throws(() => pairLogProbs(tokens(), 1, { useWeighting: true }), /sumSquares/);
});
