/** A script's options as settings. @module */

import { UserError } from "../../core/errors.ts";
import type { Options, Values } from "../settings/option.ts";
import {
  nameTable,
  type ReadSettings,
  readSettings,
  type Setting,
  suggestion,
  UnknownOption,
} from "../settings/read.ts";

/** Settings that a script calls by a shorter name. */
const shortNames: Readonly<Record<string, string>> = {
  dataset_name: "dataset",
  tokenizer_name: "tokenizer",
  reward_funcs: "rewards",
  formatting_func: "formatting",
};

/** `learningRate` of `learning_rate`, and `model` of `model_name_or_path`. */
export function optionName(setting: string): string {
  if (Object.hasOwn(shortNames, setting)) return shortNames[setting]!;
  return setting.replace(/_name_or_path$/, "").replaceAll(
    /_(\w)/g,
    (_, letter: string) => letter.toUpperCase(),
  );
}

/**
 * Reads a script's options against declared settings. `lora: { r: 16 }` is `usePeft` and `loraR`, `lora: true` the
 * first alone. What is undefined is not given; null unsets what can be unset.
 *
 * @throws {UserError} On an unknown, bad, missing or refused option.
 */
export function settingsOf<O extends Options>(
  options: object,
  table: O,
  check?: (values: Values<O>) => void,
): ReadSettings<Values<O>> {
  const names = nameTable(table);
  const settings: Setting[] = [];
  const byOption = new Map([...names.keys()].map((name) => [optionName(name), name]));
  // A name that is none comes out as one that is near.
  const settingName = (option: string) =>
    byOption.get(option) ?? option.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const add = (written: string, setting: string, raw: unknown) => {
    const known = names.get(setting);
    if (known === undefined) {
      const { text, known: explained } = suggestion(setting, names, optionName);
      throw new UnknownOption(`There is no option ${written}.${text}`, written, setting, explained);
    }
    if (raw !== undefined) settings.push({ ...known, raw, label: written });
  };
  for (const [written, raw] of Object.entries(options)) {
    if (written === "lora" && names.has("use_peft")) addLora(raw, settingName, add);
    else add(written, settingName(written), raw);
  }
  return readSettings(settings, table, { spell: optionName, check });
}

function addLora(
  raw: unknown,
  settingName: (option: string) => string,
  add: (written: string, setting: string, raw: unknown) => void,
): void {
  if (raw === undefined || raw === null || raw === false) return;
  if (raw !== true && typeof raw !== "object") {
    throw new UserError(`Bad value for lora: ${String(raw)}. Expected true, or { r, alpha, … }.`);
  }
  add("lora", "use_peft", true);
  for (const [written, value] of Object.entries(raw)) {
    const isWhole = /^(use|init)[A-Z]/.test(written);
    const option = isWhole ? written : `lora${written[0]?.toUpperCase()}${written.slice(1)}`;
    add(`lora.${written}`, settingName(option), value);
  }
}
