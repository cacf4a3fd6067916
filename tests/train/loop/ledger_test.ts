/** What a run keeps account of, without running it. */

import assert from "node:assert/strict";
import {
  evaluated,
  judged,
  logged,
  meanLoss,
  withCheckpoint,
  withRollout,
  withSettled,
  withTokens,
} from "../../../train/loop/ledger.ts";
import { startMetricSchedule } from "../../../train/loop/metric_schedule.ts";
import { initialRunState, type RunState } from "../../../train/loop/run_state.ts";

const fresh: RunState = initialRunState({ device: "CPU", sampling: "", metricSchedule: null });

const at = (step: number, state: RunState = fresh): RunState => ({ ...state, step });

Deno.test("a row averages losses over steps, metrics over batches, and has the last step's norm", () => {
  const steps = [
    { microBatches: [{ loss: 1, entropy: 2 }, { loss: 2, entropy: 4 }], gradNorm: 7 },
    { microBatches: [{ loss: 5, entropy: 9, other: NaN }], gradNorm: 8 },
  ];
  const { values, state } = logged(steps.reduce(withSettled, withTokens(at(2), 30)), {
    epoch: 0.5,
    learningRate: 0.1,
  });
  assert.deepEqual(values, {
    loss: 4,
    grad_norm: 8,
    learning_rate: 0.1,
    entropy: 5,
    num_tokens: 30,
  });
  assert.deepEqual(
    Object.keys(values),
    ["loss", "grad_norm", "learning_rate", "entropy", "num_tokens"],
  );
  assert.deepEqual(state.logHistory, [{ ...values, epoch: 0.5, step: 2 }]);
  assert.equal(state.window.steps, 0);
  assert.equal(meanLoss(state), 4);
});

Deno.test("what was sampled counts once, weighed by its count", () => {
  const once = withRollout(fresh, { metrics: { reward: 1, "#reward": 3 }, tokens: 11 });
  const state = withRollout(once, { metrics: { reward: 5, "#reward": 1 }, tokens: 4 });
  assert.equal(state.tokens, 15);
  const { values } = logged(withSettled(state, { microBatches: [{ loss: 0 }], gradNorm: 0 }), {
    epoch: 1,
    learningRate: 1,
  });
  assert.equal(values["reward"], 2);
});

Deno.test("an evaluation's row has TRL's keys in TRL's order", () => {
  const found = { eval_loss: 1, eval_accuracy: 0.5, eval_entropy: 3, eval_runtime: 2 };
  const { values, state } = evaluated(withTokens(at(4), 9), 1, found);
  assert.deepEqual(
    Object.keys(values),
    ["eval_loss", "eval_runtime", "eval_entropy", "eval_num_tokens", "eval_accuracy"],
  );
  assert.equal(values["eval_num_tokens"], 9);
  assert.equal(state.logHistory[0]!.step, 4);
});

Deno.test("the best evaluation is the first that beats all before, less or more being better", () => {
  const best = (greaterIsBetter: boolean, losses: readonly number[]) => {
    const rule = { metric: "eval_loss", greaterIsBetter };
    let state = fresh;
    const beats = losses.map((loss, i) => {
      const after = judged(at(i + 1, state), rule, { eval_loss: loss });
      state = after.state;
      return after.isBest;
    });
    return [beats, state.best?.step];
  };
  assert.deepEqual(best(false, [3, 2, 2, 4, 1]), [[true, true, false, false, true], 5]);
  assert.deepEqual(best(true, [3, 2, 3, 4, 1]), [[true, false, false, true, false], 4]);
  assert.equal(judged(fresh, null, {}).isBest, false);
  assert.throws(
    () => judged(fresh, { metric: "eval_bleu", greaterIsBetter: true }, { eval_loss: 1 }),
    /metric_for_best_model is eval_bleu, .* It gives eval_loss\./,
  );
});

Deno.test("until the best step is saved, its checkpoint is that of the best one before", () => {
  const rule = { metric: "eval_loss", greaterIsBetter: false };
  const first = withCheckpoint(judged(at(2), rule, { eval_loss: 2 }).state, "checkpoint-2");
  assert.deepEqual(first.best, { metric: 2, step: 2, checkpoint: "checkpoint-2" });
  const second = judged(at(4, first), rule, { eval_loss: 1 }).state;
  assert.deepEqual(second.best, { metric: 1, step: 4, checkpoint: "checkpoint-2" });
  assert.equal(withCheckpoint(at(5, second), "checkpoint-5").best?.checkpoint, "checkpoint-2");
});

Deno.test("a schedule that follows the evaluation takes note of each, the best or not", () => {
  const metricSchedule = startMetricSchedule("reduce_lr_on_plateau", 1, { patience: 0 });
  const rule = { metric: "eval_loss", greaterIsBetter: false };
  const first = judged({ ...fresh, metricSchedule }, rule, { eval_loss: 1 }).state;
  const second = judged(first, rule, { eval_loss: 2 }).state;
  assert.equal(first.metricSchedule!.learningRate, 1);
  assert.ok(Math.abs(second.metricSchedule!.learningRate - 0.1) < 1e-12);
});
