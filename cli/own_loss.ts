/** A loss from a module of the user's. @module */

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Tensor, UserError } from "../core/mod.ts";
import type { Objective } from "../rl/mod.ts";

/**
 * The default export of a module, a function from log-probs to an objective, made to complain by its path.
 *
 * @throws UserError if the module cannot be loaded or exports no function.
 */
export async function loadOwnLoss<A extends readonly unknown[]>(
  path: string,
): Promise<(...args: A) => Objective> {
  let module: { readonly default?: unknown };
  try {
    const url = pathToFileURL(resolve(path));
    module = await import(url.href);
  } catch (error) {
    throw new UserError(`The loss in ${path} cannot be loaded: ${reason(error)}`, { cause: error });
  }
  const loss = module.default;
  if (typeof loss !== "function") {
    throw new UserError(
      `${path} has no loss: its default export is ${typeof loss}, but a function from log-probs to ` +
        "{ loss, metrics } is needed: `export default (pairs) => …`.",
    );
  }
  return (...args) => checked(path, () => loss(...args));
}

function checked(path: string, call: () => unknown): Objective {
  let result: unknown;
  try {
    result = call();
  } catch (error) {
    throw new UserError(`The loss in ${path} failed: ${reason(error)}`, { cause: error });
  }
  const objective = result as Partial<Objective> | null | undefined;
  const loss: unknown = objective?.loss;
  if (!(loss instanceof Tensor) || loss.size !== 1) {
    const what = loss instanceof Tensor ? `a tensor of shape [${loss.shape}]` : typeof loss;
    throw new UserError(
      `The loss in ${path} gives ${what} as its loss, but a single number is minimised: a tensor of one element, ` +
        "such as losses.mean().",
    );
  }
  return { ...objective, loss: loss.reshape(), metrics: objective?.metrics ?? {} };
}

/** An error's message on one line; of a syntax error its first line and where it is. */
function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const place = /:(\d+):\d+\s*$/.exec(text);
  const [first] = text.split("\n");
  return place ? `${first} (line ${place[1]})` : text.replaceAll(/\s*\n\s*/g, " ");
}
