import assert from "node:assert/strict";
import { concat, full, iota, type Tensor, tensor, valueAndGrad, where } from "../../core/mod.ts";
import { lossOf, orpo, orpoLogProbs, type PairLogProbs } from "../../rl/mod.ts";
import { type Inputs, numberOption, onCpu, pairScores, present, testCases } from "./cases.ts";

/** Rectangles [B, T] of prompts with completions as one stream; the rejected ones' prompts are padding. */
function fromTokens({ get }: Inputs): PairLogProbs {
  const [pairs, length] = get("chosen_mask").shape as [number, number];
  const pair = iota(pairs).reshape(pairs, 1).broadcastTo(pairs, length);
  const nowhere = full([pairs, length], -1, "i32");
  const segments = (prefix: string, completions: Tensor, prompts: Tensor) =>
    where(
      get(`${prefix}_completion_mask`).ne(0),
      completions,
      where(get(`${prefix}_mask`).ne(0), prompts, nowhere),
    );
  const stream = (parts: Tensor[]) => concat(parts).reshape(-1);
  const mask = stream([get("chosen_mask"), get("rejected_completion_mask")]);
  return orpoLogProbs({
    logProbs: stream([get("chosen_token_logps"), get("rejected_token_logps")]),
    mask,
    segments: stream([
      segments("chosen", pair, pair.add(2 * pairs)),
      segments("rejected", pair.add(pairs), nowhere),
    ]),
  }, pairs);
}

testCases({
  file: "orpo",
  variant: (c) => c.function,
  objective: (inputs, c) =>
    orpo(
      c.function === "orpo" ? pairScores(inputs) : fromTokens(inputs),
      present({ beta: numberOption(c, "beta") }),
    ),
});

onCpu("an empty completion gives ORPO a finite loss and gradient", async () => {
  const of = (chosen: number, rejected: number) =>
    valueAndGrad((x: { chosen: Tensor; rejected: Tensor }) =>
      lossOf(orpo({
        ...x,
        nll: tensor(1),
        chosenLengths: tensor([chosen === 0 ? 0 : 2]),
        rejectedLengths: tensor([rejected === 0 ? 0 : 2]),
      }))
    )({ chosen: tensor([chosen]), rejected: tensor([rejected]) });
  for (const [chosen, rejected] of [[0, -3], [-3, 0], [0, 0]] as const) {
    const [loss, gradient] = of(chosen, rejected);
    for (const x of [loss, gradient.chosen, gradient.rejected]) {
      assert.ok(Number.isFinite(await x.item()), `${chosen} ${rejected}`);
    }
  }
});

onCpu("ORPO without the likelihood of prompt and answer is refused", () => {
  const x = tensor([-1]);
  assert.throws(() => orpo({ chosen: x, rejected: x }), /Give nll/);
});
