import assert from "node:assert/strict";
import { iota, logitStats, logSoftmax, type Tensor, tensor, where } from "../../core/mod.ts";
import { dft, nll, type TokenLogProbs } from "../../rl/mod.ts";
import {
  type Inputs,
  type LossCase,
  nameOption,
  numberOption,
  onCpu,
  present,
  testCases,
  windowOfTokens,
} from "./cases.ts";

/** Targets [B·(T − 1)] of logits or hidden states [B, T, D], and the rows that predict them. */
function shifted({ get }: Inputs, name: string): { rows: Tensor; targets: Tensor } {
  const x = get(name);
  return {
    rows: x.slice(0, -1, 1).reshape(-1, x.shape[2]!),
    targets: get("labels").cast("i32").slice(1, undefined, 1).reshape(-1),
  };
}

function fromLogits(inputs: Inputs): TokenLogProbs {
  const { rows, targets } = shifted(inputs, "logits");
  const logP = logSoftmax(rows);
  const mask = targets.ge(0).cast("f32");
  const hit = targets.unsqueeze(1).eq(iota(rows.shape[1]!));
  return {
    logProbs: where(hit, logP, 0).sum(1),
    mask,
    segments: where(targets.ge(0), 0, -1),
    entropies: logP.exp().mul(logP).sum(1).neg(),
    meanLogProbs: logP.mean(1),
    predictions: rows.argMax(),
    targets,
  };
}

function fromHead(inputs: Inputs, c: LossCase): TokenLogProbs {
  const { rows, targets } = shifted(inputs, "hidden");
  const head = {
    weight: inputs.get("head"),
    bias: inputs.find("bias") ?? null,
    scale: numberOption(c, "logit_scale") ?? null,
    softCap: numberOption(c, "final_logit_softcapping") ?? null,
  };
  const stats = logitStats(rows, head, targets);
  return {
    logProbs: stats.logProb,
    mask: targets.ge(0).cast("f32"),
    segments: where(targets.ge(0), 0, -1),
    entropies: stats.entropy,
    predictions: stats.argMax,
    targets,
  };
}

testCases({
  file: "sft",
  variant: (c) =>
    `${c.function} ${nameOption(c, "loss_type")} ${numberOption(c, "label_smoothing_factor")}`,
  objective: (inputs, c) => {
    const tokens = c.function === "sft" ? fromLogits(inputs) : fromHead(inputs, c);
    if (nameOption(c, "loss_type") === "dft") return dft(tokens);
    const labelSmoothing = numberOption(c, "label_smoothing_factor");
    return nll(tokens, present({ labelSmoothing }));
  },
  window: windowOfTokens,
});

onCpu("label smoothing without the vocabulary's means is refused", () => {
  const x = tensor([-1]);
  assert.throws(
    () => nll({ logProbs: x, mask: x, segments: x.cast("i32") }, { labelSmoothing: 0.1 }),
    /meanLogProbs/,
  );
});
