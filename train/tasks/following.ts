/** A reference that follows the policy. @module */

import {
  leavesOf,
  type Path,
  realize,
  replaceLeaves,
  stopGradient,
  Tensor,
  tensor,
} from "../../core/mod.ts";
import type { DecoderParams } from "../../nn/mod.ts";
import type { TokenLogProbs } from "../../rl/mod.ts";
import type { ScoredBatch } from "./completion_task.ts";
import type { ObjectiveContext, Task, TaskState } from "../loop/task.ts";

/** A reference that follows the policy (TR-DPO, Gorbatovski et al., "Learn Your Reference Model", 2024). */
export interface FollowingReference {
  /** The reference as it begins, in memory of its own: see `copied`. */
  readonly params: DecoderParams;
  /** Optimiser steps between two updates. */
  readonly every: number;
  /** The policy's share in an update. */
  readonly mixup: number;
}

/** The reference as a task's state, and its updates: (1 − mixup)·reference + mixup·policy. */
export function followPolicy(
  { params, every, mixup }: FollowingReference,
): Required<Pick<Task<DecoderParams>, "initialState" | "refreshes">> {
  return {
    initialState: () => ({ reference: params }),
    refreshes: [{
      every,
      update: (state, policy) => ({
        ...state,
        reference: mixTrees(referenceIn(state), policy, mixup),
      }),
    }],
  };
}

/** The same parameters, those that training writes over in memory of their own. */
export async function copied(
  params: DecoderParams,
  isTrainable: (path: Path, leaf: unknown) => boolean,
): Promise<DecoderParams> {
  const copies = leavesOf(params).map(async ([path, leaf]) =>
    leaf instanceof Tensor && isTrainable(path, leaf)
      ? tensor(await leaf.data(), { shape: leaf.shape })
      : leaf
  );
  return await realize(replaceLeaves(params, await Promise.all(copies)));
}

/** A batch's log-probs with those under the reference as it is now. */
export function withFollowingReference(
  batch: ScoredBatch,
  { state }: ObjectiveContext,
): TokenLogProbs {
  const { tokens } = batch.scoreWith(referenceIn(state));
  return { ...batch.tokens, refLogProbs: stopGradient(tokens.logProbs) };
}

/** The reference as it is now. */
export function referenceIn(state: TaskState): DecoderParams {
  return (state as { reference: DecoderParams }).reference;
}

/** (1 − share)·reference + share·policy. */
function mixTrees(reference: DecoderParams, policy: DecoderParams, share: number): DecoderParams {
  const zip = (a: unknown, b: unknown): unknown => {
    if (a instanceof Tensor) return a.mul(1 - share).add((b as Tensor).mul(share));
    if (Array.isArray(a)) return a.map((value, i) => zip(value, (b as unknown[])[i]));
    const [x, y] = [a as Record<string, unknown>, b as Record<string, unknown>];
    return Object.fromEntries(Object.keys(x).map((key) => [key, zip(x[key], y[key])]));
  };
  return zip(reference, policy) as DecoderParams;
}
