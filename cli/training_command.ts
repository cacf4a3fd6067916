/** Recipes as commands. @module */

import type { Recipe } from "../train/recipes/recipe.ts";
import type { Host } from "../train/recipes/recipe_spec.ts";
import { openReporters } from "../train/recipes/training.ts";
import type { Command } from "./command.ts";
import { showingDownloads } from "./downloads.ts";
import { openAskedDevice } from "./device.ts";
import { type Interrupt, interruptSignal } from "./interrupt.ts";
import { parse } from "./parse.ts";

/** The command line runs one recipe, shows it on the terminal, and stops it on Ctrl-C. */
function terminal(onInterrupt: (interrupt: Interrupt) => void): Host {
  return {
    openDevice: openAskedDevice,
    showingDownloads,
    ownsDevice: true,
    reporter: (values) => openReporters(values.dry_run ? { ...values, report_to: [] } : values),
    interrupt: (say) => {
      const interrupt = interruptSignal(() =>
        say("Stopping after this step; press Ctrl-C again to stop at once.")
      );
      onInterrupt(interrupt);
      return interrupt;
    },
  };
}

/** The command that trains by a recipe. */
export function trainingCommand(recipe: Recipe): Command {
  const { name, options } = recipe;
  return {
    name,
    options,
    run: async (argv) => {
      let interrupt: Interrupt | undefined;
      const host = terminal((begun) => interrupt = begun);
      const done = await recipe.run(parse(argv, options, { check: recipe.check }), host);
      return interrupt && done?.result.interrupted ? interrupt.exitCode() : 0;
    },
  };
}
