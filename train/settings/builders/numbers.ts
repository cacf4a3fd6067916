/** Options that are a number. @module */

import type { Option } from "../option.ts";
import { type Always, bad, declare, good, type Spec, text } from "./declare.ts";

/** The bounds of a number; `above` and `below` exclude the bound itself. */
export interface NumberSpec extends Spec<number> {
  /** The least value accepted. */
  readonly min?: number;
  /** The greatest value accepted. */
  readonly max?: number;
  /** Values must be above this. */
  readonly above?: number;
  /** Values must be below this. */
  readonly below?: number;
  /** Whether values above one must be whole, as for intervals that are steps or a ratio. */
  readonly ratioOrWhole?: boolean;
}

/** Decimal notation as Python reads it, scientific and with `_` between digits. */
const NUMBER = /^[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[-+]?\d+)?$/i;

/** A number as it is written. */
export function readNumber(raw: unknown): number | undefined {
  if (typeof raw === "number") return raw;
  const word = text(raw)?.trim();
  return word !== undefined && NUMBER.test(word) ? Number(word.replaceAll("_", "")) : undefined;
}

function within(value: number, spec: NumberSpec): boolean {
  return Number.isFinite(value) &&
    (spec.min === undefined || value >= spec.min) &&
    (spec.max === undefined || value <= spec.max) &&
    (spec.above === undefined || value > spec.above) &&
    (spec.below === undefined || value < spec.below) &&
    (!spec.ratioOrWhole || value <= 1 || Number.isInteger(value));
}

/** The bounds in words. */
export function bounds(spec: NumberSpec): string {
  const parts = [
    ...(spec.min === undefined ? [] : [`at least ${spec.min}`]),
    ...(spec.above === undefined ? [] : [`above ${spec.above}`]),
    ...(spec.max === undefined ? [] : [`at most ${spec.max}`]),
    ...(spec.below === undefined ? [] : [`below ${spec.below}`]),
    ...(spec.ratioOrWhole ? ["whole if above 1"] : []),
  ];
  return parts.length === 0 ? "" : `, ${parts.join(" and ")}`;
}

/** A whole number. */
export function int(spec: Always<number, NumberSpec>): Option<number>;
/** The same, undefined where it is not set. */
export function int(spec: NumberSpec): Option<number | undefined>;
export function int(spec: NumberSpec): Option<number | undefined> {
  return declare(spec, {
    type: "number",
    shown: "INT",
    expected: `a whole number${bounds(spec)}`,
    read: (raw) => {
      const value = readNumber(raw);
      return value !== undefined && Number.isSafeInteger(value) && within(value, spec)
        ? good(value)
        : bad;
    },
  });
}

/** A number. */
export function float(spec: Always<number, NumberSpec>): Option<number>;
/** The same, undefined where it is not set. */
export function float(spec: NumberSpec): Option<number | undefined>;
export function float(spec: NumberSpec): Option<number | undefined> {
  return declare(spec, {
    type: "number",
    shown: "FLOAT",
    expected: `a number${bounds(spec)}`,
    read: (raw) => {
      const value = readNumber(raw);
      return value !== undefined && within(value, spec) ? good(value) : bad;
    },
  });
}
