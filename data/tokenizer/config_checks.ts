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

const truth: Expected = {
  what: "true or false",
  holds: (value) => typeof value === "boolean",
};
const side: Expected = {
  what: '"left" or "right"',
  holds: (value) => value === "left" || value === "right",
};

const expected: Readonly<Record<string, Expected>> = {
  ...Object.fromEntries(
    [
      "add_bos_token",
      "add_eos_token",
      "add_prefix_space",
      "clean_up_tokenization_spaces",
      "do_lower_case",
      "legacy",
      "split_special_tokens",
      "strip_accents",
      "tokenize_chinese_chars",
      "trim_offsets",
    ].map((key) => [key, truth]),
  ),
  model_max_length: { what: "a number", holds: (value) => typeof value === "number" },
  padding_side: side,
  truncation_side: side,
  extra_ids: {
    what: "a whole number",
    holds: (value) => Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) < 1e5,
  },

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

/** What is wrong with the ids of a definition: the first that is not whole, negative or too large. */
export function findBadId({ model, added_tokens: added }: JsonRecord): string | undefined {
  if (added !== undefined && added !== null && !Array.isArray(added)) {
    return `added_tokens is ${JSON.stringify(added).slice(0, 40)}, not a list`;
  }
  for (const token of added ?? []) {
    if (
      !isRecord(token) || typeof token["content"] !== "string" || !Number.isInteger(token["id"])
    ) {
      return `added_tokens has ${
        JSON.stringify(token).slice(0, 80)
      }, which is no token with a content and an id`;
    }
  }
  const vocab = isRecord(model) ? model["vocab"] : undefined;
  if (!isRecord(vocab)) return undefined;
  for (const [token, id] of Object.entries(vocab)) {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) > 0xffff_ffff) {
      return badId(token, id);
    }
  }
  return undefined;
}

/** An id that is whole but written as a fraction (`5.0`), which is lost once the text is parsed. */
export function findFractionalId({ model }: JsonRecord, text: string): string | undefined {
  const vocab = isRecord(model) ? model["vocab"] : undefined;
  if (!isRecord(vocab)) return undefined;
  for (
    const [, key, number] of text.matchAll(
      /"((?:[^"\\]|\\.)*)"\s*:\s*(-?\d+(?:\.|[eE])[\d.eE+-]*)/g,
    )
  ) {
    const token = JSON.parse(`"${key}"`);
    if (Object.hasOwn(vocab, token)) return badId(token, number);
  }
  return undefined;
}

function badId(token: string, id: unknown): string {
  return `the vocabulary's entry ${JSON.stringify(token)} has the id ${
    typeof id === "string" ? id : JSON.stringify(id)
  }`;
}
