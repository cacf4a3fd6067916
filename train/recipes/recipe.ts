/** A recipe: how rows become examples, and what is minimised; from one come a command and a function. @module */

import type { Options, Values } from "../settings/option.ts";
import type { ReadSettings } from "../settings/read.ts";
import { idleOptions } from "../settings/when.ts";
import { fetchJudges, fetchModels } from "./fetching.ts";
import { finetune, type Finetuned } from "./finetune.ts";
import type { FinetuneValues, Host, RecipeSpec } from "./recipe_spec.ts";

/** A way to train. */
export interface Recipe {
  readonly name: string;
  readonly options: Options;
  /** Checks across settings. @throws {UserError} naming them. */
  readonly check: (values: Values<Options>) => void;
  /** Trains; null where the run is a dry one. */
  readonly run: (settings: ReadSettings<Values<Options>>, host: Host) => Promise<Finetuned | null>;
}

/** Makes a recipe of what is particular to it. */
export function recipe<O extends Options, E>(
  spec: Values<O> extends FinetuneValues ? RecipeSpec<O, E> : never,
): Recipe {
  const { name, options } = spec;
  // Values are read by the recipe's own options, of which these are the types.
  const typed = (values: Values<Options>) => values as Values<O> & FinetuneValues;
  return {
    name,
    options,
    check: (values) => spec.check(typed(values)),
    run: async ({ values, given, notices }, host) => {
      const all = (spec.settle?.(typed(values)) ?? typed(values)) as Values<O> & FinetuneValues;
      const showing = host.showingDownloads ?? ((body) => body({}));
      await showing(async (access) => {
        // A reward that is mistyped is told before a large model is brought here.
        await fetchJudges(all, access);
        await spec.checkFiles?.(all);
        await fetchModels(options, all, access);
      });
      return await finetune<O, E>(spec, all, [
        ...notices,
        ...idleOptions(options, all, given),
        ...spec.caution?.(all) ?? [],
      ], host);
    },
  };
}
