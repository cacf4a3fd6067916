/** `plumb_state.json`: what a run is in the middle of, whose it is, and the files that belong to it. @module */

import {
  count,
  fields,
  list,
  mapping,
  measured,
  misfit,
  number,
  oneOf,
  optional,
  orNull,
  pair,
  positive,
  type Reader,
  readJson,
  text,
  writeJson,
} from "./checked_json.ts";
import { type FileSums, fileSums } from "./file_sums.ts";
import { type Fingerprint, fingerprint } from "./fingerprint.ts";
import type { MetricSchedule } from "../loop/metric_schedule.ts";
import type { RunState } from "../loop/run_state.ts";
import type { SavedGeneration } from "../sampling/rollout.ts";
import { logRow } from "./trainer_state.ts";

/** The name of the file in a checkpoint. */
export const stateFile = "plumb_state.json";

/** What the file holds beside the state; absent in files of before there was such. */
export interface SavedRun {
  /** What the run is in the middle of. */
  readonly state: RunState;
  /** What the run is made of. */
  readonly fingerprint: Fingerprint | undefined;
  /** The checkpoint's files of tensors. */
  readonly files: FileSums | undefined;
}

const metricSchedule: Reader<MetricSchedule> = fields({
  rules: fields({
    name: oneOf("reduce_lr_on_plateau", "greedy"),
    mode: oneOf("min", "max"),
    factor: positive,
    patience: number,
    threshold: number,
    thresholdMode: oneOf("rel", "abs"),
    cooldown: number,
    warmup: number,
    minRate: positive,
    maxRate: positive,
    epsilon: number,
    window: positive,
    resetStart: number,
    initialRate: positive,
  }),
  learningRate: positive,
  best: orNull(measured),
  badEvaluations: count,
  goodEvaluations: count,
  cooldownLeft: positive,
  warmupLeft: positive,
  untilReset: number,
  recent: list(measured),
});

const generation: Reader<SavedGeneration> = fields({
  number: count,
  generation: fields({
    prompts: list(fields({ row: count, ids: list(count) })),
    samples: list(fields({
      prompt: count,
      ids: list(count),
      values: mapping(measured),
      tokenValues: mapping(list(measured)),
    })),
    carried: optional(mapping(measured)),
  }),
});

const runState: Reader<RunState> = fields({
  run: optional(text),
  step: count,
  window: fields({
    loss: number,
    steps: count,
    metrics: mapping(pair(measured, positive)),
    gradNorm: orNull(positive),
  }),
  totalLoss: number,
  tokens: count,
  logHistory: list(logRow),
  best: orNull(fields({ metric: measured, step: count, checkpoint: orNull(text) })),
  rewound: count,
  metricSchedule: orNull(metricSchedule),
  device: text,
  sampling: text,
  generation: optional(orNull(generation)),
});

const savedRun: Reader<SavedRun> = (value, place) => {
  const state = runState(value, place);
  const { step, rewound, best } = state;
  const within = (field: string, number: number, most: number, expected: string) => {
    if (number > most) throw misfit({ ...place, field }, number, expected);
  };
  within("rewound", rewound, step, `at most the step, ${step}`);
  within("best.step", best?.step ?? 0, step, `at most the step, ${step}`);
  const { prompts, samples } = state.generation?.generation ?? { prompts: [], samples: [] };
  samples.forEach(({ prompt }, i) =>
    within(
      `generation.generation.samples.${i}.prompt`,
      prompt,
      prompts.length - 1,
      `the number of one of ${prompts.length} prompts, from 0`,
    )
  );
  const others = fields({ fingerprint: optional(fingerprint), files: optional(fileSums) })(
    value,
    place,
  );
  return { state, fingerprint: others.fingerprint, files: others.files };
};

/** The text of the file. */
export function formatSavedRun({ state, ...others }: SavedRun): string {
  return writeJson({ ...state, ...others });
}

/**
 * Reads what {@link formatSavedRun} wrote; `path` is for messages.
 *
 * @throws {UserError} When the text is not JSON, or a field has the wrong type or range.
 */
export function parseSavedRun(text: string, path: string): SavedRun {
  return readJson(text, savedRun, { path, what: "the state of a run" });
}
