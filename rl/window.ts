/** From what objectives give to the number that is minimised. @module */

import { type Operand, type Tensor, where } from "../core/mod.ts";
import { UserError } from "../core/errors.ts";
import type { Objective } from "./types.ts";

/** How a batch stands in its accumulation window. */
export interface WindowShare {
  /** How many losses the window counts: what the sum of a batch's is divided by. */
  readonly normalizer: Operand;
  /** The batch's share of the window, by which single numbers are weighed. */
  readonly share: Operand;
}

/**
 * What a batch adds to the loss of its window, a single number: the sum of its losses over the window's number of them,
 * and what is one number for the batch weighed by the batch's share. Added up over a window this is the mean.
 *
 * @param window The batch alone by default: the mean over it.
 * @throws UserError if the objective gives no losses and no loss, or both.
 */
export function lossOf(objective: Objective, window?: WindowShare): Tensor {
  const { losses, mask, term, loss } = objective;
  const weighed = (x: Tensor) => window ? x.mul(window.share) : x;
  if (loss && (losses || term)) {
    throw new UserError(
      "The objective gives both loss and losses, and they mean different things under gradient accumulation: losses " +
        "are averaged over a whole step, a loss is the mean of its batch. Give one of them; what is added to losses " +
        "as a single number is called term.",
    );
  }
  if (loss) return weighed(loss.reshape());
  if (!losses) {
    throw new UserError(
      "The objective gives no losses. Give losses (one for each pair, row or token), or loss (a single number).",
    );
  }
  const total = mask ? where(mask.ne(0), losses.mul(mask), 0).sum() : losses.sum();
  const mean = total.div(window?.normalizer ?? mask?.sum().maximum(1) ?? losses.size);
  return term ? mean.add(weighed(term.reshape())) : mean;
}

/**
 * The objective, if its losses are one for each of some things.
 *
 * @param counts How many there are, by their names: `{ pair: 4 }`.
 * @throws UserError that says what is needed and what came.
 */
export function withLossesFor<O extends Objective>(
  counts: Readonly<Record<string, number>>,
  objective: O,
): O {
  const { losses, mask } = objective;
  const fits = (x: Tensor) => x.shape.length === 1 && Object.values(counts).includes(x.size);
  if (losses && !fits(losses)) {
    const needed = Object.entries(counts)
      .map(([name, count]) => `one for each ${name}, of shape [${count}]`);
    throw new UserError(
      `The objective gives losses of shape [${losses.shape}], but ${
        needed.join(", or ")
      } is needed. ` +
        "They are averaged by who minimises them; a single number for the batch is called loss.",
    );
  }
  if (losses && mask && mask.size !== losses.size) {
    throw new UserError(
      `The objective gives a mask of shape [${mask.shape}] for losses of shape [${losses.shape}]; it needs one number ` +
        "for each.",
    );
  }
  return objective;
}
