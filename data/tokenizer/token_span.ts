/** Where a token stands in its text. @module */

/** Start and end (exclusive) of a token in UTF-16 units of its text. */
export type TokenSpan = readonly [number, number];
