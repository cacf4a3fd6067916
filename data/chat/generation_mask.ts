/** Which tokens the assistant says. */

import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/**
 * The mask transformers returns as `assistant_masks`: 1 for the tokens of the `generated` spans.
 *
 * It follows transformers to the letter. A span reaches from the first token that covers its first
 * character to the first token that covers its last one, so that of a last character split over
 * several tokens only the first is in. Where no token covers the first character (a blank that
 * `trim_offsets` took away), this span and all later ones are left out.
 *
 * @param generated start and end of each span in UTF-16 units of `text`
 */
export function generationMask(
  tokenizer: Tokenizer,
  text: string,
  ids: readonly number[],
  generated: readonly (readonly [number, number])[],
): Uint8Array {
  const mask = new Uint8Array(ids.length);
  if (generated.length === 0) return mask;
  const spans = tokenizer.spans(text);
  const tokenAt = (position: number) =>
    spans.findIndex(([start, end]) => position >= start && position < end);
  for (const [start, end] of generated) {
    const first = tokenAt(start);
    if (first < 0) break;
    const last = tokenAt(end - 1);
    mask.fill(1, first, last > 0 ? last + 1 : ids.length);
  }
  return mask;
}
