/** Waiting: a value that is computed no earlier than others. @module */

import { type GraphRecord, makeNode, type Node } from "../graph.ts";

/** x, computed no earlier than the tokens, and never merged with it. */
export function barrier(x: Node, tokens: readonly Node[]): Node {
  return makeNode(operation, [x, ...tokens], x.shape, x.dtype);
}

/** The record of waiting. Nothing is launched: the value keeps its memory. */
const record: GraphRecord<null> = {
  name: "barrier",
  alone: true,
  gradient: ({ inputs }, _, [g]) => [g ?? null, ...inputs.slice(1).map(() => null)],
  renames: 0,
  simplify(_, [x, ...tokens], [value, ...known]) {
    // Constants are there at any time.
    return value !== null ? x! : barrier(x!, tokens.filter((_, i) => known[i] === null));
  },
};

const operation = { name: "call", record, settings: null } as const;
