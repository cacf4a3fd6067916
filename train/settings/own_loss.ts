/** The option of a loss of one's own. @module */

import { string } from "./builders.ts";
import { type Option, section } from "./option.ts";

/** `--loss` of a command, whose objective is a function of these things. */
export function ownLoss(inputs: string): { readonly loss: Option<string | undefined> } {
  return section("Loss", {
    loss: string({
      shown: "FILE",
      help:
        `A module whose default export is the loss, a function of ${inputs} that returns { losses }. Not in TRL.`,
    }),
  });
}
