/** Hugging Face's tokenizer in JavaScript, where native code cannot be loaded. @module */

import { Tokenizer as Backend } from "@huggingface/tokenizers";
import { UserError } from "../../core/errors.ts";
import { isRecord, type JsonRecord } from "../files/json_files.ts";
import { spelledSpans } from "./token_spans.ts";
import type { Codable, Codec } from "./codec.ts";

/** Parts of a definition that this library reads otherwise than Hugging Face's own. */
const readOtherwise: readonly [string, (part: JsonRecord) => boolean][] = [
  [
    "an added token that counts as a whole word only (single_word)",
    (part) => part["single_word"] === true,
  ],
  ["an added token that takes blanks behind it (rstrip)", (part) => part["rstrip"] === true],
  ["the normaliser Nmt", (part) => part["type"] === "Nmt"],
];

/**
 * Opens a definition with the library in JavaScript.
 *
 * @param why Why native code cannot be loaded.
 * @throws {UserError} for a definition that it is known to read otherwise
 */
export function scriptCodec({ definition, config }: Codable, why: string): Codec {
  const { model: _, ...pipeline } = definition;
  for (const part of recordsIn(pipeline)) {
    const odd = readOtherwise.find(([, holds]) => holds(part));
    if (odd) {
      throw new UserError(
        `The tokenizer has ${
          odd[0]
        }, which needs Hugging Face's native library, and that cannot be loaded here ` +
          `(${why}). Run with --allow-ffi.`,
      );
    }
  }
  const backend = new Backend(definition, config);
  const idOf = (token: string) => backend.token_to_id(token);
  const unknownId = unknownToken(definition, idOf);
  const addedTokens = (Array.isArray(definition["added_tokens"]) ? definition["added_tokens"] : [])
    .filter(isRecord).map((token) => ({
      id: Number(token["id"]),
      content: String(token["content"]),
    }));
  const encode = (text: string, addSpecialTokens: boolean, directory: string): number[] => {
    const { ids, tokens } = backend.encode(text, { add_special_tokens: addSpecialTokens });
    // The backend leaves holes where the vocabulary has nothing.
    const found: readonly (number | null | undefined)[] = ids;
    return found.map((id, i) => {
      if (id !== null && id !== undefined) return id;
      if (unknownId !== undefined) return unknownId;
      throw new UserError(
        `The tokenizer in ${directory} has no token for ${
          JSON.stringify(tokens[i] ?? "a part of the text")
        }, and ` +
          "none that stands for unknown text (unk_token). Use words of its vocabulary, or a tokenizer that knows these.",
      );
    });
  };
  return {
    library: "@huggingface/tokenizers 0.2.0",
    notices: [
      `Hugging Face's native tokenizer library cannot be loaded (${why}): its likeness in JavaScript is used, which is ` +
      "slower and refuses some tokenizers. With --allow-ffi the native one is used.",
    ],
    encode,
    encodeAll: (texts, addSpecialTokens, directory) =>
      texts.map((text) => Int32Array.from(encode(text, addSpecialTokens, directory))),
    spans: (text, directory) =>
      spelledSpans(
        { directory, definition, addedTokens, tokenOf: (id) => backend.id_to_token(id) },
        text,
        encode(text, false, directory),
      ),
    decode: (ids, skipSpecialTokens) =>
      backend.decode([...ids], {
        skip_special_tokens: skipSpecialTokens,
        clean_up_tokenization_spaces: false,
      }),
    idOf,
    tokenOf: (id) => backend.id_to_token(id),
    size: backend.get_vocab().size,
  };
}

/** The token for text that is not in the vocabulary; the backend takes some models' from another file. */
function unknownToken(
  definition: JsonRecord,
  idOf: (token: string) => number | undefined,
): number | undefined {
  const model = definition["model"];
  const token = isRecord(model) ? model["unk_token"] : undefined;
  return typeof token === "string" ? idOf(token) : undefined;
}

/** All objects in a value. */
function recordsIn(value: unknown): JsonRecord[] {
  if (Array.isArray(value)) return value.flatMap(recordsIn);
  return isRecord(value) ? [value, ...Object.values(value).flatMap(recordsIn)] : [];
}
