/**
 * JSON that JavaScript's own reader, which is several times as fast as any other, reads without a loss. Most lines of
 * most files are of that kind.
 *
 * @module
 */

/** The deepest nesting, which is also that of Arrow's tables. */
export const depthLimit = 63;

const [zero, nine, quote, blank] = [0x30, 0x39, 0x22, 0x20];

/** A number written as a float, whose value may be whole. */
const wholeFloat = /\d(?:\.\d+)?[eE]|\d\.0+(?!\d)/;

/**
 * The value of a text; undefined where it is no JSON, or where the value might say less than the text: of floats with
 * whole values, numbers beyond 2⁵³, keys that JavaScript reorders, keys that stand twice, half surrogate pairs, and
 * where it is nested deeper than {@linkcode depthLimit}.
 */
export function parsePlainJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const seen: Seen = { keys: 0, whole: false };
  if (!isPlain(value, 0, seen) || seen.keys !== keysWritten(text)) return undefined;
  return seen.whole && wholeFloat.test(text) ? undefined : value;
}

/** What a value holds. */
interface Seen {
  keys: number;
  /** Whether there are whole numbers in it. */
  whole: boolean;
}

function isPlain(value: unknown, depth: number, seen: Seen): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value === "number") {
    if (!Number.isInteger(value)) return Number.isFinite(value);
    seen.whole = true;
    return Number.isSafeInteger(value) && !Object.is(value, -0);
  }
  if (typeof value !== "object" || value === null) return true;
  if (depth === depthLimit) return false;
  if (Array.isArray(value)) {
    for (const item of value) if (!isPlain(item, depth + 1, seen)) return false;
    return true;
  }
  for (const key in value) {
    const first = key.charCodeAt(0);
    if ((first >= zero && first <= nine) || !key.isWellFormed()) return false;
    seen.keys++;
    if (!isPlain((value as Record<string, unknown>)[key], depth + 1, seen)) return false;
  }
  return true;
}

/** How many keys stand in a text, or more where colons follow on quotes inside its texts. */
function keysWritten(text: string): number {
  let keys = 0;
  for (let colon = text.indexOf(":"); colon >= 0; colon = text.indexOf(":", colon + 1)) {
    let before = colon - 1;
    while (text.charCodeAt(before) <= blank) before--;
    if (text.charCodeAt(before) === quote) keys++;
  }
  return keys;
}
