import assert from "node:assert/strict";
import { UserError } from "../../../core/errors.ts";
import {
  metricScheduleNames,
  startMetricSchedule,
  stepMetricSchedule,
} from "../../../train/loop/metric_schedule.ts";
import {
  lrSchedule,
  resolveInterval,
  resolveWarmupSteps,
  scheduleFactor,
  scheduleNames,
} from "../../../train/loop/schedule.ts";
import fixture from "../../fixtures/schedules.json" with { type: "json" };

const learningRate: number = fixture.learning_rate;
const totalSteps: number = fixture.num_training_steps;

function assertNear(actual: number, expected: number, label: string): void {
  const bound = 1e-9 * Math.abs(expected) + 1e-18;
  assert.ok(Math.abs(actual - expected) <= bound, `${label}: ${actual}, expected ${expected}`);
}

Deno.test("every schedule by step gives the rates of transformers", () => {
  const seen = new Set<string>();
  for (
    const { lr_scheduler_type: name, lr_scheduler_kwargs, rates, ...rest } of fixture.schedules
  ) {
    if (!scheduleNames.includes(name)) continue;
    seen.add(name);
    const warmupSteps = rest.warmup_steps ?? NaN;
    const kwargs: Record<string, unknown> = { ...lr_scheduler_kwargs };
    const factor = lrSchedule(name, { warmupSteps, totalSteps, learningRate, kwargs });
    assert.ok(rates.length > totalSteps);
    rates.forEach((rate, step) =>
      assertNear(factor(step) * learningRate, rate, `${name} ${JSON.stringify(kwargs)} ${step}`)
    );
  }
  assert.deepEqual([...seen].sort(), [...scheduleNames].sort());
});

Deno.test("the schedules that follow a metric give the rates of PyTorch and transformers", () => {
  let cases = 0;
  for (const { lr_scheduler_type, lr_scheduler_kwargs, rates, metric } of fixture.schedules) {
    const name = metricScheduleNames.find((known) => known === lr_scheduler_type);
    if (name === undefined || metric === undefined) continue;
    cases++;
    let state = startMetricSchedule(name, learningRate, { ...lr_scheduler_kwargs });
    rates.forEach((rate, step) => {
      assertNear(state.learningRate, rate, `${name} ${cases} ${step}`);
      // Through JSON, as a checkpoint holds it.
      state = stepMetricSchedule(JSON.parse(JSON.stringify(state)), metric[step]!);
    });
  }
  assert.equal(cases, 4);
});

Deno.test("greedy starts again from the first rate after enough falls at the lowest", () => {
  const kwargs = { patience: 0, factor: 0.5, min_lr: 0.5, reset_start: 2 };
  let state = startMetricSchedule("greedy", 1, kwargs);
  const rates = [1, 2, 2, 2, 2, 2].map((metric) => {
    state = stepMetricSchedule(state, metric);
    return state.learningRate;
  });
  // The first is an improvement, held by max_lr 1; then a fall to 0.5 counts once, a second resets.
  assert.deepEqual(rates, [1, 0.5, 1, 1, 0.5, 1]);
});

Deno.test("a schedule refuses a setting it does not know and names those it has", () => {
  const options = { warmupSteps: 0, totalSteps: 10, learningRate: 1 };
  assert.throws(
    () => lrSchedule("cosine", { ...options, kwargs: { num_cycle: 1 } }),
    (error) => error instanceof UserError && /num_cycle .*It has: num_cycles/.test(error.message),
  );
  assert.throws(() => lrSchedule("linear", { ...options, kwargs: { a: 1 } }), /It has none/);
  assert.throws(() => startMetricSchedule("greedy", 1, { x: 1 }), /no setting x/);
});

Deno.test("a schedule says which settings it misses or cannot read", () => {
  const options = { warmupSteps: 0, totalSteps: 10, learningRate: 1e-3 };
  const build = (name: string, kwargs: Record<string, unknown>) => () =>
    lrSchedule(name, { ...options, kwargs });
  assert.throws(build("warmup_stable_decay", {}), /needs num_decay_steps/);
  assert.throws(build("cosine_with_min_lr", {}), /exactly one of min_lr and min_lr_rate/);
  assert.throws(build("cosine_with_min_lr", { min_lr: 1, min_lr_rate: 1 }), /exactly one/);
  assert.throws(build("polynomial", { lr_end: 1 }), /must be below the learning rate/);
  assert.throws(build("cosine", { num_cycles: "many" }), /"many"\. Expected a number/);
  assert.throws(
    build("warmup_stable_decay", { num_decay_steps: 1, decay_type: "square" }),
    /one of linear, cosine, 1-sqrt/,
  );
  assert.throws(build("triangular", {}), /no learning-rate schedule "triangular"/);
  assert.throws(() => startMetricSchedule("reduce_lr_on_plateau", 1, { factor: 2 }), /below 1/);
});

Deno.test("a setting may be text, as YAML and the command line give it", () => {
  const options = { warmupSteps: 0, totalSteps: 10, learningRate: 1, kwargs: { num_cycles: "1" } };
  assert.equal(scheduleFactor("cosine", 10, options), 1);
});

Deno.test("warmup_steps below 1 is a share of the run, rounded up", () => {
  assert.equal(resolveWarmupSteps(0, 100), 0);
  assert.equal(resolveWarmupSteps(0.03, 10), 1);
  // 0.07 * 100 is 7.000000000000001 in binary, and Python's ceil gives 8 as well.
  assert.equal(resolveWarmupSteps(0.07, 100), 8);
  assert.equal(resolveWarmupSteps(1, 100), 1);
  assert.equal(resolveWarmupSteps(7.9, 100), 7);
});

Deno.test("an interval below 1 is a share of the run, rounded up", () => {
  assert.equal(resolveInterval(10, 7), 10);
  assert.equal(resolveInterval(1, 7), 1);
  assert.equal(resolveInterval(0.25, 7), 2);
});
