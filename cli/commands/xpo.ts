/** `plumb xpo`: exploratory preference optimisation. @module */

import { xpoTask } from "../../train/tasks/xpo.ts";
import type { Command } from "../finetune.ts";
import { describePrompt, promptsOf } from "../online/answering.ts";
import { onlineCommand } from "../online/command.ts";
import { preferenceSettings } from "../online/preferring.ts";
import { checkOnlineDpo, xpoOptions } from "../options/online_dpo.ts";
import { ownObjective } from "../own_loss.ts";

/** What `xpo` is called with. */
export const xpoCommand: Command = onlineCommand<typeof xpoOptions>({
  name: "xpo",
  summary: "XPO: online DPO against the reference's answers, with a bonus for leaving them.",
  options: xpoOptions,
  check: checkOnlineDpo,
  prepare: (rows, context) => promptsOf(rows, context, context.values.max_new_tokens),
  describe: describePrompt,
  task: async (context) =>
    xpoTask({
      ...await preferenceSettings(context),
      objective: await ownObjective(context),
      lossType: context.values.loss_type,
      alpha: context.values.alpha,
    }),
});
