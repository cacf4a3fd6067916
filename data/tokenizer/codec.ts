/** What turns texts into token ids and back: Hugging Face's library, or where that cannot be, a likeness of it. @module */

import { UserError } from "../../core/errors.ts";
import type { JsonRecord } from "../files/json_files.ts";
import type { TokenSpan } from "./token_span.ts";
import { nativeLibrary, type NativeTokenizer, openNativeLibrary } from "./native.ts";

/** Texts to ids and back. */
export interface Codec {
  /** The library and its version. */
  readonly library: string;
  /** Ids of a text. @throws {UserError} where the vocabulary has nothing for a part of it */
  readonly encode: (text: string, addSpecialTokens: boolean, directory: string) => number[];
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

/**
 * Opens a definition, which is given parsed and as text.
 *
 * @throws Error in the library's words, where it refuses the definition
 */
export async function openCodec(
  { definition, text, config }: {
    readonly definition: JsonRecord;
    readonly text: string;
    readonly config: JsonRecord;
  },
): Promise<Codec> {
  const library = await openNativeLibrary();
  if ("missing" in library) {
    const { scriptCodec } = await import("./script.ts");
    return scriptCodec(definition, config, library.missing);
  }
  return nativeCodec(library.load(text), definition);
}

function nativeCodec(native: NativeTokenizer, { added_tokens: added }: JsonRecord): Codec {
  const special = new Set(
    (Array.isArray(added) ? added : []).filter((token) => token?.special === true).map(({ id }) =>
      id
    ),
  );
  const asked = <T>(directory: string, text: string, ask: () => T): T => {
    try {
      return ask();
    } catch (cause) {
      if (cause instanceof UserError || !(cause instanceof Error)) throw cause;
      throw new UserError(
        `The tokenizer in ${directory} cannot encode ${
          JSON.stringify(text.slice(0, 60))
        }: ${cause.message}. Use ` +
          "words of its vocabulary, or a tokenizer that knows these.",
        { cause },
      );
    }
  };
  return {
    library: nativeLibrary,
    encode: (text, addSpecialTokens, directory) =>
      asked(directory, text, () => Array.from(native.encode(text, addSpecialTokens).ids)),
    spans: (text, directory) => {
      const { spans } = asked(directory, text, () => native.encode(text, false));
      return Array.from(
        { length: spans.length / 2 },
        (_, i) => [spans[2 * i]!, spans[2 * i + 1]!] as const,
      );
    },
    decode: (ids, skipSpecialTokens) => {
      const kept = skipSpecialTokens ? ids.filter((id) => !special.has(id)) : ids;
      return native.decode(kept.map(native.tokenOf).filter((token) => token !== undefined));
    },
    idOf: native.idOf,
    tokenOf: native.tokenOf,
    size: native.size,
  };
}
