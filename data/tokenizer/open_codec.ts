/** Which library encodes: Hugging Face's own, or its likeness where native code cannot be loaded. @module */

import type { Codable, Codec } from "./codec.ts";
import { openNativeLibrary } from "./native.ts";
import { nativeCodec } from "./native_codec.ts";

/**
 * Opens a definition.
 *
 * @throws Error in the library's words, where it refuses the definition
 */
export async function openCodec(given: Codable): Promise<Codec> {
  const library = await openNativeLibrary();
  if (!("missing" in library)) return nativeCodec(library, given);
  const { scriptCodec } = await import("./script.ts");
  return scriptCodec(given, library.missing);
}
