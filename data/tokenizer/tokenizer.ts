/**
 * Tokenizers from a checkpoint's own files (`tokenizer.json` and its neighbours), through Hugging Face's own library.
 */

import { UserError } from "../../core/errors.ts";
import { compileTemplate } from "../jinja/render.ts";
import { type ChatTemplates, readChatTemplates } from "../chat/chat_template_files.ts";
import { localModel } from "../hub/local_model.ts";
import { isRecord, type JsonRecord, readTextFile } from "../files/json_files.ts";
import { nearNames } from "../files/local_paths.ts";
import type { Codec } from "./codec.ts";
import { openCodec } from "./open_codec.ts";
import { readDefinition } from "./definition.ts";
import type { TokenSpan } from "./token_span.ts";

/** A piece of text with an id of its own, split off before anything else happens. */
export interface AddedToken {
  /** Its id. */
  readonly id: number;
  /** Its text. */
  readonly content: string;
  /** Whether decoding may skip it. */
  readonly special: boolean;
}

/** Which tokens and template to use instead of the checkpoint's. */
export interface TokenizerOverrides {
  /** `--eos_token`: the end-of-sequence token. */
  readonly eosToken?: string;
  /** `--pad_token`: the padding token. */
  readonly padToken?: string;
  /** `--chat_template_path`: a template file, or a directory whose template is taken. */
  readonly chatTemplatePath?: string;
}

/** A tokenizer. All functions are pure. */
export interface Tokenizer {
  /** The directory it came from. */
  readonly directory: string;
  /**
   * Token ids of a text. `addSpecialTokens` (default true) adds what the checkpoint puts around every text, such as a
   * beginning-of-sequence token.
   *
   * @throws {UserError} where the vocabulary has nothing for a part of the text, and no unknown token.
   */
  readonly encode: (text: string, options?: { readonly addSpecialTokens?: boolean }) => number[];
  /** Token ids of texts, as `encode` gives them, on all cores at once. @throws {UserError} as `encode` */
  readonly encodeAll: (
    texts: readonly string[],
    options?: { readonly addSpecialTokens?: boolean },
  ) => readonly Int32Array[];
  /** The text of token ids; `skipSpecialTokens` (default false) leaves special tokens out. */
  readonly decode: (
    ids: ArrayLike<number>,
    options?: { readonly skipSpecialTokens?: boolean },
  ) => string;
  /** Where in a text, encoded without special tokens around it, each token stands: in UTF-16 units. */
  readonly spans: (text: string) => readonly TokenSpan[];
  /** The library that encodes, with its version: another may make other tokens of a text. */
  readonly library: string;
  /** Number of tokens in the vocabulary, added ones included. */
  readonly vocabSize: number;
  /** The vocabulary's own spelling of a token; undefined where the id has none. */
  readonly tokenOf: (id: number) => string | undefined;
  /** The id of a token; undefined if it is not in the vocabulary. */
  readonly idOf: (token: string) => number | undefined;
  /** The added tokens, special or not. */
  readonly addedTokens: readonly AddedToken[];
  /** The end-of-sequence token. */
  readonly eosToken: string | undefined;
  /** Its id. */
  readonly eosTokenId: number | undefined;
  /** The padding token: the checkpoint's, else the end-of-sequence token (TRL's rule). */
  readonly padToken: string | undefined;
  /** Its id. */
  readonly padTokenId: number | undefined;
  /** The beginning-of-sequence token. */
  readonly bosToken: string | undefined;
  /** Its id. */
  readonly bosTokenId: number | undefined;
  /** All named special tokens (`bos_token`, `eos_token`, …), as chat templates see them. */
  readonly specialTokens: Readonly<Record<string, string>>;
  /** The chat templates by name (`default`, `tool_use`, …); empty if the checkpoint has none. */
  readonly chatTemplates: ChatTemplates;
  /** In the form of `tokenizer.json`: the parsed file, or what the class of the tokenizer makes of it. */
  readonly definition: JsonRecord;
  /** Whether the directory has a `tokenizer.json`; if not, the definition was made from older files. */
  readonly hasFile: boolean;
  /** What a person should know about how it was read. */
  readonly notices: readonly string[];
  /** What was changed with respect to the checkpoint's files. */
  readonly overrides: TokenizerOverrides;
  /** What its templates take for the present moment (`strftime_now`): the same for all rows of a run. */
  readonly now: Date;
}

/**
 * Loads the tokenizer in a checkpoint directory.
 *
 * @param now What its templates take for the present moment.
 * @throws {UserError} if its files are missing or unreadable, or an override names a token
 * that is not in the vocabulary
 */
export async function loadTokenizer(
  directory: string,
  overrides: TokenizerOverrides = {},
  now: Date = new Date(),
): Promise<Tokenizer> {
  const read = await readDefinition(directory);
  const { definition, config, text, replaced, hasFile } = read;
  const chatTemplates = overrides.chatTemplatePath === undefined
    ? await readChatTemplates(directory)
    : await readChatTemplateOverride(overrides.chatTemplatePath);

  let codec: Codec;
  try {
    codec = await openCodec({ definition, text, replaced, config });
  } catch (cause) {
    throw cause instanceof UserError ? cause : unusable(directory, messageOf(cause), cause);
  }
  const { idOf } = codec;
  const addedTokens = readAddedTokens(definition);
  const specialTokens: Record<string, string> = { ...read.named };
  const requireToken = (flag: string, token: string) => {
    if (idOf(token) !== undefined) return;
    const near = nearNames(token, addedTokens.map((t) => t.content));
    throw new UserError(
      `--${flag} is "${token}", which is not in the vocabulary of the tokenizer in ${directory}. ` +
        (near.length > 0 ? `Near it are: ${near.join(", ")}.` : `It has no added tokens.`),
    );
  };
  if (overrides.eosToken !== undefined) {
    requireToken("eos_token", overrides.eosToken);
    specialTokens["eos_token"] = overrides.eosToken;
  }
  const padToken = overrides.padToken ?? specialTokens["pad_token"] ?? specialTokens["eos_token"];
  if (overrides.padToken !== undefined) requireToken("pad_token", overrides.padToken);
  if (padToken !== undefined) specialTokens["pad_token"] = padToken;
  const bosToken = specialTokens["bos_token"];
  const eosToken = specialTokens["eos_token"];

  const cleanUp = cleansUpSpaces(definition, config) ? cleanedUp : (text: string) => text;
  const largestId = Math.max(-1, ...addedTokens.map((t) => t.id));
  return {
    directory,
    library: codec.library,
    encode: (text, { addSpecialTokens = true } = {}) =>
      codec.encode(text, addSpecialTokens, directory),
    encodeAll: (texts, { addSpecialTokens = true } = {}) =>
      codec.encodeAll(texts, addSpecialTokens, directory),
    spans: (text) => codec.spans(text, directory),
    decode: (ids, { skipSpecialTokens = false } = {}) =>
      ids.length === 0 ? "" : cleanUp(codec.decode(Array.from(ids), skipSpecialTokens)),
    vocabSize: Math.max(codec.size, largestId + 1),
    tokenOf: codec.tokenOf,
    idOf,
    addedTokens,
    eosToken,
    eosTokenId: eosToken === undefined ? undefined : idOf(eosToken),
    padToken,
    padTokenId: padToken === undefined ? undefined : idOf(padToken),
    bosToken,
    bosTokenId: bosToken === undefined ? undefined : idOf(bosToken),
    specialTokens,
    chatTemplates,
    definition,
    hasFile,
    notices: [...read.notices, ...codec.notices],
    overrides,
    now,
  };
}

/** Whether a template prints the date. */
export function readsTheMoment({ chatTemplates }: Pick<Tokenizer, "chatTemplates">): boolean {
  return JSON.stringify(chatTemplates).includes("strftime_now");
}

async function readChatTemplateOverride(path: string): Promise<ChatTemplates> {
  const isFile = /\.(jinja|j2)$/.test(path);
  const templates = isFile
    ? { default: await readTextFile(path) }
    : await readChatTemplates(await localModel(path, { part: "tokenizer", what: "chat template" }));
  const text = templates.default;
  if (text === undefined) {
    throw new UserError(
      `--chat_template_path is "${path}", where no chat template was found: give a .jinja file, or ` +
        `a checkpoint directory with a chat_template.jinja or a template in tokenizer_config.json.`,
    );
  }
  // A template that does not parse should be refused before any row is prepared.
  try {
    compileTemplate(text);
  } catch (cause) {
    throw new UserError(`The chat template ${path} cannot be used: ${messageOf(cause)}`, { cause });
  }
  return { default: text };
}

function readAddedTokens(definition: JsonRecord): AddedToken[] {
  const list = definition["added_tokens"];
  if (!Array.isArray(list)) return [];
  return list.filter(isRecord).map((token) => ({
    id: Number(token["id"]),
    content: String(token["content"]),
    special: token["special"] === true,
  }));
}

/** transformers 5 never cleans up after BPE, whatever the configuration says, unless forced to. */
function cleansUpSpaces(definition: JsonRecord, config: JsonRecord): boolean {
  if (config["clean_up_tokenization_spaces"] !== true) return false;
  const model = definition["model"];
  const isBpe = isRecord(model) && (model["type"] === "BPE" || Array.isArray(model["merges"]));
  const forced =
    config["clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"] === true;
  return !isBpe || forced;
}

/** What Python's tokenizers call cleaning up: no blank before punctuation and the endings of contractions. */
function cleanedUp(text: string): string {
  return text.replaceAll(" ' ", "'").replace(/ (?=\.|\?|!|,|n't|'m|'s|'ve|'re)/g, "");
}

function unusable(directory: string, why: string, cause?: unknown): UserError {
  return new UserError(`The tokenizer in ${directory}/tokenizer.json cannot be used: ${why}.`, {
    cause,
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
