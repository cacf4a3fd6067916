/** The types of what `tokenizer_config.json` and its neighbours say, before anything is made of it. @module */

import { UserError } from "../../core/errors.ts";
import { isRecord, type JsonRecord } from "../files/json_files.ts";
import { specialTokenNames } from "./added_tokens.ts";

/** What a key may hold, in words and as a test. */
interface Expected {
  readonly what: string;
  readonly holds: (value: unknown) => boolean;
}

const token: Expected = {
  what: 'a text, or an object with the text as "content"',
  holds: (value) =>
    typeof value === "string" || (isRecord(value) && typeof value["content"] === "string"),
};

const tokens: Expected = {
  what: "a list or an object of tokens",
  holds: (value) =>
    (Array.isArray(value) ? value : isRecord(value) ? Object.values(value) : [0]).every(
      token.holds,
    ),
};

const expected: Readonly<Record<string, Expected>> = {
  ...Object.fromEntries(specialTokenNames.map((name) => [name, token])),
  additional_special_tokens: tokens,
  extra_special_tokens: tokens,
  added_tokens_decoder: {
    what: "an object from ids to tokens",
    holds: (value) =>
      isRecord(value) &&
      Object.entries(value).every(([id, each]) => /^\d+$/.test(id) && token.holds(each)),
  },
  tokenizer_class: { what: "a text", holds: (value) => typeof value === "string" },
  chat_template: {
    what: "a text, or a list of objects with a name and a template",
    holds: (value) =>
      typeof value === "string" ||
      (Array.isArray(value) &&
        value.every((each) =>
          isRecord(each) && typeof each["name"] === "string" && typeof each["template"] === "string"
        )),
  },
};

/**
 * Checks a file's keys; null counts as not said.
 *
 * @throws {UserError} naming the file, the key and what it holds
 */
export function checkTokenizerConfig(config: JsonRecord, path: string): void {
  for (const [key, { what, holds }] of Object.entries(expected)) {
    const value = config[key];
    if (value === undefined || value === null || holds(value)) continue;
    throw new UserError(
      `${path}: ${key} is ${
        JSON.stringify(value).slice(0, 80)
      }, and ${what} was expected. Mend the file, or download ` +
        "it again.",
    );
  }
}
