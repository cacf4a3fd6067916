/**
 * Builders of declared options, one per kind of value. A builder knows how its kind is read from the command line, from
 * YAML and from a script, and infers the type of the value.
 *
 * @module
 */

export { choice, choices } from "./builders/choices.ts";
export { type AnyFunction, type Code, code, codes } from "./builders/code.ts";
export { floats, ints } from "./builders/lists.ts";
export { strings } from "./builders/lists.ts";
export { anything, type Dict, dict, isDict, json } from "./builders/mappings.ts";
export { float, int } from "./builders/numbers.ts";
export { device, model, pathOrTrue, string } from "./builders/texts.ts";
export { bool, readBoolean } from "./builders/truth.ts";
