/** Answers that end with a text. @module */

import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import type { StopCriterion } from "../../nn/mod.ts";

/** A character may take so many tokens, and some tokens have no text. */
const tokensPerCharacter = 4;
const spareTokens = 8;

/**
 * Ends an answer with the token whose text completes one of some texts, which may begin in earlier tokens, the prompt's
 * too, and may end within that token.
 */
export function stopStrings(tokenizer: Tokenizer, texts: readonly string[]): StopCriterion {
  const longest = texts.reduce((most, text) => Math.max(most, text.length), 0);
  const window = tokensPerCharacter * longest + spareTokens;
  const decode = (ids: readonly number[]) =>
    tokenizer.decode(ids.filter((id) => tokenizer.tokenOf(id) !== undefined));
  return (tokens, prompt) => {
    const missing = Math.max(0, window - tokens.length);
    const before = Array.from(
      { length: Math.min(missing, prompt.length) },
      (_, i) => prompt[prompt.length - Math.min(missing, prompt.length) + i]!,
    );
    const ids = [...before, ...tokens.slice(-window)];
    const whole = decode(ids);
    const known = commonLength(decode(ids.slice(0, -1)), whole);
    return texts.some((text) => whole.indexOf(text, Math.max(0, known - text.length + 1)) >= 0);
  };
}

function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}
