/** What plumb reads from a mutated file, in a form that can be held against what the reference reads. @module */

import { createHash } from "node:crypto";
import { parseConfig } from "../../cli/config_file.ts";
import { renderChat } from "../../data/chat/chat_template.ts";
import { readTextFile } from "../../data/files/json_files.ts";
import { Float } from "../../data/jinja/values.ts";
import { readDataset } from "../../data/readers/dataset.ts";
import { loadTokenizer } from "../../data/tokenizer/tokenizer.ts";
import { UserError } from "../../core/errors.ts";
import { openModel } from "../../train/files/model_directory.ts";
import { parseTrainerState } from "../../train/files/trainer_state.ts";
import { layOut, logitsOf } from "../nn/streams.ts";
import type { Kind } from "./inputs.ts";

/** Digests, numbers and texts by name. */
export type Reading = Readonly<Record<string, string | readonly number[]>>;

/** Texts that every tokenizer meets. */
export const texts = [
  "Hello, world! The quick brown fox.",
  " two  blanks\n\nand\ttabs 1234 café naïve 😀 <|im_start|>x<|im_end|> </s><s>",
  "",
];

const conversation = [
  { role: "system", content: "Be kind." },
  { role: "user", content: "Hi " },
  { role: "assistant", content: "Hello!" },
  { role: "user", content: "Bye" },
];

/** Token ids that every model meets. */
export const ids = [5, 17, 300, 42, 7, 8, 9];

/** Reads a path as its kind is read; `UserError` where plumb refuses it. */
export const readings: Readonly<Record<Kind, (path: string) => Promise<Reading>>> = {
  tokenizer: async (directory) => {
    const tokenizer = await loadTokenizer(directory);
    const encoded = texts.map((text) => tokenizer.encode(text));
    const decoded = encoded.map((row) => tokenizer.decode(row));
    return {
      ids: digest(encoded.map((row) => row.join()).join(";")),
      text: digest(decoded.join("\n")),
      eos: tokenizer.eosToken ?? "",
      bos: tokenizer.bosToken ?? "",
      chat: Object.keys(tokenizer.chatTemplates).length === 0
        ? ""
        : orRefused(() =>
          digest(renderChat(tokenizer, conversation, { addGenerationPrompt: true }))
        ),
    };
  },
  model: logits,
  adapter: logits,
  rows: async (path) => ({ rows: digest(canonical(await readDataset(path))) }),
  settings: async (path) => {
    const { entries } = parseConfig(await readTextFile(path), path);
    return { keys: entries.map(({ key }) => key).join() };
  },
  state: async (path) => {
    parseTrainerState(await readTextFile(path), path);
    return {};
  },
};

async function logits(directory: string): Promise<Reading> {
  const { model, params } = await openModel({ directory, seed: 0 });
  const { stream } = layOut([{ name: "row", ids, labels: ids }]);
  const all = await logitsOf(model, params, stream, { rotary: model.tables(ids.length) }).data();
  return {
    logits: Array.from(all.subarray(all.length - 6), (value) => Number(value.toPrecision(5))),
  };
}

function orRefused(read: () => string): string {
  try {
    return read();
  } catch (error) {
    if (error instanceof UserError) return "refused";
    throw error;
  }
}

/** Rows as text: keys in order of the alphabet, nulls left out, numbers by their value. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (value instanceof Float) return number(value.value);
  if (typeof value === "object" && value !== null) {
    const entries = value instanceof Map ? [...value] : Object.entries(value);
    const fields = entries.filter(([, field]) => field !== null && field !== undefined);
    return `{${
      fields.map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`).sort().join()
    }}`;
  }
  if (typeof value === "number" || typeof value === "bigint") return number(Number(value));
  return JSON.stringify(value ?? null);
}

/** A number as both sides write it. */
function number(value: number): string {
  return Number.isFinite(value) ? value.toExponential(12) : String(value);
}

function digest(text: string): string {
  return createHash("sha256").update(new TextEncoder().encode(text)).digest("hex").slice(0, 10);
}
