/**
 * The split notation of Hugging Face datasets: `train`, `train[:100]`, `test[-10%:]`,
 * `train[:10%]+test`, `train[:33%](pct1_dropremainder)`.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";

/** One term of a split expression; bounds are row indices or percentages and may be negative. */
export type SplitSlice = {
  readonly split: string;
  readonly from?: number;
  readonly to?: number;
  readonly unit: "rows" | "percent";
  readonly rounding: "closest" | "pct1_dropremainder";
};

const term =
  /^(?<split>\w+(?:\.\w+)*)(?:\[(?:(?<from>-?[\d_]+)(?<fromPercent>%)?)?:(?:(?<to>-?[\d_]+)(?<toPercent>%)?)?\])?(?:\((?<rounding>[^)]*)\))?$/;

/**
 * Parses a split expression into its terms.
 *
 * Throws a `UserError` for anything that is not in the notation.
 */
export function parseSplitSpec(spec: string): SplitSlice[] {
  return spec.trim().split(/\s*\+\s*/).map((text) => {
    const refuse = (reason: string): never => {
      throw new UserError(
        `Cannot understand the split "${spec}": ${reason}. A split is a name, with an optional ` +
          `slice in rows or percent: train, train[:100], train[10%:20%], train[-50:], or several ` +
          `joined with +.`,
      );
    };
    const groups = term.exec(text)?.groups;
    if (groups === undefined) return refuse(`"${text}" is not in the notation`);
    const percent = groups["fromPercent"] !== undefined || groups["toPercent"] !== undefined;
    const bound = (name: string): number | undefined => {
      const digits = groups[name]?.replaceAll("_", "");
      if (digits === undefined) return undefined;
      const value = Number(digits);
      if (digits === "" || digits === "-") return refuse(`"${groups[name]}" is not a number`);
      if (percent && Math.abs(value) > 100) return refuse(`${value}% is beyond 100%`);
      return value;
    };
    const rounding = groups["rounding"] ?? "closest";
    if (rounding !== "closest" && rounding !== "pct1_dropremainder") {
      return refuse(`the rounding "${rounding}" is neither closest nor pct1_dropremainder`);
    }
    if (groups["rounding"] !== undefined && !percent) {
      return refuse("a rounding goes with percent only");
    }
    const from = bound("from");
    const to = bound("to");
    return {
      split: groups["split"]!,
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      unit: percent ? "percent" : "rows",
      rounding,
    };
  });
}

/** Python's `round`: to the nearest integer, halves to the even one. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/**
 * The first row and the row after the last that a term selects out of `count`.
 *
 * Throws a `UserError` for `pct1_dropremainder` on fewer than 100 rows, which would select nothing.
 */
export function resolveSlice(slice: SplitSlice, count: number): [begin: number, end: number] {
  const absolute = (bound: number | undefined, fallback: number): number => {
    if (bound === undefined) return fallback;
    let index = bound;
    if (slice.unit === "percent" && slice.rounding === "closest") {
      index = roundHalfEven((bound * count) / 100);
    } else if (slice.unit === "percent") {
      if (count < 100) {
        throw new UserError(
          `Cannot slice the split "${slice.split}" with pct1_dropremainder: it has ${count} rows, ` +
            `and with fewer than 100 that selects nothing. Use the default rounding.`,
        );
      }
      index = bound * Math.trunc(count / 100);
    }
    return Math.min(index < 0 ? Math.max(count + index, 0) : index, count);
  };
  const begin = absolute(slice.from, 0);
  return [begin, Math.max(begin, absolute(slice.to, count))];
}

/** How many rows from the start suffice for a term, where that is known without counting. */
export function rowsNeeded({ unit, from = 0, to }: SplitSlice): number {
  return unit === "rows" && from >= 0 && to !== undefined && to >= 0 ? to : Infinity;
}
