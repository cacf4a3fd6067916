/** Reward functions by what `--reward_funcs` calls them. @module */

import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { UserError } from "../../core/errors.ts";
import { statIfPresent } from "../../data/local_paths.ts";
import {
  builtInReward,
  builtInRewardNames,
  type NamedReward,
  type RewardFunction,
} from "../../rl/mod.ts";
import { openModel } from "../../train/model_directory.ts";
import { modelReward } from "../../train/model_reward.ts";

/** Flags that say what judges answers. */
export interface JudgeValues {
  readonly reward_funcs: readonly string[] | undefined;
  readonly reward_model_name_or_path: string | undefined;
  readonly seed: number;
}

/**
 * The reward functions: a reward model first, then those of `--reward_funcs`.
 *
 * @throws UserError if one is neither a built-in name, nor a function of a module, nor a directory.
 */
export async function openJudges(
  values: JudgeValues,
  settings: { readonly maxCompletionLength: number },
): Promise<NamedReward[]> {
  const { reward_model_name_or_path: model, reward_funcs: names = [] } = values;
  const rewards: NamedReward[] = [];
  if (model !== undefined) rewards.push(await modelAt(model, values.seed));
  for (const name of names) {
    if (builtInRewardNames.includes(name)) rewards.push(builtInReward(name, settings));
    else if (/\.[cm]?[jt]s(:|$)/.test(name)) rewards.push(await functionAt(name));
    else if (await statIfPresent(name)) rewards.push(await modelAt(name, values.seed));
    else if (/\.py(:|$)/.test(name)) {
      throw new UserError(
        `--reward_funcs has ${name}: rewards are functions of TypeScript or JavaScript here. Write it as ` +
          "({ completions, columns }) => number[] in a .ts file.",
      );
    } else {
      throw new UserError(
        `--reward_funcs has ${name}, which is neither a built-in reward (${
          builtInRewardNames.join(", ")
        }), nor a function of a module (./file.ts:function), nor the directory of a reward model.`,
      );
    }
  }
  return rewards;
}

async function modelAt(directory: string, seed: number): Promise<NamedReward> {
  const opened = await openModel({ directory, seed, head: { kind: "sequence", labels: 1 } });
  return { name: basename(directory), reward: modelReward({ opened }) };
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
      `${path} exports no function ${name}; it exports ${
        Object.keys(module).join(", ") || "nothing"
      }. A reward is ` +
        "a function ({ prompts, completions, columns, … }) => number[].",
    );
  }
  const shown = name === "default" ? basename(path).replace(/\.[cm]?[jt]s$/, "") : name;
  return { name: shown, reward: reward as RewardFunction };
}
