/**
 * `deno task options`: writes the types of the library's options and its functions from the declarations of the settings.
 *
 * @module
 */

import { catalogue } from "../recipes/catalogue.ts";
import { generateOptions } from "../settings/generate.ts";
import { functionsFile, optionFiles } from "./option_types.ts";

/** Writes the files into a directory, and formats them. */
export async function writeOptions(directory: string): Promise<void> {
  const recipes = await Promise.all(catalogue.map(async (entry) => ({
    ...entry,
    options: (await entry.load()).options,
  })));
  const files = {
    ...optionFiles(recipes, generateOptions),
    "functions.ts": functionsFile(recipes),
  };
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${directory}/${name}`, text);
  }
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--quiet", "--config", config, ...Object.keys(files)],
    cwd: directory,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

if (import.meta.main) await writeOptions(new URL("./options", import.meta.url).pathname);
