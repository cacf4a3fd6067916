/** How the tokenizer's thread and its callers speak: by words and bytes of one shared memory. @module */

/** Words of the shared memory. */
export const word = {
  /** Counts requests; the thread sleeps on it. */
  request: 0,
  /** Counts answers; the caller sleeps on it. */
  answer: 1,
  /** What is asked for, one of {@link ask}. */
  kind: 2,
  /** Which tokenizer. */
  tokenizer: 3,
  /** Bytes of the question. */
  length: 4,
  /** 0, or 1 where the answer is the message of an error. */
  failed: 5,
  /** Bytes of the answer. */
  answered: 6,
  /** Bytes that the answer would take, where the memory was too small for it. */
  wanted: 7,
} as const;

/** What can be asked for. */
export const ask = {
  /** Bytes: a `tokenizer.json`. No answer but that it is loaded. */
  load: 1,
  /** Bytes: a text. Answer: start and end of each of its tokens in UTF-16 units, as i32. */
  spans: 2,
  /** Bytes: texts, each with its length before it. Answer: for each the number of ids, then the ids. */
  encodeAll: 4,
  /** The same with what the file puts around every text. */
  encodeAllWithSpecial: 5,
} as const;

/** Where questions and answers begin. */
export const headerBytes = 64;
