/** A codec of Hugging Face's own library. @module */

import { UserError } from "../../core/errors.ts";
import { isRecord, type JsonRecord } from "../files/json_files.ts";
import type { Codable, Codec } from "./codec.ts";
import { type NativeLibrary, nativeLibrary } from "./native.ts";
import type { TokenSpan } from "./token_span.ts";
import { wordCache } from "./word_cache.ts";

/** Opens a definition. @throws Error in the library's words, where it refuses the definition */
export function nativeCodec(library: NativeLibrary, given: Codable): Codec {
  const { definition, text, replaced, config } = given;
  if (replaced !== undefined) library.check(replaced);
  const native = library.load(
    text,
    config["split_special_tokens"] === true ? withoutSpecial(definition) : text,
  );
  const cached = config["split_special_tokens"] === true
    ? undefined
    : wordCache(definition, (words) => native.encodeAll(words, false));
  // What is put around texts only the library knows.
  const cachedIds = (text: string, addSpecialTokens: boolean) =>
    addSpecialTokens && !putsNothingAround(definition) ? undefined : cached?.(text);
  const special = new Set(addedTokens(definition).filter(isSpecial).map(({ id }) => id));
  const asked = <T>(directory: string, texts: readonly string[], ask: () => T): T => {
    try {
      return ask();
    } catch (cause) {
      if (cause instanceof UserError || !(cause instanceof Error)) throw cause;
      const shown = texts.length === 1 ? JSON.stringify(texts[0]!.slice(0, 60)) : "a text";
      throw new UserError(
        `The tokenizer in ${directory} cannot encode ${shown}: ${cause.message}. Use words of its vocabulary, or a ` +
          "tokenizer that knows these.",
        { cause },
      );
    }
  };
  return {
    library: nativeLibrary,
    notices: [],
    encode: (text, addSpecialTokens, directory) =>
      cachedIds(text, addSpecialTokens) ??
        asked(directory, [text], () => Array.from(native.encodeAll([text], addSpecialTokens)[0]!)),
    encodeAll: (texts, addSpecialTokens, directory) =>
      asked(directory, texts, () => native.encodeAll(texts, addSpecialTokens)),
    spans: (text, directory) => pairs(asked(directory, [text], () => native.spans(text))),
    decode: (ids, skipSpecialTokens) => {
      const kept = skipSpecialTokens ? ids.filter((id) => !special.has(id)) : ids;
      return native.decode(kept.map(native.tokenOf).filter((token) => token !== undefined));
    },
    idOf: native.idOf,
    tokenOf: native.tokenOf,
    size: native.size,
  };
}

function putsNothingAround({ post_processor: processor }: JsonRecord): boolean {
  return !isRecord(processor) || processor["type"] === "ByteLevel";
}

function pairs(spans: Int32Array): TokenSpan[] {
  return Array.from({ length: spans.length / 2 }, (_, i) => [spans[2 * i]!, spans[2 * i + 1]!]);
}

function addedTokens({ added_tokens: added }: JsonRecord): JsonRecord[] {
  return Array.isArray(added) ? added.filter(isRecord) : [];
}

function isSpecial(token: JsonRecord): boolean {
  return token["special"] === true;
}

/**
 * The definition in which no text is a special token (`split_special_tokens`): those of the vocabulary are left to it,
 * and the others keep their ids under names that no text has.
 */
function withoutSpecial(definition: JsonRecord): string {
  const model = definition["model"];
  const vocab = isRecord(model) ? model["vocab"] : undefined;
  const known = new Set(
    Array.isArray(vocab)
      ? vocab.map(([token]) => token)
      : Object.keys(isRecord(vocab) ? vocab : {}),
  );
  const added = addedTokens(definition).flatMap((token) => {
    if (!isSpecial(token)) return [token];
    const content = String(token["content"]);
    return known.has(content) ? [] : [{ ...token, content: `\u{10fffe}${content}\u{10ffff}` }];
  });
  return JSON.stringify({ ...definition, added_tokens: added });
}
