/**
 * Training arguments that cannot change the numbers here, each with the line that says why, and
 * those that this version does not offer, each with the reason.
 *
 * @module
 */

import { anything, bool, choice, dict, float, int, string, strings } from "./builders.ts";
import { type Options, section } from "./option.ts";

const hub = "nothing is sent to the Hub in this version";
const oneDevice = "training runs on one device in one process";
const loader = "rows are prepared in this process and held in memory";
const f32 = "evaluation computes in float32";
const compiled = "steps are always compiled here";
const metrics = "evaluation gives the loss and the command's own metrics";
const trackio = "Trackio is not written to in this version";
const sharding = "training runs on one device in this version";

const precision = section("Memory and precision", {
  bf16_full_eval: bool({ default: false, help: "bf16 evaluation.", notice: f32 }),
  fp16_full_eval: bool({ default: false, help: "fp16 evaluation.", notice: f32 }),
  tf32: bool({
    help: "TF32 products of NVIDIA cards.",
    notice: "products are float32 throughout",
    quiet: [false],
  }),
});

const compute = section("Without effect here", {
  torch_compile: bool({ default: false, help: "Compile the model.", notice: compiled }),
  torch_compile_backend: string({ help: "Compiler.", notice: compiled }),
  torch_compile_mode: string({ help: "Compiler mode.", notice: compiled }),
  use_liger_kernel: bool({
    default: false,
    aliases: ["use_liger", "use_liger_loss"],
    help: "Fused kernels.",
    notice: "fused kernels and the chunked output head are always used here",
  }),
  liger_kernel_config: dict({ help: "Fused kernels.", notice: "fused kernels are always used" }),
  use_cache: bool({
    default: false,
    help: "Key/value cache in training.",
    notice: "training keeps no key/value cache",
  }),
  gradient_checkpointing_kwargs: dict({
    help: "Settings of gradient checkpointing.",
    notice: "there is one kind of checkpointing here, per layer, and its numbers are the same",
  }),
  torch_empty_cache_steps: int({
    help: "Empty the CUDA cache.",
    notice: "memory is planned once and there is no cache to empty",
  }),
  full_determinism: bool({
    default: false,
    help: "Deterministic kernels.",
    notice: "runs are always deterministic on one device",
  }),
  average_tokens_across_devices: bool({
    default: true,
    help: "Normalise over all devices.",
    notice: oneDevice,
  }),
  ddp_find_unused_parameters: bool({ help: "DDP.", notice: oneDevice }),
  ddp_bucket_cap_mb: int({ help: "DDP.", notice: oneDevice }),
  ddp_broadcast_buffers: bool({ help: "DDP.", notice: oneDevice }),
  ddp_static_graph: bool({ help: "DDP.", notice: oneDevice }),
  ddp_backend: string({ aliases: ["xpu_backend"], help: "DDP.", notice: oneDevice }),
  ddp_timeout: int({ default: 1800, help: "DDP.", notice: oneDevice }),
  local_rank: int({ default: -1, help: "Rank in DDP.", notice: oneDevice, quiet: [0] }),
  dataloader_num_workers: int({ default: 0, help: "Loader processes.", notice: loader }),
  dataloader_pin_memory: bool({ default: true, help: "Pinned memory.", notice: loader }),
  dataloader_persistent_workers: bool({ default: false, help: "Loader.", notice: loader }),
  dataloader_prefetch_factor: int({ help: "Loader.", notice: loader }),
  dataloader_multiprocessing_context: string({ help: "Loader.", notice: loader }),
  dataloader_in_order: bool({ default: true, help: "Loader.", notice: loader }),
  remove_unused_columns: bool({
    default: true,
    help: "Drop columns the model does not read.",
    notice: "columns that are not needed are never read",
  }),
  label_names: strings({ help: "Label columns.", notice: "labels are made from the rows" }),
  length_column_name: string({
    default: "length",
    help: "Column of lengths for group_by_length.",
    notice: "lengths are counted from the tokens",
  }),
  include_num_input_tokens_seen: choice({
    choices: ["no", "all", "non_padding"],
    synonyms: { true: "all", false: "no" },
    default: "no",
    help: "Count input tokens.",
    notice: "num_tokens, which counts them, is logged in any case",
  }),
  log_on_each_node: bool({ default: true, help: "Log on each node.", notice: oneDevice }),
  log_level_replica: string({ default: "warning", help: "Replicas' log.", notice: oneDevice }),
  logging_nan_inf_filter: bool({
    default: true,
    help: "Leave NaN out of the logged loss.",
    notice: "a NaN or infinite loss always stops the run with the step and the rows",
  }),
  project: string({ default: "huggingface", help: "Trackio project.", notice: trackio }),
  trackio_space_id: string({ help: "Trackio.", notice: trackio }),
  trackio_bucket_id: string({ help: "Trackio.", notice: trackio }),
  trackio_static_space_id: anything({ help: "Trackio.", notice: trackio }),
  prediction_loss_only: bool({ default: false, help: "Only the loss.", notice: metrics }),
  eval_do_concat_batches: bool({ default: true, help: "Join predictions.", notice: metrics }),
  eval_use_gather_object: bool({ default: false, help: "Gather objects.", notice: oneDevice }),
  eval_accumulation_steps: int({ help: "Move predictions to the host.", notice: metrics }),
  include_for_metrics: {
    ...strings({ help: "Inputs of compute_metrics.", notice: metrics }),
    default: [] as readonly string[],
  },
  batch_eval_metrics: bool({ default: false, help: "compute_metrics.", notice: metrics }),
  save_on_each_node: bool({ default: false, help: "Save on each node.", notice: oneDevice }),
  enable_jit_checkpoint: bool({
    default: false,
    help: "Checkpoint on SIGTERM.",
    notice: "Ctrl-C and SIGTERM always write a checkpoint",
  }),
  restore_callback_states_from_checkpoint: bool({
    default: false,
    help: "Restore callbacks.",
    notice: "there are no callbacks with a state; the run's own state is always restored",
  }),
  skip_memory_metrics: bool({
    default: true,
    help: "Memory report.",
    notice: "memory is not among the logged metrics",
  }),
  do_train: bool({ default: false, help: "Unused by TRL's scripts.", notice: "it always trains" }),
  do_eval: bool({
    default: false,
    help: "Unused by TRL's scripts.",
    notice: "evaluation follows eval_strategy",
  }),
  do_predict: bool({
    default: false,
    help: "Unused by TRL's scripts.",
    notice: "nothing is predicted, in TRL either",
  }),
  hub_token: string({ help: "Hub token.", notice: hub }),
  hub_private_repo: bool({ help: "Hub.", notice: hub }),
  hub_model_id: string({ help: "Hub repository.", notice: hub }),
  hub_strategy: string({ default: "every_save", help: "Hub.", notice: hub }),
  hub_always_push: bool({ default: false, help: "Hub.", notice: hub }),
  hub_revision: string({ help: "Hub.", notice: hub }),
});

const unavailable = section("Not in this version", {
  push_to_hub: bool({
    default: false,
    help: "Upload the model.",
    refused: "uploading comes with a later version; upload output_dir with the Hub's own client",
  }),
  optim_target_modules: strings({
    help: "Layers of GaLore and the like.",
    refused: "the optimisers that use it are not in this version",
  }),
  label_smoothing_factor: float({
    default: 0,
    help: "Label smoothing.",
    refused: "the losses of this version take no label smoothing",
  }),
  auto_find_batch_size: bool({
    default: false,
    help: "Halve the batch when memory runs out.",
    refused: "set per_device_train_batch_size and gradient_accumulation_steps, so that a run can " +
      "be repeated",
  }),
  dataloader_drop_last: bool({
    default: false,
    help: "Drop the last batch of an epoch if it is not full.",
    refused: "the last batch is always used, and counts by its tokens",
  }),
  accelerator_config: anything({ help: "accelerate.", refused: sharding }),
  parallelism_config: anything({ help: "accelerate.", refused: sharding }),
  fsdp: anything({ help: "FSDP.", refused: sharding }),
  fsdp_config: anything({ help: "FSDP.", refused: sharding }),
  deepspeed: anything({ help: "DeepSpeed.", refused: sharding }),
});

const retired = section("Older names", {
  overwrite_output_dir: bool({
    help: "Removed from transformers.",
    notice: "checkpoints in output_dir are kept, and replaced step by step as they are written",
    quiet: [false],
  }),
  save_safetensors: bool({
    default: true,
    help: "Removed from transformers.",
    refused: "weights are always written as safetensors",
  }),
  logging_dir: string({
    help: "Directory of TensorBoard's logs.",
    notice: "TensorBoard is not written to in this version",
  }),
  include_tokens_per_second: bool({
    default: false,
    help: "Removed from transformers.",
    notice: "tokens per second are always shown",
  }),
  use_mps_device: bool({
    default: false,
    help: "Removed from transformers.",
    notice: "--device webgpu is Metal on a Mac, and the default where there is a GPU",
  }),
  half_precision_backend: string({ help: "Removed from transformers.", notice: f32 }),
  adafactor: bool({
    default: false,
    help: "Removed from transformers.",
    refused: "give --optim adafactor instead",
  }),
  push_to_hub_model_id: string({ help: "Removed from transformers.", notice: hub }),
  push_to_hub_organization: string({ help: "Removed from transformers.", notice: hub }),
  push_to_hub_token: string({ help: "Removed from transformers.", notice: hub }),
});

/** Arguments without effect here and arguments not offered. */
export const inertOptions = {
  ...precision,
  ...compute,
  ...unavailable,
  ...retired,
} satisfies Options;
