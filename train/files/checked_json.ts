/**
 * JSON from a file, read field by field: what is not of the expected type and range is refused with the file's path and
 * the field's name.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";

/** Where a value stands. */
export interface Place {
  /** The file. */
  readonly path: string;
  /** What the file is, as in "a trainer state". */
  readonly what: string;
  /** The field, as in `best.step`; empty for the whole file. */
  readonly field: string;
}

/** Reads a value. @throws {UserError} Naming the place, if it is not what is expected there. */
export type Reader<T> = (value: unknown, place: Place) => T;

/** What a reader gives. */
export type ReadBy<R> = R extends Reader<infer T> ? T : never;

/**
 * Reads a file's text.
 *
 * @param what What the file is, as in "a trainer state".
 * @throws {UserError} If the text is not JSON, or a field is not as expected.
 */
export function readJson<T>(
  text: string,
  reader: Reader<T>,
  { path, what }: Pick<Place, "path" | "what">,
): T {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(
      `${path} is not valid JSON (${why}); it may have been cut off. Resume from another checkpoint.`,
    );
  }
  return reader(parsed, { path, what, field: "" });
}

/** The error for a value that is not what is expected. */
export function misfit({ path, what, field }: Place, value: unknown, expected: string): UserError {
  const seen = value === undefined ? "missing" : (JSON.stringify(value) ?? "").slice(0, 60);
  return new UserError(
    `${path} is not ${what}: ${
      field || "the file"
    } is ${seen}, expected ${expected}. Resume from another checkpoint.`,
  );
}

function of<T>(expected: string, test: (value: unknown) => value is T): Reader<T> {
  return (value, place) => {
    if (!test(value)) throw misfit(place, value, expected);
    return value;
  };
}

/** A text. */
export const text: Reader<string> = of("text", (value) => typeof value === "string");

/** True or false. */
export const flag: Reader<boolean> = of("true or false", (value) => typeof value === "boolean");

/** A whole number, 0 or more. */
export const count: Reader<number> = of(
  "a whole number",
  (value): value is number => Number.isSafeInteger(value) && (value as number) >= 0,
);

/** A finite number. */
export const number: Reader<number> = of(
  "a number",
  (value): value is number => Number.isFinite(value),
);

/** A finite number, 0 or more. */
export const positive: Reader<number> = of(
  "a number, 0 or more",
  (value): value is number => Number.isFinite(value) && (value as number) >= 0,
);

const notFinite: Readonly<Record<string, number>> = {
  NaN: NaN,
  Infinity: Infinity,
  "-Infinity": -Infinity,
};

/**
 * A measured number, which may be no number at all: {@link writeJson} writes such a one by its name, others as null.
 */
export const measured: Reader<number> = (value, place) => {
  if (typeof value === "string" && Object.hasOwn(notFinite, value)) return notFinite[value]!;
  return value === null ? NaN : number(value, place);
};

/** One of some words. */
export function oneOf<const T extends string>(...words: readonly T[]): Reader<T> {
  return of(`one of ${words.join(", ")}`, (value): value is T => words.some((w) => w === value));
}

/** Null, or what `reader` reads. */
export function orNull<T>(reader: Reader<T>): Reader<T | null> {
  return (value, place) => value === null ? null : reader(value, place);
}

/** A field that may be missing. */
export function optional<T>(reader: Reader<T>): Reader<T | undefined> {
  return (value, place) => value === undefined ? undefined : reader(value, place);
}

/** A field that has a value where it is missing. */
export function otherwise<T>(reader: Reader<T>, missing: T): Reader<T> {
  return (value, place) => value === undefined ? missing : reader(value, place);
}

/** A list. */
export function list<T>(item: Reader<T>): Reader<readonly T[]> {
  return (value, place) => {
    if (!Array.isArray(value)) throw misfit(place, value, "a list");
    return value.map((entry, i) => item(entry, within(place, String(i))));
  };
}

/** Two values. */
export function pair<A, B>(first: Reader<A>, second: Reader<B>): Reader<readonly [A, B]> {
  return (value, place) => {
    if (!Array.isArray(value) || value.length !== 2) throw misfit(place, value, "a list of two");
    return [first(value[0], within(place, "0")), second(value[1], within(place, "1"))];
  };
}

/** Values by any names. */
export function mapping<T>(item: Reader<T>): Reader<Readonly<Record<string, T>>> {
  return (value, place) =>
    Object.fromEntries(
      Object.entries(record(value, place)).map((
        [name, entry],
      ) => [name, item(entry, within(place, name))]),
    );
}

/** An object of any contents. */
export const record: Reader<Readonly<Record<string, unknown>>> = of(
  "a JSON object",
  (value): value is Readonly<Record<string, unknown>> =>
    typeof value === "object" && value !== null && !Array.isArray(value),
);

/** An object with these fields; others are dropped. */
export function fields<R extends Readonly<Record<string, Reader<unknown>>>>(
  readers: R,
): Reader<{ readonly [Name in keyof R]: ReadBy<R[Name]> }> {
  return (value, place) => {
    const given = record(value, place);
    const read = Object.entries(readers).map(([name, reader]) => [
      name,
      reader(Object.hasOwn(given, name) ? given[name] : undefined, within(place, name)),
    ]);
    return Object.fromEntries(read.filter(([, entry]) => entry !== undefined));
  };
}

function within(place: Place, name: string): Place {
  return { ...place, field: place.field === "" ? name : `${place.field}.${name}` };
}

/** JSON in which NaN and infinities are texts, so that {@link measured} gives them back. */
export function writeJson(value: unknown): string {
  return JSON.stringify(
    value,
    (_, item) => typeof item === "number" && !Number.isFinite(item) ? String(item) : item,
  );
}
