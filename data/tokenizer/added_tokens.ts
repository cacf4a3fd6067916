/** Tokens that stand beside a vocabulary, wherever a checkpoint declares them, as transformers 5 joins them. @module */

import { isRecord, type JsonRecord } from "../files/json_files.ts";

/** What a token is, but for its id. */
export interface TokenProperties {
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

/** A token as `tokenizer.json` has it. */
export interface DeclaredToken extends TokenProperties {
  /** Its id. */
  readonly id: number;
}

/** The files that declare tokens, as far as they are there. */
export interface TokenFiles {
  /** `added_tokens` of `tokenizer.json`. */
  readonly own: readonly JsonRecord[];
  /** `tokenizer_config.json`. */
  readonly config: JsonRecord;
  /** `special_tokens_map.json`. */
  readonly map: JsonRecord;
  /** `added_tokens.json`: ids by text. */
  readonly added: JsonRecord;
}

/** What a tokenizer's class adds to the files. */
export interface ClassTokens {
  /** Named special tokens, where no file names them. */
  readonly tokens: Readonly<Record<string, string>>;
  /** Tokens that the vocabulary's file declares. */
  readonly fromVocabulary: readonly TokenProperties[];
  /** Special tokens without names. */
  readonly listed: (config: JsonRecord) => readonly string[];
  /** Special tokens are taken in their plain form. */
  readonly plainSpecials: boolean;
}

/** What all declarations come to. */
export interface JoinedTokens {
  /** `tokenizer_config.json` with what wins over it. */
  readonly config: JsonRecord;
  /** The texts of special tokens by their names. */
  readonly named: Record<string, string>;
  /** Tokens to add to the vocabulary, in this order; a later one of the same text wins. */
  readonly toAdd: readonly TokenProperties[];
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

const isNamed = (key: string) => specialTokenNames.some((name) => name === key);

/**
 * Joins the declarations. `added_tokens_decoder` of `tokenizer_config.json` shuts out the older files: without it,
 * `special_tokens_map.json` wins over the configuration, and `tokenizer.json` over `added_tokens.json`.
 */
export function joinTokens(files: TokenFiles, ofClass: ClassTokens): JoinedTokens {
  const config: Record<string, unknown> = { ...files.config };
  const list = config["additional_special_tokens"];
  delete config["additional_special_tokens"];
  if (list !== undefined && !("extra_special_tokens" in config)) {
    config["extra_special_tokens"] = list;
  }
  const furtherNamed: Record<string, unknown> = {};
  const takeNamed = () => {
    const extra = config["extra_special_tokens"];
    if (!isRecord(extra)) return;
    Object.assign(furtherNamed, extra);
    delete config["extra_special_tokens"];
  };
  for (const [key, value] of Object.entries(config)) {
    if (!key.endsWith("_token") || isNamed(key)) continue;
    if (typeof value !== "string" && !isRecord(value)) continue;
    furtherNamed[key] = value;
    delete config[key];
  }
  takeNamed();
  const known = declaredById(files, config);
  takeNamed();

  const values = new Map<string, unknown>();
  for (const name of new Set([...specialTokenNames, ...Object.keys(ofClass.tokens)])) {
    const given = config[name];
    if (given === undefined) values.set(name, ofClass.tokens[name]);
    else values.set(name, known.get(textOf(given) ?? "") ?? given);
  }
  for (const [name, value] of Object.entries(furtherNamed)) values.set(name, value);
  const named: Record<string, string> = {};
  const special: TokenProperties[] = [];
  for (const [name, value] of values) {
    const text = textOf(value);
    if (text === undefined) continue;
    named[name] = text;
    special.push(tokenOf(value, { special: true })!);
  }
  const additional = ofClass.fromVocabulary.length > 0
    ? ofClass.fromVocabulary
    : listOf(config["additional_special_tokens"]);
  const extra = "extra_special_tokens" in config
    ? listOf(config["extra_special_tokens"])
    : [...additional, ...ofClass.listed(config)];
  special.push(
    ...extra.map((token) => tokenOf(token, { special: true, unlessSaid: true }))
      .filter((token) => token !== undefined),
  );

  const texts = new Set([
    ...files.own.map(({ content }) => String(content)),
    ...[...known.values()].map(({ content }) => content),
  ]);
  const lacking = special.filter(({ content }) => !texts.has(content));
  const again = ofClass.plainSpecials
    ? special.map(({ content }) => tokenOf(content, { special: true })!)
    : [];
  return { config, named, toAdd: [...known.values(), ...lacking, ...again] };
}

/** Tokens that files declare with their ids, in the order of these; `config` is changed by what wins over it. */
function declaredById(
  { own, map, added }: TokenFiles,
  config: Record<string, unknown>,
): Map<string, TokenProperties> {
  const byId = new Map<number, TokenProperties>();
  const decoder = config["added_tokens_decoder"];
  if (isRecord(decoder)) {
    for (const [id, token] of Object.entries(decoder)) {
      byId.set(Number(id), tokenOf(token, { special: false, unlessSaid: true })!);
    }
  } else {
    for (const [key, value] of Object.entries(map)) {
      const earlier = config[key];
      config[key] = key === "extra_special_tokens" && Array.isArray(value) && Array.isArray(earlier)
        ? [...earlier, ...value]
        : value;
    }
    const special = new Set([
      ...specialTokenNames.map((name) => textOf(config[name])),
      ...listOf(config["extra_special_tokens"]).map(textOf),
    ]);
    for (const [content, id] of Object.entries(added)) {
      byId.set(Number(id), tokenOf(content, { special: special.has(content) })!);
    }
    for (const token of own) {
      byId.set(Number(token["id"]), tokenOf(token, { special: false, unlessSaid: true })!);
    }
  }
  const sorted = [...byId].sort(([a], [b]) => a - b).map(([, token]) => token);
  return new Map(sorted.map((token) => [token.content, token]));
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(token: unknown): string | undefined {
  const text = isRecord(token) ? token["content"] : token;
  return typeof text === "string" ? text : undefined;
}

/** A declaration, a text or an object with the token's properties, as a token. */
function tokenOf(
  declared: unknown,
  { special, unlessSaid = false }: { readonly special: boolean; readonly unlessSaid?: boolean },
): TokenProperties | undefined {
  const properties: JsonRecord = isRecord(declared) ? declared : {};
  const content = textOf(declared);
  if (content === undefined) return undefined;
  const is = (name: string, otherwise = false) =>
    typeof properties[name] === "boolean" ? properties[name] : otherwise;
  const isSpecial = unlessSaid ? is("special", special) : special;
  return {
    content,
    special: isSpecial,
    single_word: is("single_word"),
    lstrip: is("lstrip"),
    rstrip: is("rstrip"),
    normalized: is("normalized", !isSpecial),
  };
}

/**
 * Tokens with their ids, as Hugging Face's library gives them: what is in the vocabulary keeps its id there, anything
 * else gets the next free one, whatever a file says.
 */
export function withIds(
  tokens: readonly TokenProperties[],
  vocabulary: Vocabulary,
): DeclaredToken[] {
  const ids = new Map<string, number>();
  const byId = new Map<number, DeclaredToken>();
  let largest = -1;
  for (const token of tokens) {
    if (token.content === "") continue;
    const id = ids.get(token.content) ?? vocabulary.idOf(token.content) ??
      (largest >= vocabulary.size || (vocabulary.size === 0 && largest >= 0)
        ? largest + 1
        : vocabulary.size);
    largest = Math.max(largest, id);
    ids.set(token.content, id);
    // Once special, always special.
    byId.set(id, { id, ...token, special: token.special || byId.get(id)?.special === true });
  }
  return [...byId.values()].sort((a, b) => a.id - b.id);
}

/** Ids by token. */
export interface Vocabulary {
  /** Number of its tokens. */
  readonly size: number;
  /** A token's id. */
  readonly idOf: (token: string) => number | undefined;
}

/** The vocabulary of a model: a map of ids, or the list of a Unigram model. */
export function vocabularyOf(model: unknown): Vocabulary {
  const vocab = isRecord(model) ? model["vocab"] : undefined;
  if (Array.isArray(vocab)) {
    const ids = new Map(vocab.map((entry, id) => [String(entry?.[0]), id]));
    return { size: vocab.length, idOf: (token) => ids.get(token) };
  }
  const ids = isRecord(vocab) ? vocab : {};
  return {
    size: Object.keys(ids).length,
    idOf: (token) => Object.hasOwn(ids, token) ? Number(ids[token]) : undefined,
  };
}
