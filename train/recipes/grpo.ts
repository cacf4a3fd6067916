/** `grpo`: group-relative policy optimisation. @module */

import type { GroupObjective } from "../tasks/group_task.ts";
import { grpoTask } from "../tasks/grpo.ts";
import type { Recipe } from "./recipe.ts";
import { describePrompt, promptsOf } from "./online/answering.ts";
import { onlineRecipe } from "./online/recipe.ts";
import { groupSettings } from "./online/groups.ts";
import { grpoOptions } from "../settings/grpo.ts";
import { cautionGrpo, checkCorrection, checkGroups } from "../settings/grpo_checks.ts";
import { ownObjective } from "./own_loss.ts";

/** How `grpo` is done. */
export const grpoRecipe: Recipe = onlineRecipe<typeof grpoOptions>({
  name: "grpo",
  options: grpoOptions,
  check: (values) => {
    checkGroups(values);
    checkCorrection(values);
  },
  caution: cautionGrpo,
  prepare: (rows, context) => promptsOf(rows, context, context.values.max_completion_length),
  describe: describePrompt,
  task: async (context) => {
    const { values } = context;
    return grpoTask({
      ...await groupSettings(context),
      loss: {
        lossType: values.loss_type,
        importanceSamplingLevel: values.importance_sampling_level,
        beta: values.beta,
        epsilon: values.epsilon,
        epsilonHigh: values.epsilon_high,
        delta: values.delta,
        useBiasCorrectionKl: values.use_bias_correction_kl,
        sapoTemperaturePos: values.sapo_temperature_pos,
        sapoTemperatureNeg: values.sapo_temperature_neg,
        vespoKPos: values.vespo_k_pos,
        vespoLambdaPos: values.vespo_lambda_pos,
        vespoKNeg: values.vespo_k_neg,
        vespoLambdaNeg: values.vespo_lambda_neg,
        topEntropyQuantile: values.top_entropy_quantile,
        ...(values.off_policy_mask_threshold === undefined
          ? {}
          : { offPolicyMaskThreshold: values.off_policy_mask_threshold }),
      },
      advantages: {
        scaleRewards: values.scale_rewards,
        multiObjectiveAggregation: values.multi_objective_aggregation,
      },
      entropyCoef: values.entropy_coef,
      adaptiveEntropy: values.use_adaptive_entropy
        ? {
          target: values.entropy_target,
          delta: values.entropy_coef_delta,
          min: values.entropy_coef_min,
          max: values.entropy_coef_max,
        }
        : undefined,
      samplingCorrection: values.vllm_importance_sampling_correction
        ? {
          mode: values.vllm_importance_sampling_mode,
          clipMax: values.vllm_importance_sampling_clip_max ?? Infinity,
          ...(values.vllm_importance_sampling_clip_min === undefined
            ? {}
            : { clipMin: values.vllm_importance_sampling_clip_min }),
        }
        : undefined,
      objective: await ownObjective<Parameters<GroupObjective>>(context),
    });
  },
});
