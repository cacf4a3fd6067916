/**
 * The training loop, its settings, checkpoints and reporters; models as directories.
 *
 * @example
 * ```ts
 * import { lrSchedule } from "@plumb/plumb/train";
 *
 * const factor = lrSchedule("linear", { warmupSteps: 0, totalSteps: 10, learningRate: 1e-3 });
 * console.log(factor(5)); // 0.5
 * ```
 *
 * @module
 */

export * from "./files/adapter_files.ts";
export * from "./files/adapter_names.ts";
export * from "./files/adapter_vocabulary.ts";
export * from "./sampling/answer_metrics.ts";
export * from "./report/answer_reporters.ts";
export * from "./sampling/answers.ts";
export * from "./loop/batch_source.ts";
export * from "./files/checkpoint.ts";
export type { Place } from "./files/checked_json.ts";
export type { FileSum, FileSums } from "./files/file_sums.ts";
export type { Fingerprint, RowsPrint } from "./files/fingerprint.ts";
export type { SavedRun } from "./files/run_state_file.ts";
export * from "./files/classifier_directory.ts";
export * from "./tasks/completion_task.ts";
export * from "./tasks/completions.ts";
export * from "./loop/evaluate.ts";
export * from "./tasks/following.ts";
export * from "./tasks/gkd.ts";
export * from "./sampling/group_rollout.ts";
export * from "./tasks/group_task.ts";
export * from "./tasks/grpo.ts";
export * from "./loop/loop.ts";
export * from "./loop/memory.ts";
export * from "./loop/metric_queue.ts";
export * from "./loop/metric_schedule.ts";
export * from "./files/model_directory.ts";
export * from "./files/model_files.ts";
export * from "./sampling/model_reward.ts";
export * from "./files/narrow_save.ts";
export * from "./tasks/nash_md.ts";
export * from "./tasks/online.ts";
export * from "./tasks/online_dpo.ts";
export * from "./loop/options.ts";
export * from "./tasks/pair_tasks.ts";
export * from "./sampling/preference_rollout.ts";
export * from "./tasks/ppo.ts";
export * from "./sampling/ppo_rollout.ts";
export * from "./tasks/ppo_values.ts";
export * from "./report/progress.ts";
export * from "./files/quantized_files.ts";
export * from "./files/read_parameters.ts";
export * from "./tasks/reference.ts";
export * from "./tasks/reference_cache.ts";
export * from "./report/reporters.ts";
export * from "./sampling/reward_notices.ts";
export * from "./sampling/rollout.ts";
export * from "./sampling/rollout_batch.ts";
export * from "./loop/run.ts";
export * from "./files/run_file.ts";
export * from "./loop/run_state.ts";
export * from "./loop/schedule.ts";
export * from "./tasks/scoring_tasks.ts";
export * from "./tasks/sft.ts";
export * from "./loop/steps.ts";
export * from "./loop/task.ts";
export * from "./tasks/token_scores.ts";
export * from "./files/trainer_state.ts";
export * from "./tasks/unpaired_tasks.ts";
export * from "./files/value_head_files.ts";
export * from "./files/value_model.ts";
export * from "./loop/visited.ts";
export * from "./loop/windows.ts";
export * from "./files/write_model.ts";
export * from "./tasks/xpo.ts";
