/** What is due when: the dates of a run, without running it. */

import assert from "node:assert/strict";
import { type Calendar, calendarOf, type Due } from "../../../train/loop/calendar.ts";
import { runLength, type TrainOptions } from "../../../train/loop/options.ts";
import { plainOptions } from "../plain_options.ts";

interface Settings {
  readonly batches?: number;
  readonly maxSteps?: number;
  readonly epochs?: number;
  readonly accumulation?: number;
  readonly rewound?: number;
  readonly logging?: Partial<TrainOptions["logging"]>;
  readonly evaluation?: Partial<TrainOptions["evaluation"]>;
  readonly saving?: Partial<TrainOptions["saving"]>;
}

/** The calendar of a run over five micro-batches an epoch, of seven steps. */
function calendar(settings: Settings = {}): Calendar {
  const { batches = 5, epochs, accumulation = 1, rewound } = settings;
  const { logging, evaluation, saving } = settings;
  const options: TrainOptions = {
    ...plainOptions,
    maxSteps: epochs === undefined ? settings.maxSteps ?? 7 : -1,
    numTrainEpochs: epochs ?? 1,
    gradientAccumulationSteps: accumulation,
    logging: { ...plainOptions.logging, strategy: "no", ...logging },
    evaluation: { ...plainOptions.evaluation, strategy: "no", ...evaluation },
    saving: { ...plainOptions.saving, strategy: "no", ...saving },
  };
  return calendarOf(options, runLength(batches, options), rewound);
}

/** The steps after which something is due. */
function datesOf(what: keyof Due, settings: Settings): number[] {
  const dates = calendar(settings);
  const steps = Array.from({ length: dates.totalSteps }, (_, i) => i + 1);
  return steps.filter((step) => dates.dueAfter(step)[what]);
}

Deno.test("logging comes every so many steps, at a share of them, at the end of epochs or never", () => {
  const cases: readonly [Settings["logging"], readonly number[]][] = [
    [{ strategy: "steps", steps: 3 }, [3, 6]],
    [{ strategy: "steps", steps: 3, firstStep: true }, [1, 3, 6]],
    [{ strategy: "steps", steps: 0.25 }, [2, 4, 6]],
    [{ strategy: "epoch" }, [5, 7]],
    [{ strategy: "epoch", firstStep: true }, [1, 5, 7]],
    [{ strategy: "no" }, []],
  ];
  for (const [logging, expected] of cases) {
    assert.deepEqual(datesOf("log", { logging: logging! }), expected, JSON.stringify(logging));
  }
});

Deno.test("evaluation comes after the last step too, but not before its delay", () => {
  const cases: readonly [Settings["evaluation"], readonly number[]][] = [
    [{ strategy: "steps", steps: 2 }, [2, 4, 5]],
    [{ strategy: "steps", steps: 0.5 }, [3, 5]],
    [{ strategy: "steps", steps: 2, delay: 3 }, [4, 5]],
    [{ strategy: "steps", steps: 4 }, [4, 5]],
    [{ strategy: "steps", steps: 2, delay: 9 }, []],
    [{ strategy: "epoch" }, [2, 4, 5]],
    [{ strategy: "epoch", delay: 2 }, [4, 5]],
    [{ strategy: "no", onStart: true }, []],
  ];
  for (const [evaluation, expected] of cases) {
    const settings = { batches: 2, maxSteps: 5, evaluation: evaluation! };
    assert.deepEqual(datesOf("evaluate", settings), expected, JSON.stringify(evaluation));
  }
});

Deno.test("an evaluation comes before the first step where it is asked for, and only there", () => {
  const onStart = calendar({ evaluation: { onStart: true } });
  assert.deepEqual([0, 1, 3].map(onStart.evaluatesFirst), [true, false, false]);
  assert.equal(calendar().evaluatesFirst(0), false);
});

Deno.test("checkpoints come with the last step too; those of the best evaluation are not the calendar's", () => {
  const cases: readonly [Settings["saving"], readonly number[]][] = [
    [{ strategy: "steps", steps: 3 }, [3, 6, 7]],
    [{ strategy: "steps", steps: 0.5 }, [4, 7]],
    [{ strategy: "epoch" }, [5, 7]],
    [{ strategy: "best", steps: 2 }, []],
    [{ strategy: "no", steps: 2 }, []],
  ];
  for (const [saving, expected] of cases) {
    assert.deepEqual(datesOf("save", { saving: saving! }), expected, JSON.stringify(saving));
  }
});

Deno.test("a run is over after its steps, or after its epochs, which may have a fraction", () => {
  const lengths = (settings: Settings) => {
    const { totalSteps, epochs, isOver } = calendar(settings);
    assert.deepEqual([isOver(totalSteps - 1), isOver(totalSteps)], [false, true]);
    return [totalSteps, epochs];
  };
  assert.deepEqual(lengths({ epochs: 1.3 }), [7, 2]);
  assert.deepEqual(lengths({ maxSteps: 3 }), [3, 1]);
  assert.deepEqual(lengths({ epochs: 0.2 }), [1, 1]);
  assert.deepEqual(
    lengths({ epochs: 2, accumulation: 4 }),
    [4, 2],
    "an epoch's last step is short",
  );
});

Deno.test("rows are taken in the order of the epoch, and a short window ends it", () => {
  const dates = calendar({ epochs: 2, accumulation: 2 });
  assert.deepEqual([0, 1, 2, 3, 4, 5].map(dates.windowAfter), [
    { epoch: 0, first: 0 },
    { epoch: 0, first: 2 },
    { epoch: 0, first: 4 },
    { epoch: 1, first: 0 },
    { epoch: 1, first: 2 },
    { epoch: 1, first: 4 },
  ]);
  assert.deepEqual([0, 1, 2, 3, 4, 6].map(dates.epochAfter), [0, 0.4, 0.8, 1, 1.4, 2]);
});

Deno.test("rows that begin anew shift epochs, not the dates that count steps", () => {
  // Resumed after the second step of five an epoch.
  const settings: Settings = { maxSteps: 10, rewound: 2 };
  const dates = calendar(settings);
  assert.deepEqual(dates.windowAfter(2), { epoch: 0, first: 0 });
  assert.deepEqual([2, 3, 7].map(dates.epochAfter), [0, 0.2, 1]);
  assert.deepEqual(datesOf("log", { ...settings, logging: { strategy: "epoch" } }), [2, 7, 10]);
  assert.deepEqual(
    datesOf("log", { ...settings, logging: { strategy: "steps", steps: 5 } }),
    [5, 10],
  );
});
