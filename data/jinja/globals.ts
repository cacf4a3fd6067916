/** What every template can call. */

import { spend } from "./budget.ts";
import { Dictionary } from "./dictionary.ts";
import { refuse } from "./errors.ts";
import { iterate } from "./iterate.ts";
import { index } from "./numbers.ts";
import { represent, toText } from "./represent.ts";
import { positional, signature } from "./signature.ts";
import { strftime } from "./strftime.ts";
import {
  callable,
  type Keywords,
  Namespace,
  Range,
  textOf,
  Thing,
  tuple,
  type Value,
} from "./values.ts";

/** Python's sandbox refuses longer ranges. */
const LONGEST_RANGE = 100_000;

/** The globals by name; `now` is what `strftime_now` reads. */
export function globals(now: () => Date): Map<string, Value> {
  return new Map<string, Value>([
    ["cycler", kind("jinja2.utils.Cycler", cycler)],
    ["dict", kind("dict", (args, keywords) => dictionary(args, keywords))],
    ["joiner", kind("jinja2.utils.Joiner", joiner)],
    ["lipsum", callable("function", () => refuse("lipsum() is not supported: it is random text"))],
    [
      "namespace",
      kind("jinja2.utils.Namespace", (args, keywords) => {
        const attributes = dictionary(args, keywords);
        return new Namespace(attributes, () => `<Namespace ${represent(attributes)}>`);
      }),
    ],
    ["raise_exception", raiseException()],
    ["range", callable("function", range)],
    ["strftime_now", strftimeNow(now)],
  ]);
}

/** A class: what is called to make its objects. */
function kind(
  name: string,
  call: (args: readonly Value[], keywords: Keywords) => Value,
): Thing {
  return new Thing({ type: "type", text: () => `<class '${name}'>`, call });
}

function raiseException(): Thing {
  const bind = signature("raise_exception", ["message"]);
  return callable("function", (args, keywords) => refuse(toText(bind(args, keywords)[0]!)));
}

function strftimeNow(now: () => Date): Thing {
  const bind = signature("strftime_now", ["format"]);
  return callable(
    "function",
    (args, keywords) => strftime(now(), textOf(bind(args, keywords)[0]!, "strftime_now")),
  );
}

function dictionary(args: readonly Value[], keywords: Keywords): Dictionary {
  if (args.length > 1) refuse(`dict expected at most 1 argument, got ${args.length}`);
  const [source] = args;
  const result = new Dictionary();
  if (source instanceof Dictionary) {
    spend(source.size);
    for (const [key, value] of source.entries()) result.set(key, value);
  } else if (source !== undefined) {
    for (const item of iterate(source)) {
      const pair = iterate(item);
      if (pair.length !== 2) refuse("dict takes pairs of key and value");
      result.set(pair[0]!, pair[1]!);
    }
  }
  for (const [key, value] of keywords) result.set(key, value);
  return result;
}

function range(args: readonly Value[], keywords: Keywords): Value {
  if (keywords.size > 0) refuse("range() takes no keyword arguments");
  if (args.length < 1 || args.length > 3) {
    refuse(`range() takes 1 to 3 arguments, not ${args.length}`);
  }
  const numbers = args.map((arg) => index(arg, "range()"));
  const [start, stop, step] = numbers.length === 1
    ? [0, numbers[0]!, 1]
    : [numbers[0]!, numbers[1]!, numbers[2] ?? 1];
  if (step === 0) refuse("range() arg 3 must not be zero");
  const made = new Range(start!, stop!, step!);
  if (made.length > LONGEST_RANGE) {
    refuse(`Range too big. The sandbox blocks ranges larger than ${LONGEST_RANGE}.`);
  }
  if (!numbers.every(Number.isSafeInteger)) {
    refuse("range() of numbers beyond 2^53 is not supported");
  }
  return made;
}

function cycler(args: readonly Value[], keywords: Keywords): Value {
  if (keywords.size > 0) refuse("cycler() takes no keyword arguments");
  if (args.length === 0) refuse("at least one item has to be provided");
  let place = 0;
  const none = positional("a method of cycler", 0);
  return new Thing({
    type: "Cycler",
    attribute: (name) => {
      switch (name) {
        case "items":
          return tuple(args);
        case "pos":
          return place;
        case "current":
          return args[place]!;
        case "next":
          return callable("method", (given, named) => {
            none(given, named);
            const item = args[place]!;
            place = (place + 1) % args.length;
            return item;
          });
        case "reset":
          return callable("method", (given, named) => {
            none(given, named);
            place = 0;
            return null;
          });
        default:
          return undefined;
      }
    },
  });
}

function joiner(args: readonly Value[], keywords: Keywords): Value {
  const separator = signature("joiner", [["sep", ", "]])(args, keywords)[0]!;
  const none = positional("a joiner", 0);
  let used = false;
  return new Thing({
    type: "Joiner",
    attribute: (name) => name === "sep" ? separator : name === "used" ? used : undefined,
    call: (given, named) => {
      none(given, named);
      const first = !used;
      used = true;
      return first ? "" : separator;
    },
  });
}
