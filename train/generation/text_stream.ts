/** Text of tokens as they come, without taking anything back. @module */

import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";

/** Turns tokens into text bit by bit. */
export interface TextStream {
  /** Takes the next tokens; gives what is certain of the text that follows what it gave before. */
  readonly push: (ids: readonly number[]) => string;
  /** The rest, when no more tokens come. */
  readonly end: () => string;
}

const REPLACEMENT = "\ufffd";

/** A character of UTF-8 that is not complete has at most so many bytes, each of which may show as one mark. */
const LONGEST_UNFINISHED = 3;

/** Tokens that are decoded again, for what they mean to the next ones, such as a blank between words. */
const WINDOW = 16;

/**
 * A stream of text. Special tokens are left out. A character split across tokens comes when it is complete: bytes
 * that are no character show as U+FFFD, but only once it is certain that no later token completes them.
 */
export function textStream(tokenizer: Tokenizer): TextStream {
  const special = new Set(tokenizer.addedTokens.filter((t) => t.special).map((t) => t.id));
  let window: number[] = [];
  /** How much of the window's text was given. */
  let given = 0;
  /** Where the window could begin: between two characters. */
  let boundary = 0;

  /** For how many tokens the text has ended in marks. */
  let marked = 0;

  const advance = (until: (text: string) => number): string => {
    const text = tokenizer.decode(window);
    const end = Math.max(given, until(text));
    const fresh = text.slice(given, end);
    given = end;
    if (end === text.length) {
      if (window.length > WINDOW && boundary > 0) {
        window = window.slice(boundary);
        given = tokenizer.decode(window).length;
      }
      boundary = window.length;
    }
    return fresh;
  };

  return {
    push: (ids) => {
      let text = "";
      for (const id of ids) {
        // A model may have more rows than its tokenizer has tokens.
        if (special.has(id) || tokenizer.tokenOf(id) === undefined) continue;
        window.push(id);
        text += advance((whole) => {
          const marks = trailingMarks(whole);
          marked = marks > 0 ? marked + 1 : 0;
          // Where bytes are tokens, one that is not complete turns all bytes before it into marks.
          return whole.length -
            (marked <= LONGEST_UNFINISHED ? marks : Math.min(marks, LONGEST_UNFINISHED));
        });
      }
      return text;
    },
    end: () => advance((whole) => whole.length),
  };
}

function trailingMarks(text: string): number {
  let count = 0;
  while (text.at(-1 - count) === REPLACEMENT) count++;
  return count;
}

/** The text of a whole answer. */
export function textOf(tokenizer: Tokenizer, ids: readonly number[]): string {
  const stream = textStream(tokenizer);
  return stream.push(ids) + stream.end();
}

/** An answer's tokens without the one that ended it, if that is a marker and no ordinary text. */
export function withoutEnd(
  tokenizer: Tokenizer,
  ids: readonly number[],
  finished: string,
): readonly number[] {
  const last = ids.at(-1);
  const isMarker = finished === "eos" && tokenizer.addedTokens.some(({ id }) => id === last);
  return isMarker ? ids.slice(0, -1) : ids;
}
