/** `plumb merge`: an adapter folded into the weights of its base. @module */

import { realize, UserError } from "../../core/mod.ts";
import { standardError, standardOutput } from "../../core/terminal.ts";
import { openAskedDevice } from "../device.ts";
import { describeFileError, statIfPresent } from "../../data/files/local_paths.ts";
import { localModel } from "../../data/hub/local_model.ts";
import { mergeAdapters, type ModelHead } from "../../nn/mod.ts";
import { readAdapterConfig, resolveBaseModel } from "../../train/files/adapter_files.ts";
import { openModel } from "../../train/files/model_directory.ts";
import { writeModel } from "../../train/files/write_model.ts";
import { showingDownloads } from "../downloads.ts";
import { fetchModels } from "../../train/recipes/fetching.ts";
import type { Command } from "../command.ts";
import { choice, model, string } from "../../train/settings/builders.ts";
import { type Options, section } from "../../train/settings/option.ts";
import { modelOptions, revisionOf } from "../../train/settings/model.ts";
import { commandOptions } from "../../train/settings/script.ts";
import { parse } from "../parse.ts";

const mergeOptions = {
  ...section("Model", {
    model_name_or_path: model({
      names: "adapter",
      required: true,
      help: "The adapter: its directory, or its name on the Hub, also with @revision.",
    }),
    model_revision: modelOptions.model_revision,
    output_dir: string({ required: true, shown: "DIR", help: "Where the whole model is written." }),
    dtype: choice({
      choices: ["float32", "auto", "bfloat16", "float16"],
      default: "float32",
      aliases: ["torch_dtype", "save_dtype"],
      help: "Type of the saved weights; auto: the base's.",
    }),
  }),
  ...section("Command", {
    config: commandOptions.config,
    device: commandOptions.device,
    threads: commandOptions.threads,
    debug: commandOptions.debug,
  }),
} satisfies Options;

/** What `merge` is called with. */
export const mergeCommand: Command = {
  name: "merge",
  options: mergeOptions,
  run: async (argv) => {
    const { values } = parse(argv, mergeOptions);
    await showingDownloads((access) => fetchModels(mergeOptions, values, access));
    const { model_name_or_path: name, output_dir: output } = values;
    const revision = revisionOf(values);
    const directory = await localModel(name, { what: "adapter", revision });
    if (await statIfPresent(`${directory}/adapter_config.json`) === undefined) {
      throw new UserError(
        `${name} is not an adapter: it has no adapter_config.json. Only adapters can be merged; a whole model ` +
          "is used as it is.",
      );
    }
    await refuseToOverwrite(directory, output);
    const notice = (text: string) => standardError.write(`${text}\n`);
    const device = await openAskedDevice(values, notice);
    try {
      const { config } = await readAdapterConfig(directory);
      const opened = await openModel({
        directory,
        seed: 0,
        head: headOf(config.task_type),
        notice,
      });
      const params = await realize(mergeAdapters(opened.params));
      await writeModel(output, { ...opened, adapter: null }, params, {
        dtype: values.dtype,
        notice,
      })
        .catch((error) => {
          throw describeFileError(error, { action: "write", path: output });
        });
      standardOutput.write(`The merged model is in ${output}.\n`);
      return 0;
    } finally {
      device.destroy();
    }
  },
};

/** A merged model in the place of its adapter or its base would be misread with the adapter over it. */
async function refuseToOverwrite(directory: string, output: string): Promise<void> {
  const base = await resolveBaseModel(directory, await readAdapterConfig(directory));
  const real = await Deno.realPath(output).catch(() => null);
  for (
    const [path, what] of [[directory, "the adapter"], [base.directory, "its base model"]] as const
  ) {
    if (real === null || real !== await Deno.realPath(path)) continue;
    throw new UserError(
      `--output_dir is ${output}, where ${what} is: the adapter would then lie over a model that has it already. Give ` +
        "another directory.",
    );
  }
}

function headOf(task: string | null): ModelHead {
  if (task === "SEQ_CLS") return { kind: "sequence", labels: 1 };
  if (task === "TOKEN_CLS") return { kind: "token", labels: 2 };
  return { kind: "language" };
}
