/** The reward for the right answer to a mathematical problem. @module */

import { completionText, textColumn } from "./columns.ts";
import { sameMathAnswer } from "./math_answer.ts";
import { answerOf, solutionAnswer } from "./math_extract.ts";
import type { RewardArguments } from "./types.ts";

/** What became of one completion, for the table of completions. */
export interface Judgement {
  /** 1, 0, or null where there is nothing to compare with. */
  readonly reward: number | null;
  /** The solution's answer, or why there is none. */
  readonly gold: string;
  /** The completion's answer, or why there is none. */
  readonly answer: string;
}

/** Compares the answer in a text with the one in a solution. */
export function judge(text: string, solution: string): Judgement {
  const gold = solutionAnswer(solution);
  if (gold === null) return { reward: null, gold: "[unparseable]", answer: "[skipped]" };
  const answer = answerOf(text);
  if (answer === null) return { reward: 0, gold: gold.text, answer: "[unparseable]" };
  return { reward: sameMathAnswer(gold, answer) ? 1 : 0, gold: gold.text, answer: answer.text };
}

/**
 * 1 where a completion's answer equals that of the column `solution`, else 0; null where the solution holds no answer.
 * The answer is read from the last `\boxed{…}`, or from the formula after "answer", as TRL's `accuracy_reward` does;
 * what counts as equal is told at `sameMathAnswer`. Logs the columns `solution`, `gold_parsed` and `answer_parsed`.
 *
 * @throws UserError if the column is missing or a completion has no text.
 */
export function accuracyReward(args: RewardArguments): readonly (number | null)[] {
  return judged(args, judge);
}

/** Judges each completion beside its solution, and logs what was compared. */
export function judged(
  args: RewardArguments,
  judgeOne: (text: string, solution: string) => Judgement,
): readonly (number | null)[] {
  const solutions = textColumn(args, "solution");
  const found = args.completions.map((completion, row) =>
    judgeOne(completionText(completion, row), solutions[row]!)
  );
  args.logExtra("solution", solutions);
  args.logExtra("gold_parsed", found.map(({ gold }) => gold));
  args.logExtra("answer_parsed", found.map(({ answer }) => answer));
  return found.map(({ reward }) => reward);
}
