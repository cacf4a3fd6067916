/** The option of a loss of one's own. @module */

import { type Code, code } from "./builders.ts";
import { type Option, section } from "./option.ts";

/**
 * `loss` of a recipe, whose objective is a function of these things.
 *
 * @param signature The function's type in TypeScript.
 */
export function ownLoss(
  inputs: string,
  signature: string,
): { readonly loss: Option<Code | undefined> } {
  return section("Loss", {
    loss: code({
      signature,
      shown: "FILE",
      help:
        `A module whose default export is the loss, a function of ${inputs} that returns { losses }. Not in TRL.`,
    }),
  });
}
