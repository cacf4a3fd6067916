/** The methods and attributes of Python's int, bool and float. */

import { refuse } from "../errors.ts";
import { asFloat, asInteger, float, type Integer, integer, parts } from "../numbers.ts";
import { positional } from "../signature.ts";
import { callable, type Thing, tuple, type Value } from "../values.ts";

const without = (name: string, run: () => Value): Thing => {
  const bind = positional(name, 0);
  return callable("builtin_function_or_method", (args, keywords) => {
    bind(args, keywords);
    return run();
  });
};

/** A method or attribute of a number; undefined if there is none. */
export function numberMember(value: Value, name: string): Value | undefined {
  const whole = asInteger(value);
  if (whole !== undefined) return wholeMember(whole, name);
  const number = asFloat(value);
  return number === undefined ? undefined : floatMember(number, name);
}

function wholeMember(value: Integer, name: string): Value | undefined {
  const binary = () => (value < 0 ? -BigInt(value) : BigInt(value)).toString(2);
  switch (name) {
    case "real":
    case "numerator":
      return value;
    case "imag":
      return 0;
    case "denominator":
      return 1;
    case "conjugate":
      return without(name, () => value);
    case "bit_length":
      return without(name, () => Number(value) === 0 ? 0 : binary().length);
    case "bit_count":
      return without(name, () => binary().replaceAll("0", "").length);
    case "as_integer_ratio":
      return without(name, () => tuple([value, 1]));
    case "to_bytes":
    case "from_bytes":
      return callable(name, () => refuse(`${name}() is not supported: it is about bytes`));
    default:
      return undefined;
  }
}

function floatMember(value: number, name: string): Value | undefined {
  switch (name) {
    case "real":
      return float(value);
    case "imag":
      return float(0);
    case "conjugate":
      return without(name, () => float(value));
    case "is_integer":
      return without(name, () => Number.isInteger(value));
    case "as_integer_ratio":
      return without(name, () => fraction(value));
    case "hex":
    case "fromhex":
      return callable(name, () => refuse(`${name}() of a float is not supported`));
    default:
      return undefined;
  }
}

function fraction(value: number): Value {
  if (!Number.isFinite(value)) return refuse("cannot convert infinity or NaN to integer ratio");
  let [mantissa, exponent] = parts(value);
  if (mantissa === 0n) return tuple([0, 1]);
  while (exponent < 0 && mantissa % 2n === 0n) {
    mantissa /= 2n;
    exponent++;
  }
  return exponent < 0
    ? tuple([integer(mantissa), integer(1n << BigInt(-exponent))])
    : tuple([integer(mantissa << BigInt(exponent)), 1]);
}
