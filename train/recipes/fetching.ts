/** Models that settings name, brought here before anything else takes time. @module */

import { localModel, type LocalModelOptions } from "../../data/hub/local_model.ts";
import type { HubAccess } from "../../data/hub/snapshot.ts";
import { isAdapterDirectory, readAdapterConfig, resolveBaseModel } from "../files/adapter_files.ts";
import { revisionOf } from "../settings/model.ts";
import type { Options } from "../settings/option.ts";
import { type JudgeNames, judgingModels } from "./online/judges.ts";

/** Values of settings of which some name models. */
export interface NamingValues {
  readonly model_revision?: string;
  readonly dry_run?: boolean;
}

/**
 * Downloads the reward models that settings name and that are not here. Of a dry run, shapes are enough.
 *
 * @throws {UserError} as {@link localModel}
 */
export async function fetchJudges(
  values: NamingValues & Partial<JudgeNames>,
  access: HubAccess = {},
): Promise<void> {
  for (const name of await judgingModels(values)) {
    await fetchModel(name, { ...access, part: partOf(values), what: "reward model" });
  }
}

/**
 * Downloads what else settings name and is not here: models, the bases of adapters, tokenizers. Of a dry run, shapes are
 * enough.
 *
 * @throws {UserError} as {@link localModel}
 */
export async function fetchModels(
  options: Options,
  values: NamingValues,
  access: HubAccess = {},
): Promise<void> {
  const part = partOf(values);
  for (const [setting, { names }] of Object.entries(options)) {
    const name = (values as Readonly<Record<string, unknown>>)[setting];
    if (typeof name !== "string" || names === undefined || names === "reward model") continue;
    const revision = setting === "model_name_or_path" ? revisionOf(values) : undefined;
    if (names !== "tokenizer") await fetchModel(name, { ...access, part, revision, what: names });
    else if (!isTemplateFile(name)) await localModel(name, { ...access, part: names, what: names });
  }
}

function partOf({ dry_run }: NamingValues): "shapes" | "whole" {
  return dry_run ? "shapes" : "whole";
}

/** A chat template may be a file of its own. */
function isTemplateFile(name: string): boolean {
  return /\.(jinja|j2)$/.test(name);
}

/** Downloads a model, and if it is an adapter, its base. */
async function fetchModel(name: string, options: LocalModelOptions): Promise<void> {
  const directory = await localModel(name, options);
  if (!await isAdapterDirectory(directory)) return;
  const { revision: _, ...access } = options;
  await resolveBaseModel(directory, await readAdapterConfig(directory), access);
}
