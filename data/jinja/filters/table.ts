/** All filters by name. */

import type { Filter } from "./filter.ts";
import { HTML_FILTERS } from "./html.ts";
import { NUMBER_FILTERS } from "./numbers.ts";
import { SEQUENCE_FILTERS } from "./sequences.ts";
import { TEXT_FILTERS } from "./text.ts";

/** All filters by name. */
export const FILTERS: ReadonlyMap<string, Filter> = new Map(Object.entries({
  ...HTML_FILTERS,
  ...NUMBER_FILTERS,
  ...SEQUENCE_FILTERS,
  ...TEXT_FILTERS,
}));
