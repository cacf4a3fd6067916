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

export * from "./adapter_files.ts";
export * from "./adapter_names.ts";
export * from "./adapter_vocabulary.ts";
export * from "./answer_metrics.ts";
export * from "./answer_reporters.ts";
export * from "./answers.ts";
export * from "./batch_source.ts";
export * from "./checkpoint.ts";
export * from "./classifier_directory.ts";
export * from "./completion_task.ts";
export * from "./completions.ts";
export * from "./evaluate.ts";
export * from "./following.ts";
export * from "./gkd.ts";
export * from "./group_rollout.ts";
export * from "./group_task.ts";
export * from "./grpo.ts";
export * from "./loop.ts";
export * from "./memory.ts";
export * from "./metric_queue.ts";
export * from "./metric_schedule.ts";
export * from "./model_directory.ts";
export * from "./model_files.ts";
export * from "./model_reward.ts";
export * from "./narrow_save.ts";
export * from "./nash_md.ts";
export * from "./online.ts";
export * from "./online_dpo.ts";
export * from "./options.ts";
export * from "./pair_tasks.ts";
export * from "./preference_rollout.ts";
export * from "./ppo.ts";
export * from "./ppo_rollout.ts";
export * from "./ppo_values.ts";
export * from "./progress.ts";
export * from "./quantized_files.ts";
export * from "./read_parameters.ts";
export * from "./reference.ts";
export * from "./reference_cache.ts";
export * from "./reporters.ts";
export * from "./reward_notices.ts";
export * from "./rollout.ts";
export * from "./rollout_batch.ts";
export * from "./run.ts";
export * from "./run_file.ts";
export * from "./run_state.ts";
export * from "./schedule.ts";
export * from "./scoring_tasks.ts";
export * from "./sft.ts";
export * from "./steps.ts";
export * from "./task.ts";
export * from "./token_scores.ts";
export * from "./trainer_state.ts";
export * from "./unpaired_tasks.ts";
export * from "./value_head_files.ts";
export * from "./value_model.ts";
export * from "./visited.ts";
export * from "./windows.ts";
export * from "./write_model.ts";
export * from "./xpo.ts";
