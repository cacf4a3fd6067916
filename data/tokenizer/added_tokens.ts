/** Tokens that stand beside a vocabulary, wherever a checkpoint declares them. @module */

import { isRecord, type JsonRecord } from "../files/json_files.ts";

/** A token as `tokenizer.json` has it. */
export interface DeclaredToken {
  /** Its id. */
  readonly id: number;
  /** Its text. */
  readonly content: string;
  /** Whether decoding may skip it. */
  readonly special: boolean;
  /** Counts only where it is a whole word. */
  readonly single_word: boolean;
  /** Takes the blanks before it. */
  readonly lstrip: boolean;
  /** Takes the blanks behind it. */
  readonly rstrip: boolean;
  /** Is looked for in the text after its normaliser. */
  readonly normalized: boolean;
}

/** The files that declare tokens, as far as they are there. */
export interface TokenFiles {
  /** `tokenizer.json`. */
  readonly definition: JsonRecord;
  /** `tokenizer_config.json`. */
  readonly config: JsonRecord;
  /** `special_tokens_map.json`. */
  readonly map: JsonRecord;
  /** `added_tokens.json`: ids by text. */
  readonly added: JsonRecord;
}

/** Keys of named special tokens. */
export const specialTokenNames = [
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
] as const;

/**
 * The definition with the tokens in it that only other files declare, as transformers adds them: what is in the
 * vocabulary keeps its id there, anything else gets the next free one.
 */
export function withDeclaredTokens(files: TokenFiles): JsonRecord {
  const { definition } = files;
  const own = Array.isArray(definition["added_tokens"])
    ? definition["added_tokens"].filter(isRecord)
    : [];
  const known = new Set(own.map(({ content }) => content));
  const vocabulary = vocabularyOf(definition);
  let next = Math.max(
    vocabulary.size,
    ...own.map(({ id }) => Number(id) + 1).filter(Number.isSafeInteger),
  );
  const added: DeclaredToken[] = [];
  for (const token of declaredTokens(files)) {
    if (known.has(token.content) || token.content === "") continue;
    known.add(token.content);
    added.push({ ...token, id: vocabulary.get(token.content) ?? next++ });
  }
  return added.length === 0 ? definition : { ...definition, added_tokens: [...own, ...added] };
}

/** All declarations outside `tokenizer.json`: by id, then the named ones, then the rest. */
function declaredTokens({ config, map, added }: TokenFiles): Omit<DeclaredToken, "id">[] {
  const decoder = isRecord(config["added_tokens_decoder"]) ? config["added_tokens_decoder"] : {};
  const byId = Object.entries(decoder).sort(([a], [b]) => Number(a) - Number(b))
    .map(([, token]) => tokenOf(token, false));
  const listed = Object.entries(added).sort(([, a], [, b]) => Number(a) - Number(b))
    .map(([content]) => tokenOf(content, false));
  const special = [config, map].flatMap((file) => [
    ...specialTokenNames.map((name) => file[name]),
    ...["additional_special_tokens", "extra_special_tokens"].flatMap((name) => {
      const tokens = file[name];
      return Array.isArray(tokens) ? tokens : isRecord(tokens) ? Object.values(tokens) : [];
    }),
  ]).map((token) => tokenOf(token, true));
  return [...byId, ...listed, ...special].filter((token) => token !== undefined);
}

/** A declaration: a text, or an object with the token's properties. */
function tokenOf(declared: unknown, special: boolean): Omit<DeclaredToken, "id"> | undefined {
  const properties = isRecord(declared) ? declared : {};
  const content = isRecord(declared) ? declared["content"] : declared;
  if (typeof content !== "string") return undefined;
  const is = (name: string, otherwise = false) =>
    typeof properties[name] === "boolean" ? properties[name] : otherwise;
  const isSpecial = special || is("special");
  return {
    content,
    special: isSpecial,
    single_word: is("single_word"),
    lstrip: is("lstrip"),
    rstrip: is("rstrip"),
    normalized: is("normalized", !isSpecial),
  };
}

/** Ids by token: a map of them, or the list of a Unigram model. */
function vocabularyOf({ model }: JsonRecord): ReadonlyMap<string, number> {
  const vocab = isRecord(model) ? model["vocab"] : undefined;
  if (Array.isArray(vocab)) return new Map(vocab.map((entry, id) => [String(entry?.[0]), id]));
  return new Map(
    isRecord(vocab) ? Object.entries(vocab).map(([token, id]) => [token, Number(id)]) : [],
  );
}

/** What is wrong with the ids of a definition: the first that is not whole, negative or too large. */
export function findBadId({ model, added_tokens: added }: JsonRecord): string | undefined {
  if (added !== undefined && added !== null && !Array.isArray(added)) {
    return `added_tokens is ${JSON.stringify(added).slice(0, 40)}, not a list`;
  }
  const vocab = isRecord(model) ? model["vocab"] : undefined;
  if (!isRecord(vocab)) return undefined;
  for (const [token, id] of Object.entries(vocab)) {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) > 0xffff_ffff) {
      return `the vocabulary's entry ${JSON.stringify(token)} has the id ${JSON.stringify(id)}`;
    }
  }
  return undefined;
}
