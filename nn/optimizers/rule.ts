/** Optimisers from rules for a single parameter. @module */

import {
  isBranch,
  mapTree,
  type Operand,
  type Path,
  Tensor,
  type Tree,
  zeros,
} from "../../core/mod.ts";
import type { Optimizer, OptimizerScalars, OptimizerState } from "./types.ts";

/** What an optimiser remembers of one parameter, by name. */
export type ParameterState = Readonly<Record<string, Tree<Tensor>>>;

/** One parameter at a step. */
export interface ParameterStep {
  readonly path: Path;
  readonly param: Tensor;
  readonly gradient: Tensor;
  readonly state: ParameterState;
}

/** What becomes of one parameter. The dtype of `param` is put right by {@link optimizerOf}. */
export interface ParameterResult {
  readonly param: Tensor;
  readonly state: ParameterState;
}

/** How one parameter is optimised, whatever the others do. */
export interface ParameterRule<Name extends string> {
  /** The numbers of step t, from 1. */
  readonly scalars: (learningRate: number, t: number) => Readonly<Record<Name, number>>;
  /** What is remembered before the first step. */
  readonly init: (param: Tensor, path: Path) => ParameterState;
  /** One step. */
  readonly update: (
    step: ParameterStep,
    scalars: Readonly<Record<Name, Tensor>>,
  ) => ParameterResult;
}

/** The optimiser that applies a rule to every parameter of a tree. */
export function optimizerOf<Name extends string>(rule: ParameterRule<Name>): Optimizer {
  const names = Object.keys(rule.scalars(0, 1)) as Name[];
  return {
    init: (params) => {
      const states = new Map<Path, ParameterState>();
      mapTree(params, (leaf, path) => states.set(path, rule.init(leaf as Tensor, path)));
      return bySlot(
        [...new Set([...states.values()].flatMap(Object.keys))],
        (slot) => mapTree(params, (_, path) => states.get(path)![slot] ?? null) as Tree<Tensor>,
      );
    },
    scalars: rule.scalars,
    update: <P>(params: P, gradients: P, state: OptimizerState, given: OptimizerScalars) => {
      const scalars = pickScalars(names, given);
      const slots = Object.keys(state);
      const { param, state: next } = walk(params, gradients, state, "", (step) => {
        const result = rule.update(step, scalars);
        return {
          param: result.param.cast(step.param.dtype),
          state: bySlot(slots, (slot) => result.state[slot] ?? null),
        };
      });
      return [param as P, next];
    },
  };
}

/** A tensor without axes, from what may be a number. */
export function scalar(value: Operand): Tensor {
  return value instanceof Tensor ? value : zeros([]).add(value);
}

/**
 * A tensor that a rule expects in its state.
 *
 * @throws Error if it is not there: the state belongs to another optimiser.
 */
export function stateTensor({ path, state }: ParameterStep, slot: string, part?: string): Tensor {
  const held: unknown = state[slot];
  const value = part === undefined || !isBranch(held)
    ? held
    : (held as Record<string, unknown>)[part];
  if (value instanceof Tensor) return value;
  throw new Error(
    `The optimiser's state has no "${slot}${
      part === undefined ? "" : `.${part}`
    }" of ${path}: it was made by ` +
      "another optimiser, or for other parameters. Begin with the state that init gives.",
  );
}

/** p·(1 − learning rate · decay), where the parameter decays: decoupled weight decay. */
export function decayed(
  { path, param }: ParameterStep,
  learningRate: Tensor,
  { weightDecay, decays }: {
    readonly weightDecay: number;
    readonly decays: (path: Path) => boolean;
  },
): Tensor {
  return weightDecay !== 0 && decays(path)
    ? param.mul(learningRate.mul(-weightDecay).add(1))
    : param;
}

/** g + decay · p, where the parameter decays: weight decay as an L2 penalty. */
export function penalized(
  { path, param, gradient }: ParameterStep,
  { weightDecay, decays }: {
    readonly weightDecay: number;
    readonly decays: (path: Path) => boolean;
  },
): Tensor {
  return weightDecay !== 0 && decays(path) ? gradient.add(param.mul(weightDecay)) : gradient;
}

/** rate · old + (1 − rate) · new. */
export function movingAverage(old: Tensor, value: Tensor, rate: number): Tensor {
  return old.mul(rate).add(value.mul(1 - rate));
}

function bySlot(
  slots: readonly string[],
  valueOf: (slot: string) => Tree<Tensor>,
): ParameterState {
  return Object.fromEntries(slots.map((slot) => [slot, valueOf(slot)]));
}

function pickScalars<Name extends string>(
  names: readonly Name[],
  given: OptimizerScalars,
): Readonly<Record<Name, Tensor>> {
  return Object.fromEntries(names.map((name) => {
    const value = given[name];
    if (value === undefined) {
      throw new Error(
        `The optimiser's step lacks the number "${name}"; given are ${
          Object.keys(given).join(", ") || "none"
        }. Pass on what the optimiser's own scalars(learningRate, t) returns.`,
      );
    }
    return [name, scalar(value)];
  })) as Record<Name, Tensor>;
}

/** Applies `f` at every parameter; states are trees of the parameters' structure, or end earlier in null. */
function walk(
  params: unknown,
  gradients: unknown,
  state: ParameterState,
  path: Path,
  f: (step: ParameterStep) => ParameterResult,
): { readonly param: unknown; readonly state: ParameterState } {
  if (params instanceof Tensor) {
    if (!(gradients instanceof Tensor)) return { param: params, state };
    return f({ path, param: params, gradient: gradients, state });
  }
  if (!isBranch(params)) return { param: params, state };
  const slots = Object.keys(state);
  const children = Object.entries(params).map(([key, child]) => {
    const below = bySlot(slots, (slot) => childOf(state[slot], key) as Tree<Tensor>);
    const place = path === "" ? key : `${path}.${key}`;
    return [key, walk(child, childOf(gradients, key), below, place, f)] as const;
  });
  const gather = (valueOf: (child: ReturnType<typeof walk>) => unknown): unknown =>
    Array.isArray(params)
      ? children.map(([, child]) => valueOf(child))
      : Object.fromEntries(children.map(([key, child]) => [key, valueOf(child)]));
  return {
    param: gather((child) => child.param),
    state: bySlot(slots, (slot) => gather((child) => child.state[slot]) as Tree<Tensor>),
  };
}

function childOf(tree: unknown, key: string): unknown {
  return isBranch(tree) ? (tree as Record<string, unknown>)[key] ?? null : null;
}
