/**
 * Pairs of answers as families of one stream of tokens (`buildCompletions`): answers to the same
 * prompt share its tokens, which go through the model once.
 *
 * @module
 */

import type { CompletionFamily } from "./completions.ts";
import type { PromptedCompletion } from "./preference_tokens.ts";
import type { PreferenceExample } from "./prepare_pairs.ts";
import type { UnpairedExample } from "./prepare_unpaired.ts";

/** What an answer is to its example. */
export type CompletionRole = "chosen" | "rejected" | "reference" | "completion" | "kl";

/** Which labels families have. */
export interface FamilyOptions {
  /**
   * Whether the tokens of the prompt are labels too, once per example, for the first of its answers
   * (ORPO's negative log-likelihood is over prompt and chosen answer). Default false.
   */
  readonly labelPrompts?: boolean;
}

/**
 * B examples with R answers each. Answer r of example b has the number r · B + b, so that sums by
 * number fall into R vectors [B] of one role each; the labels of its prompt, if there are any, have
 * R · B + b.
 */
export interface AnswerFamilies {
  /** Prompts with the answers that share them, for `buildCompletions`. */
  readonly families: readonly CompletionFamily[];
  /** The roles of an example's answers, R of them. */
  readonly roles: readonly CompletionRole[];
  /** The numbers of the data set's rows, B of them. */
  readonly rows: readonly number[];
  /** [R]: tokens of each role as sequences of their own, prompts counted anew: TRL's `num_tokens`. */
  readonly roleTokens: readonly number[];
}

/** Which row a number belongs to, and which of its answers it is, or its prompt. */
export function answerAt(
  { rows, roles }: Pick<AnswerFamilies, "rows" | "roles">,
  number: number,
): { readonly row: number; readonly role: CompletionRole | "prompt" } {
  return {
    row: rows[number % rows.length]!,
    role: roles[Math.floor(number / rows.length)] ?? "prompt",
  };
}

/**
 * Families of pairs: roles `chosen`, `rejected`, and `reference` if asked for (TPO has no use for it
 * without `tpo_alpha`). A pair makes one family if the prompts of its answers are the same after
 * truncation, else one for each prompt.
 */
export function pairFamilies(
  examples: readonly PreferenceExample[],
  options: FamilyOptions & { readonly reference?: boolean } = {},
): AnswerFamilies {
  return familiesOf(
    examples,
    options.reference ? ["chosen", "rejected", "reference"] : ["chosen", "rejected"],
    ({ chosen, rejected, reference }) => [
      chosen,
      rejected,
      ...(options.reference && reference ? [reference] : []),
    ],
    options,
  );
}

/** Families of single answers: role `completion`, and `kl` if the examples were lent another's answer. */
export function unpairedFamilies(examples: readonly UnpairedExample[]): AnswerFamilies {
  const hasKl = examples[0]?.klCompletionIds !== undefined;
  return familiesOf(
    examples,
    hasKl ? ["completion", "kl"] : ["completion"],
    ({ promptIds, completionIds, klCompletionIds }) => [
      { promptIds, completionIds },
      ...(klCompletionIds ? [{ promptIds, completionIds: klCompletionIds }] : []),
    ],
    {},
  );
}

function familiesOf<E extends { readonly row: number }>(
  examples: readonly E[],
  roles: readonly CompletionRole[],
  answersOf: (example: E) => readonly PromptedCompletion[],
  { labelPrompts = false }: FamilyOptions,
): AnswerFamilies {
  const count = examples.length;
  const roleTokens = roles.map(() => 0);
  const families = examples.flatMap((example, b) => {
    const answers = answersOf(example);
    answers.forEach(({ promptIds, completionIds }, r) => {
      roleTokens[r]! += promptIds.length + completionIds.length;
    });
    return groupsOf(answers).map((group): CompletionFamily => ({
      promptIds: answers[group[0]!]!.promptIds,
      completions: group.map((r) => ({ ids: answers[r]!.completionIds, number: r * count + b })),
      ...(labelPrompts && group.includes(0) && { promptNumber: roles.length * count + b }),
    }));
  });
  return { families, roles, rows: examples.map(({ row }) => row), roleTokens };
}

/** The numbers of the answers, those with the same prompt in one group. */
function groupsOf(answers: readonly PromptedCompletion[]): number[][] {
  const groups: number[][] = [];
  answers.forEach(({ promptIds }, r) => {
    const group = groups.find(([first]) => isSame(answers[first!]!.promptIds, promptIds));
    if (group === undefined) groups.push([r]);
    else group.push(r);
  });
  return groups;
}

function isSame(a: Int32Array, b: Int32Array): boolean {
  return a === b || (a.length === b.length && a.every((id, i) => id === b[i]));
}
