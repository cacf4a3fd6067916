/** Prepared answers for people. @module */

import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import type { PromptedAnswer } from "../tasks/completion_task.ts";

/** A prompt and its named answers; what carries loss stands in brackets. */
export function describeAnswers(
  answers: Readonly<Record<string, PromptedAnswer | undefined>>,
  tokenizer: Tokenizer,
): string {
  return Object.entries(answers).flatMap(([name, answer]) => {
    if (!answer) return [];
    const [prompt, completion] = [answer.promptIds, answer.completionIds].map((ids) =>
      tokenizer.decode([...ids])
    );
    return [
      `${name}: ${answer.promptIds.length} + ${answer.completionIds.length} tokens\n${prompt}⟦${completion}⟧`,
    ];
  }).join("\n");
}
