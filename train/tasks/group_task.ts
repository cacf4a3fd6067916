/** Tasks that compare several answers to a prompt: GRPO, RLOO, and losses of your own. @module */

import type { DecoderParams } from "../../nn/mod.ts";
import {
  type Advantages,
  type RolloutTokens,
  samplingCorrection,
  type SamplingCorrectionOptions,
  withLossesFor,
  withoutTruncated,
} from "../../rl/mod.ts";
import { answering } from "../sampling/answers.ts";
import { type GroupPlan, groupRollout, type JudgedGroups } from "../sampling/group_rollout.ts";
import {
  onlineScorers,
  onlineTables,
  type OnlineTaskOptions,
  referenceState,
  scoreRollout,
} from "./online.ts";
import type { RolloutInputs } from "../sampling/rollout_batch.ts";
import type { ObjectiveContext, OnlineTask, TaskObjective, TaskState } from "../loop/task.ts";

/**
 * From the tokens of answers, with advantages, to losses of answers [B] or of tokens [N]: the type of GRPO's and RLOO's
 * objectives, and of one of your own.
 */
export type GroupObjective = (tokens: RolloutTokens, context: ObjectiveContext) => TaskObjective;

/** Settings of {@link groupTask}. */
export interface GroupTaskOptions extends OnlineTaskOptions {
  /** How a generation is cut and used. */
  readonly plan: GroupPlan;
  /** From rewards to advantages. */
  readonly advantages: (groups: JudgedGroups) => Advantages;
  /** The loss. */
  readonly objective: GroupObjective;
  /** Whether advantages contain the divergence from the reference; false by default. */
  readonly divergenceInReward?: boolean;
  /** Whether answers that were cut off are left out; false by default. */
  readonly maskTruncated?: boolean;
  /** What a micro-batch counts for in its window: its answers (default), or its share of the generation's tokens. */
  readonly items?: "answers" | "tokens";
  /** How given answers of another sampler are corrected for; not at all if undefined. */
  readonly samplingCorrection?: SamplingCorrectionOptions | undefined;
  /** Further state of the objective, beside the reference's. */
  readonly objectiveState?: {
    readonly initial: () => NonNullable<TaskState>;
    readonly update: (state: TaskState) => TaskState;
  };
}

/** A task that samples groups of answers and learns from how they compare. */
export function groupTask(options: GroupTaskOptions): OnlineTask<DecoderParams> {
  const { answering: settings, reference, maskTruncated = false, objectiveState } = options;
  const { items = "answers" } = options;
  const rotary = onlineTables(settings);
  const ofReference = referenceState(reference);
  return {
    examples: settings.examples.length,
    normalize: "batch",
    initialState: () => {
      const states = [ofReference.initialState(), objectiveState?.initial() ?? null];
      return states.every((state) => state === null) ? null : Object.assign({}, ...states);
    },
    refreshes: [
      ...ofReference.refreshes,
      ...(objectiveState ? [{ every: 1, update: objectiveState.update }] : []),
    ],
    rollout: groupRollout({
      answer: answering(settings),
      plan: options.plan,
      ...onlineScorers(options),
      divergenceInReward: options.divergenceInReward ?? false,
      maskTruncated,
      advantages: options.advantages,
      items,
    }),
    objective: (params: DecoderParams, inputs: RolloutInputs, context: ObjectiveContext) => {
      const scored = scoreRollout(params, inputs, rotary, options, context);
      const { advantages, counts } = inputs.values;
      const { oldLogProbs, refLogProbs, samplingLogProbs } = inputs.tokenValues;
      const corrected = options.samplingCorrection && samplingLogProbs && oldLogProbs;
      const tokens: RolloutTokens = {
        ...scored,
        advantages: advantages!,
        ...(oldLogProbs ? { oldLogProbs } : {}),
        ...(refLogProbs ? { refLogProbs } : {}),
        ...(samplingLogProbs ? { samplingLogProbs } : {}),
        ...(corrected
          ? {
            importanceRatios: samplingCorrection(
              oldLogProbs,
              samplingLogProbs,
              scored,
              advantages!.size,
              options.samplingCorrection,
            ),
          }
          : {}),
      };
      const counted = maskTruncated ? withoutTruncated(tokens, counts!.eq(0).cast("f32")) : tokens;
      const objective = options.objective(counted, context);
      return items === "tokens" ? objective : withTokensMasked(objective, counted);
    },
  };
}

/** Losses of tokens, where batches count answers, are averaged over the window's tokens that count. */
function withTokensMasked(objective: TaskObjective, tokens: RolloutTokens): TaskObjective {
  const answers = tokens.advantages.size;
  const found = withLossesFor({ answer: answers, token: tokens.mask.size }, objective);
  if (!found.losses || found.losses.size === answers) return found;
  return { mask: tokens.mask, ...found, ofTokens: true };
}
