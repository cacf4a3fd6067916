/** Filters of text. */

import { memberOf, noAttribute, slice } from "../attributes.ts";
import { room } from "../budget.ts";
import { compare, truthy } from "../compare.ts";
import { Dictionary } from "../dictionary.ts";
import { refuse } from "../errors.ts";
import { iterate, length } from "../iterate.ts";
import { toJson } from "../json.ts";
import { escapeText } from "../markup.ts";
import { pad, replace, splitFromRight, strip } from "../methods/text.ts";
import { asInteger, index } from "../numbers.ts";
import { arithmetic } from "../operators.ts";
import { formatPercent } from "../percent.ts";
import { toText } from "../represent.ts";
import { capitalize, characters, splitLines, WORD } from "../unicode.ts";
import { asText, Markup, textOf, tuple, typeName, Undefined, type Value } from "../values.ts";
import { type Environment, type Filter, filter } from "./filter.ts";
import { prettyPrint } from "./pretty.ts";
import { wrap } from "./wrap.ts";

/** Does something with the text of a value; what was marked as safe stays so. */
function onText(value: Value, change: (text: string) => string): Value {
  const changed = change(toText(value));
  return value instanceof Markup ? new Markup(changed) : changed;
}

function replaceAll(value: Value, args: readonly Value[], { autoescape }: Environment): Value {
  const [old, replacement, count] = args;
  const times = count === null ? -1 : index(count!, "replace");
  if (!autoescape) return replace(toText(value), toText(old!), toText(replacement!), times);
  const marks = [value, old, replacement].map((part) => part instanceof Markup);
  const text = marks[1] || (marks[2] && !marks[0])
    ? new Markup(value instanceof Markup ? value.text : escapeText(toText(value)))
    : value;
  if (!(text instanceof Markup)) {
    return replace(toText(text), toText(old!), toText(replacement!), times);
  }
  const safe = replacement instanceof Markup ? replacement.text : escapeText(toText(replacement!));
  return new Markup(replace(text.text, toText(old!), safe, times));
}

function indent(value: Value, [width, first, blank]: readonly Value[]): Value {
  const isMarked = value instanceof Markup;
  const given = asText(width!);
  if (given === undefined) room(index(width!, "indent"));
  const space = given ?? " ".repeat(Math.max(0, index(width!, "indent")));
  const lines = splitLines(textOf(value, "indent") + "\n");
  let size = 0;
  const text = lines.map((line, i) => {
    const indented = i > 0 && (truthy(blank!) || line !== "") ? space + line : line;
    room(size += indented.length + 1);
    return indented;
  }).join("\n");
  const all = truthy(first!) ? space + text : text;
  return isMarked ? new Markup(all) : all;
}

function truncate(value: Value, args: readonly Value[]): Value {
  const [most, killWords, end, leeway] = args;
  const allowed = leeway === null ? 5 : leeway!;
  const endLength = length(end!);
  if (compare(most!, endLength) < 0) {
    refuse(`expected length >= ${endLength}, got ${toText(most!)}`);
  }
  if (compare(allowed, 0) < 0) refuse(`expected leeway >= 0, got ${toText(allowed)}`);
  if (compare(length(value), arithmetic("+", most!, allowed)) <= 0) return value;
  const kept = slice(value, null, arithmetic("-", most!, endLength), null);
  if (truthy(killWords!)) return arithmetic("+", kept, end!);
  const text = textOf(kept, "truncate");
  const whole = splitFromRight(text, " ", 1)[0]!;
  return arithmetic("+", kept instanceof Markup ? new Markup(whole) : whole, end!);
}

function wordWrap(value: Value, args: readonly Value[]): Value {
  const [width, breakLong, glue, breakOnHyphens] = args;
  const lines = splitLines(textOf(value, "wordwrap"));
  const options = {
    width: index(width!, "wordwrap"),
    breakLongWords: truthy(breakLong!),
    breakOnHyphens: truthy(breakOnHyphens!),
  };
  const separator = glue === null ? "\n" : textOf(glue!, "wordwrap");
  return lines.map((line) => wrap(line, options).join(separator)).join(separator);
}

const format: Filter = (_, value, args, keywords) => {
  if (args.length > 0 && keywords.size > 0) {
    refuse("format takes positional or named arguments, not both");
  }
  const values = keywords.size > 0 ? new Dictionary(keywords) : tuple(args);
  return onText(value, (text) => formatPercent(text, values, value instanceof Markup));
};

function toTitle(text: string): string {
  return text.split(/([-\s({[<]+)/u).filter((part) => part !== "").map((part) => {
    const first = characters(part)[0]!;
    return first.toUpperCase() + part.slice(first.length).toLowerCase();
  }).join("");
}

function json(value: Value, args: readonly Value[]): Value {
  const [ensureAscii, indent, separators, sortKeys] = args;
  let step: string | null = indent === null ? null : asText(indent!) ?? null;
  if (step === null && indent !== null) {
    const width = asInteger(indent!) ?? refuse(`tojson cannot indent by ${typeName(indent!)}`);
    room(Number(width));
    step = " ".repeat(Math.max(0, Number(width)));
  }
  let [itemSeparator, keySeparator] = [step === null ? ", " : ",", ": "];
  if (separators !== null) {
    const given = iterate(separators!);
    if (given.length !== 2) refuse("tojson takes two separators");
    [itemSeparator, keySeparator] = [
      textOf(given[0]!, "a separator of tojson"),
      textOf(given[1]!, "a separator of tojson"),
    ];
  }
  return toJson(value, {
    indent: step,
    itemSeparator,
    keySeparator,
    ensureAscii: truthy(ensureAscii!),
    sortKeys: truthy(sortKeys!),
  });
}

/** Unlike a dot, this filter never looks at the entries of a dictionary. */
function attribute(value: Value, [name]: readonly Value[]): Value {
  const wanted = textOf(name!, "attr");
  if (value instanceof Undefined && !wanted.startsWith("__")) return refuse(value.message);
  const member = memberOf(value, wanted);
  return member === undefined ? noAttribute(value, wanted) : member;
}

const WORDS = new RegExp(`[${WORD}]+`, "gu");

const fallback = filter(
  "default",
  [["default_value", ""], ["boolean", false]],
  (value, [otherwise, boolean]) =>
    value instanceof Undefined || (truthy(boolean!) && !truthy(value)) ? otherwise! : value,
);

/** The filters of text, and those of any value, by name. */
export const TEXT_FILTERS: Readonly<Record<string, Filter>> = {
  attr: filter("attr", ["name"], attribute),
  capitalize: filter("capitalize", [], (value) => onText(value, capitalize)),
  center: filter(
    "center",
    [["width", 80]],
    (value, [width]) => onText(value, (text) => pad(text, width!, " ", "both")),
  ),
  d: fallback,
  default: fallback,
  format,
  indent: filter("indent", [["width", 4], ["first", false], ["blank", false]], indent),
  lower: filter("lower", [], (value) => onText(value, (text) => text.toLowerCase())),
  pprint: filter("pprint", [], prettyPrint),
  replace: filter("replace", ["old", "new", ["count", null]], replaceAll),
  string: filter("string", [], (value) => value instanceof Markup ? value : toText(value)),
  title: filter("title", [], (value) => toTitle(toText(value))),
  tojson: filter("tojson", [
    ["ensure_ascii", false],
    ["indent", null],
    ["separators", null],
    ["sort_keys", false],
  ], json),
  trim: filter(
    "trim",
    [["chars", null]],
    (value, [chars]) => onText(value, (text) => strip(text, chars!, "both")),
  ),
  truncate: filter("truncate", [
    ["length", 255],
    ["killwords", false],
    ["end", "..."],
    ["leeway", null],
  ], truncate),
  upper: filter("upper", [], (value) => onText(value, (text) => text.toUpperCase())),
  wordcount: filter("wordcount", [], (value) => toText(value).match(WORDS)?.length ?? 0),
  wordwrap: filter("wordwrap", [
    ["width", 79],
    ["break_long_words", true],
    ["wrapstring", null],
    ["break_on_hyphens", true],
  ], wordWrap),
};
