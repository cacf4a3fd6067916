/** Reward functions by what `--reward_funcs` calls them. @module */

import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { UserError } from "../../../core/errors.ts";
import { joinPath, statIfPresent } from "../../../data/files/local_paths.ts";
import { localModel } from "../../../data/hub/local_model.ts";
import {
  builtInReward,
  builtInRewardNames,
  type NamedReward,
  type RewardFunction,
} from "../../../rl/mod.ts";
import { classifierLabels, openClassifier } from "../../files/classifier_directory.ts";
import type { Code } from "../../settings/builders.ts";
import { modelReward, rewardedLabel } from "../../sampling/model_reward.ts";

/** Flags that say what judges answers. */
export interface JudgeValues {
  readonly reward_funcs: readonly Code[] | undefined;
  readonly reward_model_name_or_path: string | undefined;
  readonly seed: number;
}

/** What judges answers, as it is found without reading any model. */
type Judge =
  | { readonly kind: "built-in"; readonly name: string }
  | { readonly kind: "function"; readonly reward: NamedReward }
  | ({ readonly kind: "model" } & JudgingModel);

/** A reward model, and the label whose score is the reward if one is named. */
interface JudgingModel {
  /** Or its name on the Hub. */
  readonly directory: string;
  readonly label: string | undefined;
}

/** Where the flags say what judges answers; the reward model by either of its names. */
export type JudgeNames = Pick<JudgeValues, "reward_funcs"> & {
  readonly reward_model_name_or_path?: string | undefined;
  readonly reward_model_path?: string | undefined;
};

/**
 * Finds what judges answers: a reward model first, then what `--reward_funcs` names.
 *
 * @throws UserError if one is neither a built-in name, nor a function of a module, nor a directory of a model with a label
 * that is the reward.
 */
export async function findJudges(values: JudgeNames): Promise<readonly Judge[]> {
  const { reward_model_name_or_path, reward_model_path, reward_funcs: names = [] } = values;
  const model = reward_model_name_or_path ?? reward_model_path;
  const judges: Judge[] = [];
  if (model !== undefined) judges.push(await modelAt(model));
  for (const name of names) judges.push(await judgeBy(name));
  return judges;
}

async function judgeBy(name: Code): Promise<Judge> {
  if (typeof name === "function") {
    return {
      kind: "function",
      reward: { name: name.name || "reward", reward: name as RewardFunction },
    };
  }
  if (/\.py(:|$)/.test(name)) {
    throw new UserError(
      `--reward_funcs has ${name}: rewards are functions of TypeScript or JavaScript here. Write it as ` +
        "({ completions, columns }) => number[] in a .ts file, and give ./file.ts:function.",
    );
  }
  if (builtInRewardNames.includes(name)) return { kind: "built-in", name };
  if (/\.[cm]?[jt]s(:|$)/.test(name)) return { kind: "function", reward: await functionAt(name) };
  if (await isModel(name)) return await modelAt(name);
  if (/^[A-Za-z_]\w*(\.\w+)+$/.test(name)) {
    throw new UserError(
      `--reward_funcs has ${name}. If that is the path of a Python function: rewards are functions of TypeScript or ` +
        "JavaScript here, given as ./file.ts:function.",
    );
  }
  throw new UserError(
    `--reward_funcs has ${name}, which is neither a built-in reward (${
      builtInRewardNames.join(", ")
    }), nor a function of a module (./file.ts:function), nor a reward model (its directory or name on the Hub, also with :LABEL).`,
  );
}

/** Whether a reward function's name means a model: it is here, or is `organisation/name`. */
async function isModel(name: string): Promise<boolean> {
  const { directory } = labelled(name);
  return await statIfPresent(directory) !== undefined || await statIfPresent(name) !== undefined ||
    /^\w[\w.-]*\/\w[\w.-]*(@.+)?$/.test(directory);
}

/** The models among what judges answers, by their directories or names. */
export async function judgingModels(
  { reward_model_name_or_path, reward_model_path, reward_funcs = [] }: Partial<JudgeNames>,
): Promise<readonly string[]> {
  const models = [reward_model_name_or_path, reward_model_path]
    .filter((spec) => spec !== undefined);
  for (const name of reward_funcs) {
    if (typeof name === "string" && !isOtherReward(name) && await isModel(name)) models.push(name);
  }
  return await Promise.all(models.map(async (spec) => (await judgingModel(spec)).directory));
}

/** A name that cannot be a model's: of a built-in reward, or of a module. */
function isOtherReward(name: string): boolean {
  return builtInRewardNames.includes(name) || /\.([cm]?[jt]s|py)(:|$)/.test(name);
}

async function judgingModel(spec: string): Promise<JudgingModel> {
  return await statIfPresent(spec) ? { directory: spec, label: undefined } : labelled(spec);
}

/** `path:LABEL`, or `path` alone; a colon behind a single letter is Windows's. */
function labelled(spec: string): JudgingModel {
  const cut = /^(.{2,}):([^/\\]+)$/.exec(spec);
  return cut ? { directory: cut[1]!, label: cut[2]! } : { directory: spec, label: undefined };
}

async function modelAt(spec: string): Promise<Judge> {
  const model = await judgingModel(spec);
  const { directory, label } = model;
  const local = await localModel(directory, { part: "shapes", what: "reward model" });
  const files = ["config.json", "adapter_config.json"].map((name) => joinPath(local, name));
  if (!(await Promise.all(files.map(statIfPresent))).some((file) => file !== undefined)) {
    throw new UserError(
      `${directory} is no reward model: a directory with config.json (or adapter_config.json) and weights is ` +
        "expected.",
    );
  }
  rewardedLabel({ directory, labels: await classifierLabels(directory) }, label);
  return { kind: "model", ...model };
}

/** Opens what {@linkcode findJudges} finds. */
export async function openJudges(
  values: JudgeValues,
  settings: {
    readonly maxCompletionLength: number;
    /** Told what a user should know of the models' files. */
    readonly notice?: ((text: string) => void) | undefined;
  },
): Promise<NamedReward[]> {
  const rewards: NamedReward[] = [];
  for (const judge of await findJudges(values)) {
    if (judge.kind === "built-in") rewards.push(builtInReward(judge.name, settings));
    else if (judge.kind === "function") rewards.push(judge.reward);
    else rewards.push(await openRewardModel(judge, values.seed, settings.notice));
  }
  return rewards;
}

async function openRewardModel(
  { directory, label }: JudgingModel,
  seed: number,
  notice?: (text: string) => void,
): Promise<NamedReward> {
  const opened = await openClassifier({ directory, seed, notice });
  const own = basename(directory).replace(/@.*/s, "");
  const name = own + (label === undefined ? "" : `:${label}`);
  return { name, reward: modelReward({ opened, label }) };
}

/** `./file.ts:function`, or `./file.ts` for its default export. */
async function functionAt(spec: string): Promise<NamedReward> {
  const cut = /^(.*\.[cm]?[jt]s):([\w$]+)$/.exec(spec);
  const [path, name] = cut ? [cut[1]!, cut[2]!] : [spec, "default"];
  let module: Readonly<Record<string, unknown>>;
  try {
    module = await import(pathToFileURL(resolve(path)).href);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UserError(`The reward in ${path} cannot be loaded: ${reason}`, { cause: error });
  }
  const reward = module[name];
  if (typeof reward !== "function") {
    throw new UserError(
      `${path} exports no function ${name}${
        name in module ? " but a value of this name" : ""
      }; its exports are ${Object.keys(module).join(", ") || "none"}. A reward is ` +
        "a function ({ prompts, completions, columns, … }) => number[].",
    );
  }
  const shown = name === "default" ? basename(path).replace(/\.[cm]?[jt]s$/, "") : name;
  return { name: shown, reward: reward as RewardFunction };
}
