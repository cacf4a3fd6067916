/** What a piece of the benchmark is. @module */

import type { Backend } from "./backend.ts";

/** Figures of one case; units stand in the names. */
export type Row = Readonly<Record<string, string | number>>;

/** How much to run. */
export interface PieceOptions {
  /** The cheapest cases only, to see that it works. */
  readonly quick: boolean;
  /** Given, steps are profiled after they were timed, and it is called with each profile as text. */
  readonly onProfile?: ((text: string) => void) | undefined;
}

/** Cases that are measured together and printed as one table. */
export interface Piece {
  /** What `--only` chooses by. */
  readonly name: string;
  /** The heading of its table. */
  readonly title: string;
  /** Whether cases are the rows of the table, or its columns where there are many figures. */
  readonly casesAre: "rows" | "columns";
  readonly run: (backend: Backend, options: PieceOptions) => Promise<Row[]>;
}
