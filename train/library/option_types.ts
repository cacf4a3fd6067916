/**
 * The types of the library's options, written from the declarations of the settings: an interface for each recipe, with
 * a doc comment on each option.
 *
 * @module
 */

import type { Option, Options } from "../settings/option.ts";
import { optionName } from "./settings_of.ts";

/** An interface to be written. */
interface Written {
  readonly name: string;
  readonly doc: string;
  readonly extending: readonly string[];
  readonly options: Readonly<Record<string, Option<unknown>>>;
}

/** What an interface is written for. */
export interface Described {
  /** `sft`, `online-dpo`. */
  readonly name: string;
  readonly summary: string;
  /** Whether it learns from answers that it samples. */
  readonly online: boolean;
  readonly options: Options;
}

/** Options that a script gives in another form. */
const inAnotherForm = new Set(["model_name_or_path", "dataset_name", "config", "debug"]);

/** `OnlineDpoOptions` of `online-dpo`. */
function interfaceName(recipe: string): string {
  return recipe.split("-").map((word) => word[0]!.toUpperCase() + word.slice(1)).join("") +
    "Options";
}

function offered(options: Options): Options {
  return Object.fromEntries(
    Object.entries(options).filter(([name, { status }]) =>
      status.kind === "works" && !inAnotherForm.has(name)
    ),
  );
}

function written(name: string, option: Option<unknown>): string {
  const type = option.type + (option.optional && option.default !== undefined ? " | null" : "");
  return [
    `  /** ${documented(option)} */`,
    `  readonly ${optionName(name)}?: ${type} | undefined;`,
  ].join("\n");
}

function documented({ help, default: initial }: Option<unknown>): string {
  const sentence = help.replaceAll("*/", "*\\/");
  return initial === undefined ? sentence : `${sentence} Default: \`${JSON.stringify(initial)}\`.`;
}

function interfaceText({ name, doc, extending, options }: Written): string {
  const base = extending.length === 0 ? "" : ` extends ${extending.join(", ")}`;
  const lines = Object.entries(options).map(([key, option]) => written(key, option));
  return `/** ${doc} */\nexport interface ${name}${base} {\n${lines.join("\n")}\n}\n`;
}

/** Options that are declared in the same way in all of several sets. */
function common(sets: readonly Options[]): Options {
  const [first, ...rest] = sets;
  return Object.fromEntries(
    Object.entries(first!).filter(([name, option]) =>
      rest.every((set) => set[name] && written(name, set[name]) === written(name, option))
    ),
  );
}

function without(options: Options, names: readonly string[]): Options {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !names.includes(name)));
}

const header = (about: string, imports: readonly string[]) =>
  `/** ${about} Written by \`deno task options\` from the declarations of the settings. @module */\n\n` +
  imports.map((line) => `${line}\n`).join("") + (imports.length > 0 ? "\n" : "");

/** The type names that signatures of functions mention. */
const named = [
  ...[
    "AnswerLogProbs",
    "BcoLogProbs",
    "KtoLogProbs",
    "NashMdTokens",
    "OwnObjective",
    "PairLogProbs",
  ],
  ...["PairRewards", "PpoTokens", "PpoValues", "RewardArguments", "Rewards", "RolloutTokens"],
  ...["TokenClasses", "TokenLogProbs", "TpoLogProbs", "XpoLogProbs"],
];

function imports(text: string, from: Readonly<Record<string, readonly string[]>>): string[] {
  return Object.entries(from).flatMap(([file, names]) => {
    const used = names.filter((name) => new RegExp(`\\b${name}\\b`).test(text));
    return used.length === 0 ? [] : [`import type { ${used.join(", ")} } from "${file}";`];
  });
}

function file(about: string, interfaces: readonly Written[], isBase = false): string {
  const text = interfaces.map(interfaceText).join("\n");
  return header(
    about,
    imports(text, {
      "../../../core/mod.ts": ["DeviceName"],
      "../../../rl/mod.ts": named,
      "../recipes.ts": ["ScriptOptions"],
      ...(isBase ? {} : { "./training.ts": ["OnlineOptions", "TrainingOptions"] }),
    }),
  ) + text;
}

/** The files of options by their names, not yet formatted. */
export function optionFiles(
  recipes: readonly Described[],
  generation: Options,
): Record<string, string> {
  const sets = recipes.map(({ options }) => offered(options));
  const training = common(sets);
  const sampling = without(
    common(sets.filter((_, i) => recipes[i]!.online)),
    Object.keys(training),
  );
  const isLora = (name: string) => /^(lora_|use_(dora|rslora)|init_lora)/.test(name);
  const lora = Object.fromEntries(
    Object.entries(training).filter(([name]) => isLora(name)).map((
      [name, option],
    ) => [name.replace(/^lora_/, ""), option]),
  );
  const rest = Object.fromEntries(Object.entries(training).filter(([name]) => !isLora(name)));
  const loraOption = `  /** An adapter: its settings, or true for the defaults. */
  readonly lora?: boolean | LoraOptions | undefined;
`;
  const base = file("Options that recipes share.", [
    { name: "LoraOptions", doc: "An adapter of low rank.", extending: [], options: lora },
    {
      name: "TrainingOptions",
      doc: "Options of all recipes.",
      extending: ["ScriptOptions"],
      options: rest,
    },
    {
      name: "OnlineOptions",
      doc: "Options of the recipes that learn from sampled answers.",
      extending: ["TrainingOptions"],
      options: sampling,
    },
  ], true);
  const files: Record<string, string> = {
    "training.ts": base.replace(
      /(export interface TrainingOptions [^{]*\{\n)/,
      `$1${loraOption}`,
    ),
    "generation.ts": file("Options of generating.", [{
      name: "GenerationOptions",
      doc: "How answers are generated.",
      extending: [],
      options: without(offered(generation), ["prompts", "split", "output", "device", "threads"]),
    }]),
  };
  recipes.forEach(({ name, summary, online }, i) => {
    const shared = Object.keys(online ? { ...training, ...sampling } : training);
    files[`${name.replaceAll("-", "_")}.ts`] = file(`Options of ${name}.`, [{
      name: interfaceName(name),
      doc: summary,
      extending: [online ? "OnlineOptions" : "TrainingOptions"],
      options: without(sets[i]!, shared),
    }]);
  });
  return files;
}

/** `onlineDpo` of `online-dpo`. */
function functionName(recipe: string): string {
  return recipe.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** The file of the functions, not yet formatted. */
export function functionsFile(recipes: readonly Described[]): string {
  const sorted = recipes.toSorted((a, b) => a.name < b.name ? -1 : 1);
  const file = (name: string) => `${name.replaceAll("-", "_")}.ts`;
  const lines = [
    ...sorted.map(({ name }) =>
      `import { ${functionName(name)}Recipe } from "../../recipes/${file(name)}";`
    ),
    'import { runRecipe } from "../recipes.ts";',
    'import type { Run } from "../run.ts";',
    ...sorted.map(({ name }) => `import type { ${interfaceName(name)} } from "./${file(name)}";`),
  ];
  const functions = sorted.map(({ name, summary }) =>
    `/**
 * ${summary}
 *
 * @throws {UserError} On an option that is not there, wrong or missing.
 */
export function ${functionName(name)}(options: ${interfaceName(name)}): Run {
  return runRecipe(${functionName(name)}Recipe, options);
}
`
  );
  return header("A function for each recipe.", lines) + functions.join("\n");
}
