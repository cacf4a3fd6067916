/** Recipes as functions of a script. @module */

import {
  anyDevice,
  combine,
  currentDevice,
  type Device,
  openDevice,
  partition,
  UserError,
} from "../../core/mod.ts";
import type { Row } from "../../data/readers/dataset.ts";
import { openModel, trainableOf } from "../files/model_directory.ts";
import type { ModelInMemory } from "../files/take_over.ts";
import { parseTrainerState } from "../files/trainer_state.ts";
import type { Host } from "../recipes/recipe_spec.ts";
import type { Recipe } from "../recipes/recipe.ts";
import { openReporters } from "../recipes/training.ts";
import type { LogRecord } from "../report/progress.ts";
import { allReporters, type Reporter } from "../report/reporters.ts";
import { LanguageModel } from "./language_model.ts";
import { isRun, type Run, startRun } from "./run.ts";
import { settingsOf } from "./settings_of.ts";

/** Rows of a data set: those of a file or a name, or the rows themselves. */
export type Dataset = string | readonly Row[] | AsyncIterable<Row>;

/** What a script gives beside settings. */
export interface ScriptOptions {
  /** A directory or a name, a model in memory, or the run that trains it: its weights pass to this run. */
  readonly model?: string | LanguageModel | Run | undefined;
  /** The rows to learn from. */
  readonly dataset?: Dataset | undefined;
  /** The rows to evaluate on, in place of the data set's `datasetTestSplit`. */
  readonly evalDataset?: readonly Row[] | AsyncIterable<Row> | undefined;
  /** Called with each record of the run. */
  readonly onRecord?: ((record: LogRecord) => void) | undefined;
  /** Asks the run to stop after the step it is in, with a checkpoint. */
  readonly signal?: AbortSignal | undefined;
  /** Who is told of the run, in place of the console and what `reportTo` names. */
  readonly reporters?: readonly Reporter[] | undefined;
}

/** Starts a run by a recipe. */
export function runRecipe(recipe: Recipe, options: ScriptOptions): Run {
  const { model, dataset, evalDataset, onRecord, signal, reporters, ...settings } = options;
  // Options are read at once, so that what is wrong with them is thrown where they stand.
  const read = settingsOf(
    {
      ...settings,
      ...modelSetting(model),
      dataset: typeof dataset === "string" || dataset === undefined ? dataset : ofScript,
    },
    recipe.options,
    recipe.check,
  );
  if (evalDataset !== undefined && (dataset === undefined || typeof dataset === "string")) {
    throw new UserError(
      "evalDataset goes with rows as the dataset; of files, datasetTestSplit is evaluated on.",
    );
  }
  return startRun(async (tell, stopping) => {
    const given = await modelInMemory(model, recipe.name);
    const rows = dataset === undefined || typeof dataset === "string" ? undefined : {
      train: await rowsOf(dataset),
      evaluation: evalDataset === undefined ? null : await rowsOf(evalDataset),
    };
    const told: Reporter = {
      report: (record) => {
        tell(record);
        onRecord?.(record);
      },
      close: () => {},
    };
    const notice = (text: string) =>
      told.report({ kind: "notice", step: 0, totalSteps: 0, epoch: 0, elapsedSeconds: 0, text });
    const host: Host = {
      openDevice: sharedDevice,
      ownsDevice: false,
      model: given,
      rows,
      reporter: (values) => allReporters([told, ...reporters ?? [openReporters(values)]]),
      interrupt: () => ({
        signal: signal ? AbortSignal.any([signal, stopping]) : stopping,
        dispose: () => {},
      }),
    };
    const values = given ? { ...read.values, model_name_or_path: given.directory } : read.values;
    const done = await recipe.run({ ...read, values }, host);
    if (done === null) throw new UserError("dryRun trains nothing, so that there is no model.");
    const { opened, result, directory } = done;
    const [, frozen] = partition(opened.params, trainableOf(opened));
    return new LanguageModel({
      opened,
      params: combine(result.trainable, frozen),
      directory: result.interrupted ? `${directory}/checkpoint-${result.state.step}` : directory,
      state: parseTrainerState(done.history, `${directory}/trainer_state.json`),
      interrupted: result.interrupted,
      notice,
    });
  });
}

/** What a data set is called that has no file. */
const ofScript = "the script's rows";

function modelSetting(model: ScriptOptions["model"]): { readonly model?: string } {
  if (model === undefined || typeof model === "string") return model === undefined ? {} : { model };
  return { model: model instanceof LanguageModel ? model.directory : "the run before" };
}

async function modelInMemory(
  model: ScriptOptions["model"],
  recipe: string,
): Promise<ModelInMemory | undefined> {
  if (model === undefined || typeof model === "string") return undefined;
  const found = isRun(model) ? await model : model;
  return found.handOver(recipe);
}

async function rowsOf(dataset: readonly Row[] | AsyncIterable<Row>): Promise<readonly Row[]> {
  return Symbol.asyncIterator in dataset ? await Array.fromAsync(dataset) : dataset;
}

/** The device that is open, if it is what is asked for, or one that is opened and stays. */
const sharedDevice: Host["openDevice"] = async ({ device, threads }) => {
  if (device === "auto" && threads === undefined) return await anyDevice();
  const open = deviceIfOpen();
  if (open && threads === undefined && device === open.kind) return open;
  return await openDevice(device, threads === undefined ? {} : { threads });
};

function deviceIfOpen(): Device | null {
  try {
    return currentDevice();
  } catch {
    return null;
  }
}

/** What a script opens a model with. */
export interface LoadOptions {
  /** The tokenizer's directory or name, if it is another. */
  readonly tokenizer?: string;
  /** Told what a user should know of the files. */
  readonly notice?: (text: string) => void;
}

/**
 * Opens a language model, or an adapter over one.
 *
 * @throws {UserError} naming the file, if something is missing, broken or not supported
 */
export async function loadModel(
  directory: string,
  options: LoadOptions = {},
): Promise<LanguageModel> {
  await anyDevice();
  const opened = await openModel({ directory, seed: 0, ...options });
  return new LanguageModel({
    opened,
    params: opened.params,
    directory,
    notice: options.notice,
  });
}
