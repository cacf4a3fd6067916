/** What turns texts into token ids and back: Hugging Face's library, or where that cannot be, a likeness of it. @module */

import type { JsonRecord } from "../files/json_files.ts";
import type { TokenSpan } from "./token_span.ts";

/** Texts to ids and back. */
export interface Codec {
  /** The library and its version. */
  readonly library: string;
  /** What a person should know about it. */
  readonly notices: readonly string[];
  /** Ids of a text. @throws {UserError} where the vocabulary has nothing for a part of it */
  readonly encode: (text: string, addSpecialTokens: boolean, directory: string) => number[];
  /** Ids of texts, encoded on all cores. @throws {UserError} as `encode` */
  readonly encodeAll: (
    texts: readonly string[],
    addSpecialTokens: boolean,
    directory: string,
  ) => readonly Int32Array[];
  /** Where each token of a text stands, encoded without special tokens. */
  readonly spans: (text: string, directory: string) => readonly TokenSpan[];
  /** The text of ids. */
  readonly decode: (ids: readonly number[], skipSpecialTokens: boolean) => string;
  /** The id of a token. */
  readonly idOf: (token: string) => number | undefined;
  /** The token of an id. */
  readonly tokenOf: (id: number) => string | undefined;
  /** Tokens of the vocabulary, added ones included. */
  readonly size: number;
}

/** What is to be opened. */
export interface Codable {
  /** In the form of `tokenizer.json`. */
  readonly definition: JsonRecord;
  /** The same as text. */
  readonly text: string;
  /** What of a file is built anew, and must be right all the same. */
  readonly replaced?: string | undefined;
  /** `tokenizer_config.json`. */
  readonly config: JsonRecord;
}
