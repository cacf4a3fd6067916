/** One parameter of a tree. @module */

import type { Path } from "../../core/mod.ts";
import { parametersOf, type Weight } from "../../nn/mod.ts";

/** The parameter at a path, which must be there. */
export function weightAt(params: unknown, path: Path): Weight {
  return new Map(parametersOf(params)).get(path)!;
}
