/** Python's `text.format(…)`. */

import { room } from "./budget.ts";
import { refuse } from "./errors.ts";
import { formatValue } from "./format_spec.ts";
import { escapeText } from "./markup.ts";
import { represent, toText } from "./represent.ts";
import { Markup, Undefined, type Value } from "./values.ts";

/** What fills in the places of a text. */
export interface Fields {
  /** By number. */
  readonly positional: readonly Value[];
  /** By name; throws where there is none. */
  readonly named: (name: string) => Value;
  /** What a dot finds on a value. */
  readonly attribute: (value: Value, name: string) => Value;
  /** What brackets find in a value. */
  readonly item: (value: Value, key: Value) => Value;
  /** Escape what is filled in, as text that is marked as safe does. */
  readonly escape: boolean;
}

/** A part of the text: what stands before a place, and the place. */
interface Part {
  readonly literal: string;
  readonly field?: string;
  readonly conversion?: string;
  readonly specification?: string;
}

/** Fills in the places `{}`, `{0}`, `{name.attribute[item]!r:>8}` of a text. */
export function formatText(text: string, fields: Fields): string {
  const numbering = { next: 0 as number | undefined };
  return fill(text, fields, numbering, 2);
}

function fill(
  text: string,
  fields: Fields,
  numbering: { next: number | undefined },
  depth: number,
): string {
  if (depth === 0) refuse("Max string recursion exceeded");
  let result = "";
  for (const { literal, field, conversion, specification } of parse(text)) {
    result += literal;
    if (field === undefined) continue;
    const value = converted(lookUp(field, fields, numbering), conversion);
    const filled = fill(specification!, fields, numbering, depth - 1);
    result += formatted(value, filled, fields.escape);
    room(result.length);
  }
  return result;
}

function formatted(value: Value, specification: string, escape: boolean): string {
  if (value instanceof Undefined && specification !== "") {
    refuse("unsupported format string passed to Undefined.__format__");
  }
  if (!escape) return formatValue(value, specification);
  if (value instanceof Markup) {
    return specification === ""
      ? value.text
      : refuse("Unsupported format specification for Markup.");
  }
  return escapeText(formatValue(value, specification));
}

function converted(value: Value, conversion: string | undefined): Value {
  switch (conversion) {
    case undefined:
      return value;
    case "s":
      return toText(value);
    case "r":
      return represent(value);
    case "a":
      return represent(value).replace(/[^\0-\x7f]/gu, (character) => {
        const code = character.codePointAt(0)!;
        if (code < 0x100) return `\\x${code.toString(16)}`;
        return code < 0x10000
          ? `\\u${code.toString(16).padStart(4, "0")}`
          : `\\U${code.toString(16).padStart(8, "0")}`;
      });
    default:
      return refuse(`Unknown conversion specifier ${conversion}`);
  }
}

function lookUp(field: string, fields: Fields, numbering: { next: number | undefined }): Value {
  const first = /^[^.[]*/.exec(field)![0];
  let value: Value;
  if (first === "" || /^\d+$/.test(first)) {
    let place = Number(first);
    if (first === "") {
      if (numbering.next === undefined) {
        refuse("cannot switch from manual field specification to automatic field numbering");
      }
      place = numbering.next!++;
    } else {
      if (numbering.next) {
        refuse("cannot switch from manual field specification to automatic field numbering");
      }
      numbering.next = undefined;
    }
    if (place >= fields.positional.length) {
      refuse(`Replacement index ${place} out of range for positional args tuple`);
    }
    value = fields.positional[place]!;
  } else value = fields.named(first);
  let rest = field.slice(first.length);
  while (rest !== "") {
    const part = /^(?:\.([^.[]+)|\[([^\]]+)\])/.exec(rest);
    if (part === null) refuse(`a format field cannot be read: {${field}}`);
    const [whole, attribute, item] = part!;
    value = attribute !== undefined
      ? fields.attribute(value, attribute)
      : fields.item(value, /^\d+$/.test(item!) ? Number(item) : item!);
    rest = rest.slice(whole!.length);
  }
  return value;
}

/** Cuts a text at its places. @throws {TemplateError} for braces that do not match */
function* parse(text: string): Generator<Part> {
  let literal = "";
  let position = 0;
  while (position < text.length) {
    const start = text.slice(position).search(/[{}]/);
    if (start < 0) break;
    literal += text.slice(position, position + start);
    position += start;
    const brace = text[position]!;
    if (text[position + 1] === brace) {
      yield { literal: literal + brace };
      literal = "";
      position += 2;
      continue;
    }
    if (brace === "}") refuse("Single '}' encountered in format string");
    if (position + 1 >= text.length) refuse("Single '{' encountered in format string");
    const end = endOfField(text, position + 1);
    yield { literal, ...readField(text.slice(position + 1, end)) };
    literal = "";
    position = end + 1;
  }
  if (literal + text.slice(position) !== "") yield { literal: literal + text.slice(position) };
}

function endOfField(text: string, start: number): number {
  let depth = 1;
  let inBrackets = false;
  let inName = true;
  for (let position = start; position < text.length; position++) {
    const character = text[position]!;
    if (inName && character === "[") inBrackets = true;
    else if (inBrackets) inBrackets = character !== "]";
    else if (character === "{") depth++;
    else if (character === "}" && --depth === 0) return position;
    else if (character === ":" || character === "!") inName = false;
  }
  return refuse("expected '}' before end of string");
}

function readField(source: string): Omit<Part, "literal"> {
  // A colon or exclamation mark in brackets belongs to the name.
  const name = /^(?:[^[:!{}]|\[[^\]]*\]?)*/.exec(source)![0];
  let rest = source.slice(name.length);
  if (rest.startsWith("{")) refuse("unexpected '{' in field name");
  let conversion: string | undefined;
  if (rest.startsWith("!")) {
    conversion = rest[1];
    if (conversion === undefined) refuse("end of string while looking for conversion specifier");
    rest = rest.slice(2);
    if (rest !== "" && !rest.startsWith(":")) {
      refuse("expected ':' after conversion specifier");
    }
  }
  return {
    field: name,
    ...(conversion === undefined ? {} : { conversion }),
    specification: rest.slice(1),
  };
}
