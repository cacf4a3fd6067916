/** What a recipe is made of, and what it is run with. @module */

import type { Device, DeviceName } from "../../core/mod.ts";
import type { HubAccess } from "../../data/hub/snapshot.ts";
import type { Row } from "../../data/readers/dataset.ts";
import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import type { DecoderParams, ModelHead } from "../../nn/mod.ts";
import type { OpenModel } from "../files/model_directory.ts";
import type { ModelInMemory } from "../files/take_over.ts";
import type { TrainOptions } from "../loop/options.ts";
import type { OnlineTask, Task } from "../loop/task.ts";
import type { Reporter } from "../report/reporters.ts";
import type { RolloutFunction } from "../sampling/rollout.ts";
import type { ModelValues } from "../settings/model.ts";
import type { Options, Values } from "../settings/option.ts";
import type { CommandValues, DatasetValues } from "../settings/script.ts";
import type { TrainingValues } from "../settings/training_checks.ts";
import type { GivenRows, PrepareContext } from "./preparing.ts";

/** The values every recipe has. */
export type FinetuneValues = TrainingValues & ModelValues & DatasetValues & CommandValues & {
  readonly eos_token?: string | undefined;
  readonly pad_token?: string | undefined;
  readonly chat_template_path?: string | undefined;
};

/** Rows as examples, and a line about them. */
export interface PreparedExamples<E> {
  readonly examples: readonly E[];
  readonly description: string;
}

/** What a recipe makes its task of. */
export interface TaskContext<E, V> {
  /** With the parameters the run began with, also when it is resumed. */
  readonly opened: OpenModel;
  readonly values: V;
  readonly options: TrainOptions;
  readonly examples: readonly E[];
  readonly evaluation: boolean;
  readonly say: (text: string) => void;
}

/** What is particular to a recipe. */
export interface RecipeSpec<O extends Options, E> {
  readonly name: string;
  readonly options: O;
  /** Checks across options. */
  readonly check: (values: Values<O>) => void;
  /** Lines about values that go together, but hardly as they are meant. */
  readonly caution?: (values: Values<O>) => readonly string[];
  /** Checks of files that settings name, ahead of the long work: reading the model and the data. */
  readonly checkFiles?: (values: Values<O>) => Promise<unknown>;
  /** Values that follow from others. */
  readonly settle?: (values: Values<O>) => Values<O>;
  /** The model's last layer, which settings may decide; logits over the vocabulary by default. */
  readonly head?: ModelHead | ((values: Values<O>) => ModelHead);
  /** The model with what else is trained along, if anything. */
  readonly complete?: (
    opened: OpenModel,
    values: Values<O>,
    say: (text: string) => void,
  ) => Promise<OpenModel>;
  readonly prepare: (
    rows: readonly Row[],
    context: PrepareContext<Values<O>>,
  ) => PreparedExamples<E>;
  /** A prepared example for people. */
  readonly describe: (example: E, tokenizer: Tokenizer) => string;
  readonly task: (
    context: TaskContext<E, Values<O>>,
  ) => Promise<Task<DecoderParams> | OnlineTask<DecoderParams>>;
  /** Answers in place of sampled ones, if the settings name any. */
  readonly rollout?: (values: Values<O>) => Promise<RolloutFunction | undefined>;
  /** The reporters that the settings ask for, beside those of all recipes. */
  readonly report?: (reporter: Reporter, values: Values<O>) => Reporter;
}

/** Who runs a recipe. */
export interface Host {
  /** Opens the device, and says which. */
  readonly openDevice: (
    asked: { readonly device: DeviceName; readonly threads: number | undefined },
    say: (text: string) => void,
  ) => Promise<Device>;
  /** Whether the device ends with the run. */
  readonly ownsDevice: boolean;
  /** A model that is open, in place of a directory. */
  readonly model?: ModelInMemory | undefined;
  /** Rows to learn from, or to evaluate on, in place of files. */
  readonly rows?: GivenRows | undefined;
  /** Shows downloads that `body` makes. */
  readonly showingDownloads?: <T>(body: (access: HubAccess) => Promise<T>) => Promise<T>;
  /** Who is told of the run; closed at its end. */
  readonly reporter: (values: FinetuneValues) => Reporter;
  /** A signal that asks to stop after the step, with a checkpoint; `dispose` when the training has ended. */
  readonly interrupt: (
    say: (text: string) => void,
  ) => { readonly signal: AbortSignal; readonly dispose: () => void };
}
