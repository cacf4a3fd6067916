/** What an optimiser is: pure functions from parameters, gradients and state to new ones. @module */

import type { Operand, Tensor, Tree } from "../../core/mod.ts";

/**
 * Memory of an optimiser between steps: by name (`first`, `second`, …) a tree of tensors in the structure of
 * the parameters. It is null where a parameter has nothing of that name, and may be a small tree (`codes` and
 * `absmax`) in place of a tensor. Shapes and dtypes stay the same from step to step, so that a donated state is
 * updated in place, and checkpoints hold it leaf by leaf, named by path (`first.lm_head.weight`).
 */
export type OptimizerState = Readonly<Record<string, Tree<Tensor>>>;

/** Numbers of one step, by name. Inside `jit` they are tensors, outside plain numbers. */
export type OptimizerScalars<Value extends Operand = Operand> = Readonly<Record<string, Value>>;

/** An optimiser with its settings. */
export interface Optimizer {
  /** The state of parameters before the first step. Nothing is computed: shapes and dtypes can be asked for. */
  readonly init: (params: unknown) => OptimizerState;
  /**
   * The numbers of step t (from 1) that change from step to step, to be passed to `update` through `jit` as
   * dynamic scalars. Their names do not depend on the step.
   */
  readonly scalars: (learningRate: number, t: number) => OptimizerScalars<number>;
  /**
   * One step. Parameters keep their dtypes; one whose gradient is null stays as it is.
   *
   * @throws Error if the scalars or the state are not this optimiser's.
   */
  readonly update: <P>(
    params: P,
    gradients: P,
    state: OptimizerState,
    scalars: OptimizerScalars,
  ) => [params: P, state: OptimizerState];
}

/** Which parameters decay, by path. */
export type Decays = (path: string) => boolean;
