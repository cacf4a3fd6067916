/** Writing a tokenizer beside a trained model, so that transformers loads it from there. */

import { filesIn } from "../chat/chat_template_files.ts";
import { isRecord, readJsonFile, readTextFile } from "../files/json_files.ts";
import type { Tokenizer, TokenizerOverrides } from "./tokenizer.ts";

const COPIED = [
  "tokenizer.json",
  "tokenizer.model",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "vocab.txt",
  "merges.txt",
  "spiece.model",
  "chat_template.jinja",
  "chat_template.json",
] as const;

/** What a copied tokenizer should say in place of the original. */
export interface CopiedTokenizer extends Pick<TokenizerOverrides, "eosToken" | "padToken"> {
  /** The text of the chat template that was used, where it is not the original's. */
  readonly chatTemplate?: string;
}

/**
 * Copies the tokenizer files of the directory `from` into the directory `to` (which exists), with
 * the changed end-of-sequence and padding tokens and chat template written in.
 *
 * Files that are not there are passed over, so a directory without a tokenizer copies nothing.
 */
export async function copyTokenizerFiles(
  from: string,
  to: string,
  changes: CopiedTokenizer = {},
): Promise<void> {
  const present = await filesIn(from);
  for (const name of COPIED) {
    if (present.includes(name)) await copyFile(`${from}/${name}`, `${to}/${name}`);
  }
  const additional = (await filesIn(`${from}/additional_chat_templates`))
    .filter((name) => name.endsWith(".jinja"));
  if (additional.length > 0 && changes.chatTemplate === undefined) {
    const folder = "additional_chat_templates";
    await Deno.mkdir(`${to}/${folder}`, { recursive: true });
    for (const name of additional) {
      await copyFile(`${from}/${folder}/${name}`, `${to}/${folder}/${name}`);
    }
  }

  const tokens: Record<string, string> = {};
  if (changes.eosToken !== undefined) tokens["eos_token"] = changes.eosToken;
  if (changes.padToken !== undefined) tokens["pad_token"] = changes.padToken;
  for (const name of ["tokenizer_config.json", "special_tokens_map.json"]) {
    const original = await readJsonFile(`${from}/${name}`);
    const isWanted = name === "tokenizer_config.json" && Object.keys(tokens).length > 0;
    if (original === undefined && !isWanted) continue;
    const changed: Record<string, unknown> = { ...original };
    for (const [key, text] of Object.entries(tokens)) {
      const entry = changed[key];
      changed[key] = isRecord(entry) ? { ...entry, content: text } : text;
    }
    if (changes.chatTemplate !== undefined) delete changed["chat_template"];
    await Deno.writeTextFile(`${to}/${name}`, `${JSON.stringify(changed, null, 2)}\n`);
  }
  if (changes.chatTemplate !== undefined) {
    await Deno.writeTextFile(`${to}/chat_template.jinja`, changes.chatTemplate);
  }
}

/**
 * Writes the files of a loaded tokenizer into the directory `to` (which exists) as it was used: with
 * its padding token named even where the checkpoint had none, and with the overrides it was loaded
 * with.
 */
export async function saveTokenizer(tokenizer: Tokenizer, to: string): Promise<void> {
  const { overrides, padToken, chatTemplates, definition } = tokenizer;
  await copyTokenizerFiles(tokenizer.directory, to, {
    ...(overrides.eosToken !== undefined && { eosToken: overrides.eosToken }),
    ...(padToken !== undefined && { padToken }),
    ...(overrides.chatTemplatePath !== undefined && chatTemplates.default !== undefined &&
      { chatTemplate: chatTemplates.default }),
  });
  // What was made of older files, so that others need not make it again.
  if (!tokenizer.hasFile) {
    await Deno.writeTextFile(`${to}/tokenizer.json`, JSON.stringify(definition));
  }
}

/** Copies the text of a file, whatever its permissions: the copy should be writable again. */
async function copyFile(from: string, to: string): Promise<void> {
  if (from.endsWith(".model")) await Deno.writeFile(to, await Deno.readFile(from));
  else await Deno.writeTextFile(to, await readTextFile(from));
}
