/** The line that says what became of the rows. @module */

import type { Prepared } from "../../data/prepare/prepared.ts";
import type { PreparedExamples } from "./recipe_spec.ts";

/** Prepared examples with a description. */
export function preparedLine<E>(
  { examples, format, dropped }: Prepared<E>,
  reason = "nothing to learn within max_length",
): PreparedExamples<E> {
  const lost = dropped > 0 ? `; ${dropped} dropped: ${reason}` : "";
  return { examples, description: `${format.description}; ${examples.length} examples${lost}` };
}
