/** Sampled answers as tensors. @module */

import { scope, type Tensor, tensor } from "../../core/mod.ts";
import { firstOfSame } from "../../data/batches/same.ts";
import type { CompletionFamily } from "../../data/batches/completions.ts";
import {
  type CompletionBatch,
  completionBatch,
  type CompletionInputs,
  valuesOfLabels,
} from "../tasks/completions.ts";
import type { Generation } from "./rollout.ts";
import type { MicroBatch } from "../loop/task.ts";

/** Tensors of B answers with N tokens. */
export interface RolloutInputs {
  /** The tokens; the answers are numbered 0 … B − 1. */
  readonly completions: CompletionInputs;
  /** f32 [B] each: numbers of the answers. */
  readonly values: Readonly<Record<string, Tensor>>;
  /** f32 [N] each: numbers of their tokens. */
  readonly tokenValues: Readonly<Record<string, Tensor>>;
}

/** Families of some answers of a generation, numbered in their order: answers to one prompt share it. */
export function familiesOf(
  { prompts, samples }: Generation,
  numbers: readonly number[],
): CompletionFamily[] {
  const byPrompt = new Map<number, { ids: Int32Array; number: number }[]>();
  numbers.forEach((sample, number) => {
    const { prompt, ids } = samples[sample]!;
    const family = byPrompt.get(prompt) ?? [];
    family.push({ ids: Int32Array.from(ids), number });
    byPrompt.set(prompt, family);
  });
  return Array.from(byPrompt, ([prompt, completions]) => ({
    promptIds: Int32Array.from(prompts[prompt]!.ids),
    completions,
  }));
}

/** Numbers of the tokens of all answers of a generation, such as log-probs, so many answers at once. */
export async function scoreGeneration<T = Float32Array>(
  generation: Generation,
  batchSize: number,
  score: (batch: CompletionBatch, count: number) => Promise<readonly T[]>,
): Promise<T[]> {
  const found: T[] = [];
  const count = generation.samples.length;
  for (let start = 0; start < count; start += batchSize) {
    const length = Math.min(batchSize, count - start);
    const numbers = Array.from({ length }, (_, i) => start + i);
    found.push(
      ...await scope(() => score(completionBatch(familiesOf(generation, numbers)), length)),
    );
  }
  return found;
}

/**
 * A micro-batch of some answers of a generation.
 *
 * @param numbers Of the answers in the generation.
 * @param items What the batch counts for in its window; the number of answers by default.
 * @param pairs Where answers are compared: how many prompts there are, answer k to prompt i being at k·pairs + i.
 */
export function rolloutBatch(
  generation: Generation,
  numbers: readonly number[],
  { items = numbers.length, pairs }: { readonly items?: number; readonly pairs?: number } = {},
): MicroBatch {
  const samples = numbers.map((number) => generation.samples[number]!);
  const families = familiesOf(generation, numbers);
  const answers = samples.map(({ prompt, ids }) => ({
    promptIds: generation.prompts[prompt]!.ids,
    completionIds: ids,
  }));
  const { arrays, inputs } = completionBatch(families, {}, {
    sameAs: pairs === undefined ? null : firstOfSame(answers, pairs),
  });
  const first = samples[0]!;
  const values = (name: string) => Float32Array.from(samples, (sample) => sample.values[name]!);
  const tokenValues = (name: string) =>
    valuesOfLabels(arrays, (number) => samples[number]!.tokenValues[name]!);
  const named = (names: readonly string[], of: (name: string) => Float32Array) =>
    Object.fromEntries(names.map((name) => [name, tensor(of(name))]));
  return {
    inputs: {
      completions: inputs,
      values: named(Object.keys(first.values), values),
      tokenValues: named(Object.keys(first.tokenValues), tokenValues),
    } satisfies RolloutInputs,
    items,
    labels: samples.reduce((sum, { ids, values }) => sum + ids.length * (values["counts"] ?? 1), 0),
    tokens: families.reduce(
      (sum, { promptIds, completions }) =>
        completions.reduce((all, { ids }) => all + ids.length, sum + promptIds.length),
      0,
    ),
    examples: numbers.length,
    rows: samples.map(({ prompt }) => generation.prompts[prompt]!.row),
  };
}
