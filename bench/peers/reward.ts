/** The reward of the GRPO contest. @module */

import type { RewardArguments } from "../../rl/mod.ts";

/** How many different words an answer has. */
export function distinctWords({ completions }: RewardArguments): number[] {
  return completions.map((text) => new Set(String(text).split(/\s+/).filter(Boolean)).size);
}
