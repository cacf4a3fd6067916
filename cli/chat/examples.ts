/** Prompts to try a model with. @module */

import { UserError } from "../../core/errors.ts";
import { isRecord, readTextFile } from "../../data/files/json_files.ts";
import { parseYaml } from "../yaml.ts";

/** Prompts by name. */
export type Examples = Readonly<Record<string, string>>;

/** Those of TRL's chat. */
export const defaultExamples: Examples = {
  llama: "There is a Llama in my lawn, how can I get rid of it?",
  code: "Write a Python function that integrates any Python function f(x) numerically over an " +
    "arbitrary interval [x_start, x_end].",
  helicopter: "How many helicopters can a human eat in one sitting?",
  numbers: "Count to 10 but skip every number ending with an 'e'",
  birds: "Why aren't birds real?",
  socks: "Why is it important to eat socks after meditating?",
};

/**
 * Reads examples from a YAML file: names with a `text`, or with the text itself, perhaps all under the key
 * `examples`.
 *
 * @throws {UserError} if the file cannot be read, or is something else
 */
export async function readExamples(path: string): Promise<Examples> {
  const text = await readTextFile(path);
  const wrong = (what: string) =>
    new UserError(
      `The examples in ${path} cannot be used: ${what}. Expected names with prompts, such as ` +
        `"socks: {text: Why eat socks?}".`,
    );
  const parsed: unknown = parseYaml(text, path).document.toJS();
  const root = isRecord(parsed) && isRecord(parsed["examples"]) && !("text" in parsed["examples"])
    ? parsed["examples"]
    : parsed;
  if (!isRecord(root)) throw wrong("it is no mapping");
  return Object.fromEntries(
    Object.entries(root).map(([name, entry]) => {
      const prompt = isRecord(entry) ? entry["text"] : entry;
      if (typeof prompt === "string" && prompt.trim() !== "") return [name, prompt];
      throw wrong(`"${name}" has no text`);
    }),
  );
}
