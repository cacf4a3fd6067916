/** A loss from a module of the user's. @module */

import { UserError } from "../core/mod.ts";

/**
 * The default export of a module, a function from log-probs to an objective.
 *
 * @throws UserError if the module cannot be loaded or exports no function.
 */
export async function loadOwnLoss<F>(path: string): Promise<F> {
  let module: { readonly default?: unknown };
  try {
    const url = new URL(path, `file://${Deno.cwd()}/`);
    module = await import(url.href);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(`The loss in ${path} cannot be loaded: ${why}`);
  }
  if (typeof module.default === "function") return module.default as F;
  throw new UserError(
    `${path} has no loss: its default export is ${typeof module
      .default}, but a function from log-probs to ` +
      "{ loss, metrics } is needed: `export default (pairs) => …`.",
  );
}
