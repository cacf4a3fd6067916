/**
 * TRL's ScriptArguments and dataset mixture, and the options of the command itself.
 *
 * @module
 */

import { anything, bool, device, int, string } from "./builders.ts";
import { type Options, section, type Values } from "./option.ts";

const mixture =
  "mixtures of datasets come with a later version; join the files into one and give " +
  "it as dataset_name";
const processes = "training runs in one process on one device in this version";

/** Where the rows come from. */
export const datasetOptions = section("Data", {
  dataset_name: string({
    required: true,
    shown: "PATH",
    help: "A .jsonl, .json, .csv or .txt file, a directory with train and test files, or a name " +
      "on the Hub (organisation/name, also @revision).",
  }),
  dataset_config: string({
    help: "Which of the configs that the README.md of the dataset declares.",
  }),
  dataset_train_split: string({
    default: "train",
    aliases: ["dataset_train_name"],
    help: "Split (file name) to train on, where dataset_name is a directory.",
  }),
  dataset_test_split: string({
    default: "test",
    aliases: ["dataset_test_name"],
    help: "Split (file name) to evaluate on; read only if eval_strategy is not no.",
  }),
  dataset_streaming: bool({
    default: false,
    aliases: ["streaming"],
    help: "Read rows while training.",
    refused: "rows are read before training starts in this version; leave out what does not fit " +
      "in memory",
  }),
  datasets: anything({ help: "Mixture of datasets (YAML).", refused: mixture }),
  test_split_size: anything({
    help: "Share of rows held out for evaluation.",
    refused: "give the evaluation rows as a test file in the directory dataset_name",
  }),
  ignore_bias_buffers: bool({
    default: false,
    help: "Workaround for distributed PyTorch.",
    notice: "there are no such buffers here",
  }),
}) satisfies Options;

/** The command itself: settings file, device, diagnosis. */
export const commandOptions = section("Command", {
  config: string({
    shown: "FILE",
    help: "YAML file of options; flags win over it. Its `env` mapping is put in the environment.",
  }),
  device: device({
    default: "auto",
    help:
      "Where to compute; auto is a hardware GPU if there is one, else the CPU. Behind webgpu: " +
      "may stand high-performance, low-power or a part of the adapter's name. Not in TRL.",
  }),
  use_cpu: bool({
    default: false,
    aliases: ["no_cuda"],
    help: "The same as --device cpu.",
  }),
  threads: int({
    min: 1,
    help: "Threads of the CPU device; unset means one per core. Not in TRL.",
  }),
  show_data: int({
    default: 0,
    min: 0,
    help: "Print this many prepared rows with the tokens that carry loss. Not in TRL.",
  }),
  dry_run: bool({
    default: false,
    help: "Say how much memory a step takes, and stop before the first. Not in TRL.",
  }),
  debug: bool({
    default: false,
    help: "Show stack traces. TRL's underflow_overflow is not needed: a NaN or infinite loss " +
      "always stops the run.",
  }),
  accelerate_config: string({ help: "Launcher configuration.", refused: processes }),
  num_processes: int({ default: 1, help: "Processes.", refused: processes }),
}) satisfies Options;

/** The values of {@link datasetOptions}. */
export type DatasetValues = Values<typeof datasetOptions>;

/** The values of {@link commandOptions}. */
export type CommandValues = Values<typeof commandOptions>;
