/** Tasks of GRPO, with an entropy bonus that may adapt, and of RLOO. @module */

import { type Tensor, tensor, zeros } from "../../core/mod.ts";
import type { DecoderParams } from "../../nn/mod.ts";
import {
  adaptiveEntropyCoef,
  type EntropyControllerOptions,
  gmpo,
  type GroupAdvantageOptions,
  groupAdvantages,
  grpo,
  type GrpoObjective,
  type GrpoOptions,
  leaveOneOutAdvantages,
  type LeaveOneOutOptions,
  rloo,
  type RlooOptions,
} from "../../rl/mod.ts";
import { groupTask, type GroupTaskOptions } from "./group_task.ts";
import type { OnlineTask, TaskObjective, TaskState } from "../loop/task.ts";

/** What GRPO's and RLOO's tasks are told of groups. */
export type GroupSettings = Pick<
  GroupTaskOptions,
  | "answering"
  | "plan"
  | "reference"
  | "gradientCheckpointing"
  | "maskTruncated"
  | "samplingCorrection"
>;

/** Settings of {@link grpoTask}. */
export interface GrpoTaskOptions extends GroupSettings {
  /** Of the loss; `gmpo` is the geometric mean. */
  readonly loss: Omit<GrpoOptions, "lossType" | "entropyCoef" | "window"> & {
    readonly lossType?: GrpoOptions["lossType"] | "gmpo";
  };
  /** Of the advantages. */
  readonly advantages?: Omit<GroupAdvantageOptions, "numGenerations" | "rewardWeights">;
  /** Weight of the entropy bonus; 0 by default. */
  readonly entropyCoef?: number;
  /** Lets this weight follow the entropy. */
  readonly adaptiveEntropy?: EntropyControllerOptions | undefined;
  /** A loss of your own, instead. */
  readonly objective?: GroupTaskOptions["objective"] | undefined;
}

/** Losses that are normalised by the tokens of the window. */
const overTokens = new Set(["dapo", "cispo", "vespo"]);

/** Group-relative policy optimisation of sampled answers. */
export function grpoTask(options: GrpoTaskOptions): OnlineTask<DecoderParams> {
  const { loss, plan, entropyCoef = 0, adaptiveEntropy } = options;
  const { lossType = "dapo", ...others } = loss;
  const builtIn: GroupTaskOptions["objective"] = (tokens, { window, state }) => {
    if (lossType === "gmpo") return gmpo(tokens, defined(others));
    const coef = adaptiveEntropy
      ? entropyState(state).applied
      : entropyCoef === 0
      ? undefined
      : entropyCoef;
    const found = grpo(tokens, {
      ...defined(others),
      lossType,
      window,
      maxCompletionLength: options.answering.maxCompletionLength,
      ...(coef === undefined ? {} : { entropyCoef: coef }),
    });
    return withEntropyState(found, state, adaptiveEntropy ? undefined : entropyCoef);
  };
  return groupTask({
    ...options,
    advantages: ({ table, weights }) =>
      groupAdvantages(table, {
        ...options.advantages,
        rewardWeights: weights,
        numGenerations: plan.numGenerations,
      }),
    objective: options.objective ?? builtIn,
    items: overTokens.has(lossType) && !options.objective ? "tokens" : "answers",
    ...(adaptiveEntropy ? { objectiveState: followEntropy(entropyCoef, adaptiveEntropy) } : {}),
  });
}

/** Settings of {@link rlooTask}. */
export interface RlooTaskOptions extends GroupSettings {
  /** Of the loss. */
  readonly loss?: RlooOptions;
  /** Of the advantages; `beta` needs a reference. */
  readonly advantages?: Omit<
    LeaveOneOutOptions,
    "numGenerations" | "rewardWeights" | "divergences" | "tokens"
  >;
  /** A loss of your own, instead. */
  readonly objective?: GroupTaskOptions["objective"] | undefined;
}

/** REINFORCE with leave-one-out baselines, of sampled answers. */
export function rlooTask(options: RlooTaskOptions): OnlineTask<DecoderParams> {
  return groupTask({
    ...options,
    divergenceInReward: true,
    advantages: ({ table, weights, divergences, tokens }) =>
      leaveOneOutAdvantages(table, {
        ...options.advantages,
        rewardWeights: weights,
        numGenerations: options.plan.numGenerations,
        divergences,
        tokens,
      }),
    objective: options.objective ?? ((tokens) => rloo(tokens, options.loss)),
  });
}

/** The coefficient, what of it applies, and the entropies since the last step. */
interface EntropyState {
  readonly coef: Tensor;
  readonly applied: Tensor;
  readonly sum: Tensor;
  readonly count: Tensor;
}

function entropyState(state: TaskState): EntropyState {
  return (state as { readonly entropy: EntropyState }).entropy;
}

function followEntropy(
  initial: number,
  options: EntropyControllerOptions,
): NonNullable<GroupTaskOptions["objectiveState"]> {
  const fresh = () => ({ sum: zeros([]), count: zeros([]) });
  return {
    initial: () => ({ entropy: { coef: tensor(initial), applied: tensor(0), ...fresh() } }),
    update: (state) => {
      const { coef, sum, count } = entropyState(state);
      const next = adaptiveEntropyCoef(coef, sum.div(count.maximum(1)), options);
      return { ...state, entropy: { ...next, ...fresh() } };
    },
  };
}

/** Adds the coefficient to the metrics, and the batch's entropies to the state where it follows them. */
function withEntropyState(
  { bonusEntropy, ...objective }: GrpoObjective,
  state: TaskState,
  fixed: number | undefined,
): TaskObjective {
  if (!bonusEntropy) return objective;
  if (fixed !== undefined) {
    return { ...objective, metrics: { ...objective.metrics, entropy_coef: tensor(fixed) } };
  }
  const { coef, applied, sum, count } = entropyState(state);
  return {
    ...objective,
    metrics: { ...objective.metrics, entropy_coef: coef },
    state: {
      ...state,
      entropy: {
        coef,
        applied,
        sum: sum.add(bonusEntropy.sum),
        count: count.add(bonusEntropy.count),
      },
    },
  };
}

/** Options without those that are undefined, which would hide defaults. */
function defined<T extends object>(options: T): T {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as T;
}
