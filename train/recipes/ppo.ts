/** `ppo`: proximal policy optimisation. @module */

import { UserError } from "../../core/errors.ts";
import { type OpenModel, openModel } from "../files/model_directory.ts";
import { ppoTask } from "../tasks/ppo.ts";
import type { PpoPlan } from "../sampling/ppo_rollout.ts";
import { withValueModel } from "../files/value_model.ts";
import type { Recipe } from "./recipe.ts";
import {
  answeringOf,
  describePrompt,
  endingTokens,
  onlineReference,
  promptsOf,
} from "./online/answering.ts";
import { onlineRecipe } from "./online/recipe.ts";
import { checkPpo, ppoOptions, type PpoValues, settlePpo } from "../settings/ppo.ts";
import { ownObjective } from "./own_loss.ts";

/** How `ppo` is done. */
export const ppoRecipe: Recipe = onlineRecipe<typeof ppoOptions>({
  name: "ppo",
  options: ppoOptions,
  check: checkPpo,
  settle: settlePpo,
  head: (values) => ({
    kind: "language",
    ...(values.value_model_name_or_path === undefined
      ? {
        values: {
          initStrategy: values.v_head_init_strategy,
          initializerRange: values.v_head_initializer_range,
        },
      }
      : {}),
  }),
  complete: async (opened, { value_model_name_or_path: directory, seed }, say) => {
    if (directory === undefined) return opened;
    const head = { kind: "sequence", labels: 1 } as const;
    return withValueModel(opened, await openModel({ directory, seed, head, notice: say }));
  },
  prepare: (rows, context) => promptsOf(rows, context, context.values.response_length),
  describe: describePrompt,
  task: async ({ opened, values, examples, evaluation, say }) => {
    const eosTokenIds = stopTokens(opened, values);
    if (!evaluation) {
      if (eosTokenIds.length === 0 && values.rollouts === undefined) {
        say(
          `Answers do not end before ${values.response_length} tokens. To let them end at ` +
            "end-of-sequence tokens, add --stop_token eos.",
        );
      }
    }
    return ppoTask({
      answering: {
        ...await answeringOf(values, {
          opened,
          examples,
          evaluation,
          maxCompletionLength: values.response_length,
          notice: evaluation ? undefined : say,
        }),
        eosTokenIds,
      },
      reference: await onlineReference(opened, values, evaluation ? undefined : say),
      values: opened.valueModel
        ? { kind: "model", model: opened.valueModel.model }
        : { kind: "head", dropout: values.summary_dropout_prob },
      plan: planOf(values, evaluation),
      rewards: {
        klCoef: values.init_kl_coef ?? values.kl_coef,
        klEstimator: values.kl_estimator,
        adaptiveKl: values.adap_kl_ctrl
          ? { target: values.target, horizon: values.horizon }
          : undefined,
        whitenRewards: values.whiten_rewards,
        missingEosPenalty: values.missing_eos_penalty,
        gamma: values.gamma,
        lam: values.lam,
      },
      loss: {
        cliprange: values.cliprange,
        cliprangeValue: values.cliprange_value,
        vfCoef: values.vf_coef,
      },
      objective: await ownObjective({ values, evaluation, say }),
      gradientCheckpointing: values.gradient_checkpointing,
    });
  },
});

/** Tokens that end an answer; without any, all answers are of full length. */
function stopTokens(opened: OpenModel, values: PpoValues): readonly number[] {
  const { stop_token: token, stop_token_id: id } = values;
  if (token === "eos") return endingTokens(opened);
  const { vocabularySize } = opened.model.config;
  if (id !== undefined && id >= vocabularySize) {
    throw new UserError(
      `--stop_token_id is ${id}, but the vocabulary has ${vocabularySize} tokens, numbered from 0.`,
    );
  }
  return id === undefined ? [] : [id];
}

function planOf(values: PpoValues, evaluation: boolean): PpoPlan {
  const common = {
    scoringBatchSize: values.local_rollout_forward_batch_size,
    seed: values.seed,
  };
  return evaluation
    ? {
      ...common,
      batchSize: values.per_device_eval_batch_size,
      gradientAccumulationSteps: 1,
      numMiniBatches: 1,
      numPpoEpochs: 1,
      shuffle: false,
      countEpisodes: false,
    }
    : {
      ...common,
      batchSize: values.per_device_train_batch_size,
      gradientAccumulationSteps: values.gradient_accumulation_steps,
      numMiniBatches: values.num_mini_batches,
      numPpoEpochs: values.num_ppo_epochs,
      shuffle: values.train_sampling_strategy === "random",
      countEpisodes: true,
    };
}
