/** Where a checkpoint keeps its chat templates. */

import { isRecord, readJsonFile, readTextFileIfPresent } from "../files/json_files.ts";

/** Chat templates by name; the usual one is `default`. */
export interface ChatTemplates {
  /** The template for every use that has none of its own. */
  readonly default?: string;
  /** The template for conversations with tools. */
  readonly tool_use?: string;
  /** Further templates. */
  readonly [name: string]: string | undefined;
}

/**
 * The chat templates of a checkpoint directory: `chat_template.jinja` (and
 * `additional_chat_templates/*.jinja`), else what `tokenizer_config.json` holds, a text or a list of
 * `{ name, template }`; else `chat_template.json` of older processors. Empty if there are none.
 */
export async function readChatTemplates(directory: string): Promise<ChatTemplates> {
  const templates: Record<string, string> = {};
  const config = await readJsonFile(`${directory}/tokenizer_config.json`);
  const stored = config?.["chat_template"] ??
    (await readJsonFile(`${directory}/chat_template.json`))?.["chat_template"];
  if (typeof stored === "string") templates["default"] = stored;
  for (const entry of Array.isArray(stored) ? stored : []) {
    if (isRecord(entry) && typeof entry["template"] === "string") {
      templates[String(entry["name"])] = entry["template"];
    }
  }
  const file = await readTextFileIfPresent(`${directory}/chat_template.jinja`);
  if (file !== undefined) templates["default"] = file;
  const additional = `${directory}/additional_chat_templates`;
  for (const name of await filesIn(additional)) {
    const text = await readTextFileIfPresent(`${additional}/${name}`);
    if (name.endsWith(".jinja") && text !== undefined) {
      templates[name.slice(0, -".jinja".length)] = text;
    }
  }
  return templates;
}

/** The names of the files in a directory, sorted; none if there is no such directory. */
export async function filesIn(directory: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(directory)) if (entry.isFile) names.push(entry.name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names.sort();
}
