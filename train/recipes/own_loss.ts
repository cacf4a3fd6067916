/** A loss from a module of the user's. @module */

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Tensor, UserError } from "../../core/mod.ts";
import type { Objective } from "../../rl/mod.ts";
import type { AnyFunction, Code } from "../settings/builders.ts";

/** What decides which loss a command takes, and who is told about it. */
export interface LossContext {
  /** The command's values. */
  readonly values: {
    readonly loss?: Code | undefined;
    readonly gradient_accumulation_steps: number;
  };
  /** Whether the task is that of evaluation. */
  readonly evaluation: boolean;
  /** Shows a line. */
  readonly say: (text: string) => void;
}

/** The loss that the settings name, or else the command's own. */
export async function objectiveOf<A extends readonly unknown[], R extends Objective>(
  context: LossContext,
  builtIn: (...args: A) => R,
): Promise<(...args: A) => R | Objective> {
  return await ownObjective<A>(context) ?? builtIn;
}

/** The loss that the settings name, if they name one. */
export async function ownObjective<A extends readonly unknown[]>(
  { values, evaluation, say }: LossContext,
): Promise<((...args: A) => Objective) | undefined> {
  const { loss, gradient_accumulation_steps: batches } = values;
  if (loss === undefined) return undefined;
  const where = whereIs(loss);
  // Code that runs is named: a settings file may have asked for it.
  if (!evaluation && typeof loss === "string") say(`The loss is the code of ${resolve(loss)}.`);
  const own = typeof loss === "string" ? await loadOwnLoss<A>(loss) : complaining<A>(loss, where);
  if (evaluation || batches === 1) return own;
  let told = false;
  return (...args) => {
    const objective = own(...args);
    if (objective.loss && !told) {
      told = true;
      say(
        `${where} gives a single number for a batch. It is taken as a mean, and a step is the mean of its ` +
          `${batches} batches: right for a mean over pairs or rows, but not for one over tokens of answers of unequal ` +
          "length. Return losses, one for each, and a step does not depend on how it is accumulated.",
      );
    }
    return objective;
  };
}

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
        "{ losses } is needed: `export default (pairs) => …`.",
    );
  }
  return complaining<A>(loss as AnyFunction, whereIs(path));
}

function whereIs(loss: Code): string {
  if (typeof loss === "string") return `The loss in ${loss}`;
  return loss.name === "" || loss.name === "loss" ? "The loss" : `The loss ${loss.name}`;
}

function complaining<A extends readonly unknown[]>(
  loss: AnyFunction,
  where: string,
): (...args: A) => Objective {
  // What a setting's function takes stands in its declaration; here it is called with just that.
  const call = loss as (...args: readonly unknown[]) => unknown;
  const usesNormalizer = loss.toString().includes("normalizer");
  return (...args) => checked(where, () => call(...args), usesNormalizer);
}

function checked(where: string, call: () => unknown, usesNormalizer: boolean): Objective {
  let result: unknown;
  try {
    result = call();
  } catch (error) {
    const hint = usesNormalizer
      ? " There is no normalizer: return { losses }, whose mean over a whole step is taken for you."
      : "";
    throw new UserError(`${where} failed: ${reason(error)}${hint}`, { cause: error });
  }
  const objective: Partial<Objective> = typeof result === "object" && result !== null ? result : {};
  const { losses, loss, term } = objective;
  if ((losses ?? loss) === undefined) {
    throw new UserError(
      `${where} gives ${
        describe(result)
      }, but { losses } is needed: a tensor with the loss of each pair, ` +
        "row or token, of which the mean is taken; or { loss }, a single number such as losses.mean().",
    );
  }
  if (losses !== undefined && loss !== undefined) {
    throw new UserError(
      `${where} gives both losses and loss, and which is meant under gradient accumulation is not known. ` +
        "Give losses alone: their mean over a whole step is minimised. What is added to it as a single number is " +
        "called term.",
    );
  }
  if (losses !== undefined && !(losses instanceof Tensor)) {
    throw new UserError(
      `${where} gives ${
        describe(losses)
      } as its losses, but a tensor is needed, with the loss of each ` +
        "pair, row or token.",
    );
  }
  for (const [name, number] of Object.entries({ loss, term })) {
    if (number === undefined || (number instanceof Tensor && number.size === 1)) continue;
    throw new UserError(
      `${where} gives ${
        describe(number)
      } as its ${name}, but a single number is meant: a tensor of one ` +
        "element, such as losses.mean(). The losses of single pairs, rows or tokens are called losses.",
    );
  }
  return { ...objective, metrics: objective.metrics ?? {} };
}

function describe(value: unknown): string {
  if (value instanceof Tensor) return `a tensor of shape [${value.shape}]`;
  if (value === null || typeof value !== "object") return String(value);
  const keys = Object.keys(value).slice(0, 5);
  return keys.length === 0 ? "an empty object" : `an object of ${keys.join(", ")}`;
}

/** An error's message on one line; of a syntax error its first line and where it is. */
function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const place = /:(\d+):\d+\s*$/.exec(text);
  const [first] = text.split("\n");
  return place ? `${first} (line ${place[1]})` : text.replaceAll(/\s*\n\s*/g, " ");
}
