/** Answers of a batch that are the same. @module */

/** A prompt and an answer to it, in tokens. */
export interface TokenisedAnswer {
  /** Token ids of the prompt. */
  readonly promptIds: ArrayLike<number>;
  /** Token ids of the answer. */
  readonly completionIds: ArrayLike<number>;
}

/**
 * Of each answer the number of the first of its example that is the same, with the same prompt; null where no two are.
 *
 * @param answers Answer k of example i of `examples` at k·examples + i.
 */
export function firstOfSame(
  answers: readonly TokenisedAnswer[],
  examples: number,
): Int32Array | null {
  const first = Int32Array.from(answers, (answer, number) => {
    for (let other = number % examples; other < number; other += examples) {
      const { promptIds, completionIds } = answers[other]!;
      if (isSame(completionIds, answer.completionIds) && isSame(promptIds, answer.promptIds)) {
        return other;
      }
    }
    return number;
  });
  return first.every((other, number) => other === number) ? null : first;
}

function isSame(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
