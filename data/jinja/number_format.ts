/** Numbers in a given number of digits, as C's `printf` and Python's `format` write them. */

import { room } from "./budget.ts";
import { scaled } from "./numbers.ts";

/** More digits than these are zeros. */
const MOST_PLACES = 1100;

/** Digits after the point, without an exponent (`%f`), of a finite number without its sign. */
export function fixed(value: number, places: number): string {
  room(places);
  const exact = Math.min(places, MOST_PLACES);
  const digits = scaled(value, exact).toString().padStart(exact + 1, "0");
  const whole = digits.slice(0, digits.length - exact);
  return places === 0 ? whole : `${whole}.${digits.slice(whole.length).padEnd(places, "0")}`;
}

/** A digit, the point, digits, and the exponent (`%e`), of a finite number without its sign. */
export function exponential(value: number, places: number): string {
  room(places);
  const exact = Math.min(places, MOST_PLACES);
  let exponent = value === 0 ? 0 : Number(value.toExponential().split("e")[1]);
  let digits = scaled(value, exact - exponent).toString();
  if (digits.length > exact + 1) {
    exponent++;
    digits = scaled(value, exact - exponent).toString();
  }
  digits = digits.padStart(exact + 1, "0").padEnd(places + 1, "0");
  const mantissa = places === 0 ? digits : `${digits[0]}.${digits.slice(1)}`;
  return `${mantissa}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

/** How `general` writes. */
export interface GeneralOptions {
  /** Keep zeros at the end, and the point. */
  readonly keepZeros?: boolean;
  /** Write at least one digit after the point, and use an exponent one digit earlier. */
  readonly asFloat?: boolean;
}

/** The shorter of both forms (`%g`), of a finite number without its sign. */
export function general(value: number, precision: number, options: GeneralOptions = {}): string {
  const { keepZeros = false, asFloat = false } = options;
  const digits = Math.max(1, precision);
  const withExponent = exponential(value, digits - 1);
  const exponent = Number(withExponent.split("e")[1]);
  const strip = (text: string) =>
    keepZeros || !text.includes(".") ? text : text.replace(/\.?0*$/, "");
  if (
    exponent < -4 || exponent >= (asFloat ? digits - 1 : digits) && (exponent >= digits || asFloat)
  ) {
    const [mantissa, power] = withExponent.split("e");
    return `${strip(mantissa!)}e${power}`;
  }
  const text = strip(fixed(value, digits - 1 - exponent));
  return asFloat && !text.includes(".") ? `${text}.0` : text;
}
