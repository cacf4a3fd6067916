/** The reward for reasoning between tags. @module */

import { completionText } from "./columns.ts";
import type { RewardArguments, Rewards } from "./types.ts";

const thought = /^<think>(?!.*<think>).*?<\/think>/s;

/** 1 where a completion begins with one `<think>` that is closed by `</think>`, else 0 (TRL's `think_format_reward`). */
export function thinkFormatReward({ completions }: Pick<RewardArguments, "completions">): Rewards {
  return completions.map((completion, row) =>
    thought.test(completionText(completion, row)) ? 1 : 0
  );
}
