/** Options of `reward` and `prm`: TRL's configs over the shared blocks. @module */

import { bool, float, int, string } from "./builders.ts";
import { type Options, section } from "./option.ts";
import { ownLoss } from "./own_loss.ts";
import { base, builtIn, rate } from "./preference_base.ts";

/** Every option of `reward`. */
export const rewardOptions = {
  ...base,
  ...section("Loss", {
    center_rewards_coefficient: float({
      when: builtIn,
      min: 0,
      help: "Weight of (r₁ + r₂)², which keeps scores near 0.",
    }),
  }),
  learning_rate: rate(1e-4),
  ...ownLoss("pairs' scores", "(rewards: PairRewards) => OwnObjective"),
} satisfies Options;

/** Every option of `prm`. */
export const prmOptions = {
  ...base,
  ...section("Data", {
    max_completion_length: int({ min: 1, help: "Tokens of a solution." }),
    step_separator: string({ default: "\n", help: "What stands behind each step." }),
    train_on_last_step_only: bool({ default: false, help: "Learn the last step's label only." }),
  }),
  learning_rate: rate(1e-5),
  ...ownLoss("the steps' logits and labels", "(steps: TokenClasses) => OwnObjective"),
} satisfies Options;
