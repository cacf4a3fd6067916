/** The methods of text that is marked as safe: those of str, with what is joined to it escaped. */

import { refuse } from "../errors.ts";
import { iterate, listLike } from "../iterate.ts";
import { escaped, stripTags, unescape } from "../markup.ts";
import { asText, Markup, type Value } from "../values.ts";
import { TEXT_METHODS, type TextMethod } from "./text.ts";

/** Methods whose text is marked as safe too; the rest give plain values. */
const MARKED = new Set([
  "capitalize",
  "casefold",
  "center",
  "expandtabs",
  "join",
  "ljust",
  "lower",
  "lstrip",
  "partition",
  "removeprefix",
  "removesuffix",
  "replace",
  "rjust",
  "rpartition",
  "rsplit",
  "rstrip",
  "split",
  "splitlines",
  "strip",
  "swapcase",
  "title",
  "translate",
  "upper",
  "zfill",
]);

/** Which argument is escaped before it is joined to the text. */
const ESCAPED_ARGUMENT: Readonly<Record<string, number>> = {
  center: 1,
  ljust: 1,
  replace: 1,
  rjust: 1,
};

function marked(value: Value): Value {
  if (typeof value === "string") return new Markup(value);
  if (!Array.isArray(value)) return value;
  return listLike(value, Array.from(value, marked));
}

/** The method of marked text by this name; undefined if there is none. */
export function markupMethod(name: string): TextMethod | undefined {
  if (name === "unescape") return { bind: noArguments(name), run: unescape };
  if (name === "striptags") return { bind: noArguments(name), run: stripTags };
  if (name === "escape") {
    return {
      bind: (args) => [...args],
      run: (_, [value]) => new Markup(escaped(value ?? null)),
    };
  }
  const method = Object.hasOwn(TEXT_METHODS, name) ? TEXT_METHODS[name] : undefined;
  if (method === undefined || !MARKED.has(name)) return method;
  const place = ESCAPED_ARGUMENT[name];
  return {
    bind: method.bind,
    run: (self, args) => {
      let given = args;
      if (name === "join") given = [iterate(args[0]!).map(escaped)];
      else if (place !== undefined && args.length > place) {
        given = args.with(place, escaped(args[place]!));
      }
      return marked(method.run(self, given));
    },
  };
}

function noArguments(name: string): TextMethod["bind"] {
  return (args, keywords) =>
    args.length + keywords.size === 0 ? [] : refuse(`${name} takes no arguments`);
}

/** What stands before or after marked text, marked: what is not yet, is escaped. */
export function joinMarked(left: Value, right: Value): Markup | undefined {
  if (asText(left) === undefined || asText(right) === undefined) return undefined;
  return new Markup(escaped(left) + escaped(right));
}
