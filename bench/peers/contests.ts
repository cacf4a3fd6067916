/** Who is compared with whom, at what. @module */

import type { BackendName } from "../backend.ts";
import type { Command } from "./process.ts";
import {
  dpoRows,
  groupSize,
  grpoPrompts,
  newTokens,
  sampledRows,
  sftRows,
  type Workload,
} from "./workload.ts";

/** Where things are. */
export interface Setting {
  /** A Python with TRL, transformers and torch; null leaves those contestants out. */
  readonly python: string | null;
  readonly workload: Workload;
  /** A directory for what runs write. */
  readonly scratch: string;
  /** Less of everything, to see that it works. */
  readonly quick: boolean;
}

/** One who takes part. */
export interface Contestant {
  /** Unique in its contest. */
  readonly name: string;
  /** Null where this setting has no such contestant. */
  readonly command: (setting: Setting) => Command | null;
}

/** Contestants that do the same work in turns. */
export interface Contest {
  /** What `--only` chooses by. */
  readonly name: string;
  readonly title: string;
  readonly contestants: readonly Contestant[];
}

const here = (name: string) => new URL(name, import.meta.url).pathname;

/** Steps of theirs; ours are quicker, and take all steps of the workload. */
const theirSteps = 5;

/** Steps of TRL's GRPO, which takes half a minute for one: two are counted. */
const theirGrpoSteps = 4;

function python(args: (setting: Setting) => readonly (string | number)[]) {
  return (setting: Setting): Command | null =>
    setting.python === null ? null : {
      path: setting.python,
      args: args(setting).map(String),
      env: {
        // Nothing is fetched, and nothing is left behind.
        ...{ HF_HUB_OFFLINE: "1", TOKENIZERS_PARALLELISM: "false", PYTHONWARNINGS: "ignore" },
        ...{ TMPDIR: setting.scratch, HF_DATASETS_CACHE: `${setting.scratch}/datasets` },
      },
    };
}

function trainer(
  method: string,
  rows: (workload: Workload) => string,
  dtype: string,
  steps: number,
) {
  return python(({ workload, quick }) => [
    ...[here("train.py"), method, workload.model, rows(workload)],
    ...[quick ? 3 : steps, dtype],
  ]);
}

/** Our command line, as a user calls it. */
function plumb(
  command: string,
  rows: (workload: Workload) => string,
  flags: Readonly<Record<string, string | number>>,
  blas = true,
) {
  return ({ workload, scratch }: Setting): Command => ({
    path: Deno.execPath(),
    args: [
      ...["run", "-A", here("../../cli/main.ts"), command],
      ...Object.entries({
        model_name_or_path: workload.model,
        dataset_name: rows(workload),
        output_dir: `${scratch}/plumb`,
        device: "cpu",
        max_steps: workload.steps,
        logging_steps: 1,
        save_strategy: "no",
        train_sampling_strategy: "sequential",
        ...flags,
      }).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ],
    env: { TMPDIR: scratch, ...(blas ? {} : { PLUMB_BLAS: "0" }) },
  });
}

const side = 1024;

/** Products on a software adapter take a third of a second with others. */
function rounds(device: string, quick: boolean): number {
  return quick ? 4 : device === "webgpu" ? 8 : 40;
}

function product(device: BackendName) {
  return ({ quick }: Setting): Command => ({
    path: Deno.execPath(),
    args: [
      ...["run", "-A", here("product.ts"), device],
      ...[side, rounds(device, quick)].map(String),
    ],
  });
}

function jaxJs(device: "wasm" | "webgpu") {
  return ({ quick }: Setting): Command => ({
    path: Deno.execPath(),
    args: [
      ...["run", "-A", "--no-lock", "--quiet", here("jax_js.ts"), device],
      ...[side, rounds(device, quick)].map(String),
    ],
  });
}

/** All contests. */
export const contests: readonly Contest[] = [
  {
    name: "peer-product",
    title: `f32 product, ${side} cubed`,
    contestants: [
      { name: "plumb cpu+blas", command: product("cpu+blas") },
      { name: "plumb cpu", command: product("cpu") },
      { name: "plumb webgpu", command: product("webgpu") },
      {
        name: "torch",
        command: python((
          { quick },
        ) => [here("product.py"), side, rounds("cpu", quick)]),
      },
      { name: "jax-js wasm", command: jaxJs("wasm") },
      { name: "jax-js webgpu", command: jaxJs("webgpu") },
    ],
  },
  {
    name: "peer-sft",
    title: `SFT step, ${sftRows} rows of prompt and completion`,
    contestants: [
      {
        name: "plumb cpu+blas",
        command: plumb("sft", ({ sft }) => sft, { per_device_train_batch_size: sftRows }),
      },
      {
        name: "plumb cpu",
        command: plumb("sft", ({ sft }) => sft, { per_device_train_batch_size: sftRows }, false),
      },
      { name: "TRL f32", command: trainer("sft", ({ sft }) => sft, "float32", theirSteps) },
      { name: "TRL bf16", command: trainer("sft", ({ sft }) => sft, "bfloat16", theirSteps) },
    ],
  },
  {
    name: "peer-dpo",
    title: `DPO step, ${dpoRows} pairs`,
    contestants: [
      {
        name: "plumb cpu+blas",
        command: plumb("dpo", ({ dpo }) => dpo, { per_device_train_batch_size: dpoRows }),
      },
      { name: "TRL f32", command: trainer("dpo", ({ dpo }) => dpo, "float32", theirSteps) },
    ],
  },
  {
    name: "peer-sampling",
    title: `Sampling, ${sampledRows} prompts, ${newTokens} tokens each`,
    contestants: [
      {
        name: "plumb cpu+blas",
        command: ({ workload, quick }) => ({
          path: Deno.execPath(),
          args: [
            ...["run", "-A", here("sampling.ts"), workload.model, workload.prompts],
            ...[sampledRows, newTokens, quick ? 3 : 6].map(String),
          ],
        }),
      },
      {
        name: "transformers f32",
        command: python(({ workload, quick }) => [
          ...[here("generate.py"), workload.model, workload.prompts],
          ...[sampledRows, newTokens, quick ? 3 : 6],
        ]),
      },
    ],
  },
  {
    name: "peer-grpo",
    title: `GRPO step, ${grpoPrompts} prompts, ${groupSize} completions of ${newTokens} tokens`,
    contestants: [
      {
        name: "plumb cpu+blas",
        command: plumb("grpo", ({ prompts }) => prompts, {
          per_device_train_batch_size: grpoPrompts * groupSize,
          num_generations: groupSize,
          max_completion_length: newTokens,
          // All answers have the same number of tokens, and steps the same rows.
          generation_kwargs: JSON.stringify({ min_new_tokens: newTokens }),
          shuffle_dataset: "false",
          reward_funcs: `${here("reward.ts")}:distinctWords`,
        }),
      },
      {
        name: "TRL f32",
        command: trainer("grpo", ({ prompts }) => prompts, "float32", theirGrpoSteps),
      },
    ],
  },
];
