/** Filters that write HTML. */

import { truthy } from "../compare.ts";
import { Dictionary } from "../dictionary.ts";
import { refuse } from "../errors.ts";
import { isIterable, iterate } from "../iterate.ts";
import { escaped, escapeText, stripTags } from "../markup.ts";
import { index } from "../numbers.ts";
import { toText } from "../represent.ts";
import { BLANKS, characters, WORD, words } from "../unicode.ts";
import { asText, Markup, textOf, typeName, Undefined, type Value } from "../values.ts";
import { type Environment, type Filter, filter } from "./filter.ts";

function markedIf(text: string, { autoescape }: Environment): Value {
  return autoescape ? new Markup(text) : text;
}

function xmlAttributes(value: Value, [space]: readonly Value[], environment: Environment): Value {
  if (!(value instanceof Dictionary)) {
    return refuse(`xmlattr takes a mapping, not ${typeName(value)}`);
  }
  const parts: string[] = [];
  for (const [key, item] of value.entries()) {
    if (item === null || item instanceof Undefined) continue;
    if (/[ \t\n\r\f\v/>=]/.test(textOf(key, "xmlattr"))) {
      refuse(`Invalid character in attribute name: ${toText(key)}`);
    }
    parts.push(`${escaped(key)}="${escaped(item)}"`);
  }
  const text = parts.join(" ");
  return markedIf(truthy(space!) && text !== "" ? ` ${text}` : text, environment);
}

/** Percent-encodes all but letters, digits and `_.-~`, as Python does. */
function quoteUrl(value: Value, forQuery: boolean): string {
  const text = asText(value) ?? toText(value);
  if (/[\ud800-\udfff]/u.test(text)) refuse("urlencode cannot encode half a character");
  const quoted = encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return forQuery ? quoted.replaceAll("%20", "+") : quoted.replaceAll("%2F", "/");
}

function urlEncode(value: Value): Value {
  if (asText(value) !== undefined || !isIterable(value)) return quoteUrl(value, false);
  const items = value instanceof Dictionary ? Array.from(value.entries()) : iterate(value);
  return items.map((item) => {
    const pair = iterate(item as Value);
    if (pair.length !== 2) refuse("urlencode needs pairs of key and value");
    return `${quoteUrl(pair[0]!, true)}=${quoteUrl(pair[1]!, true)}`;
  }).join("&");
}

const W = `[${WORD}]`;
const LINK = new RegExp(
  `^(?:(?:https?://|www\\.)(?:(?:[${WORD}%\\-]+\\.)+)?(?:[a-z]{2,63}|xn--[${WORD}%]{2,59})` +
    `|(?:[${WORD}%\\-]{2,63}\\.)+(?:com|net|int|edu|gov|org|info|mil)` +
    `|https?://(?:\\p{Nd}{1,3}(?:\\.\\p{Nd}{1,3}){3}` +
    `|\\[(?:[\\p{Nd}a-f]{0,4}:){2}(?:[\\p{Nd}a-f]{0,4}:?){1,6}\\]))` +
    `(?::\\p{Nd}{1,5})?(?:[/?#][^${BLANKS}]*)?\n?$`,
  "iu",
);
const MAIL = new RegExp(`^[^${BLANKS}]+@${W}[${WORD}.\\-]*\\.${W}+\n?$`, "u");
const SCHEME = new RegExp(`^[${WORD}.+\\-]{2,}:/{0,2}$`, "u");
const PAIRS = [["(", ")"], ["<", ">"], ["&lt;", "&gt;"]] as const;

function urlize(value: Value, args: readonly Value[], environment: Environment): Value {
  const [limit, noFollow, target, rel, schemes] = args;
  const relations = new Set(words(truthy(rel!) ? textOf(rel!, "urlize") : ""));
  if (truthy(noFollow!)) relations.add("nofollow");
  relations.add("noopener");
  const schemeTexts = schemes === null ? [] : iterate(schemes!).map((scheme) => {
    const text = textOf(scheme, "urlize");
    return SCHEME.test(text) ? text : refuse(`'${text}' is not a valid URI scheme prefix.`);
  });
  const attributes = ` rel="${escapeText([...relations].sort().join(" "))}"` +
    (truthy(target!) ? ` target="${escaped(target!)}"` : "");
  const most = limit === null ? undefined : index(limit!, "urlize");
  const shown = (text: string) => {
    if (most === undefined) return text;
    const all = characters(text);
    return all.length > most ? `${all.slice(0, most).join("")}...` : text;
  };
  const parts = escaped(value).split(new RegExp(`([${BLANKS}]+)`));
  const linked = parts.map((word) => linkWord(word, attributes, shown, schemeTexts));
  return markedIf(linked.join(""), environment);
}

function linkWord(
  word: string,
  attributes: string,
  shown: (text: string) => string,
  schemes: readonly string[],
): string {
  const head = /^(?:[(<]|&lt;)+/.exec(word)?.[0] ?? "";
  let middle = word.slice(head.length);
  let end = middle.length;
  while (end > 0) {
    if (/[)>.,\n]/.test(middle[end - 1]!)) end--;
    else if (middle.endsWith("&gt;", end)) end -= 4;
    else break;
  }
  let tail = middle.slice(end);
  middle = middle.slice(0, end);
  const count = (text: string, part: string) => text.split(part).length - 1;
  for (const [open, close] of PAIRS) {
    const opened = count(middle, open);
    if (opened <= count(middle, close)) continue;
    for (let times = Math.min(opened, count(tail, close)); times > 0; times--) {
      const cut = tail.indexOf(close) + close.length;
      middle += tail.slice(0, cut);
      tail = tail.slice(cut);
    }
  }
  return head + linkMiddle(middle, attributes, shown, schemes) + tail;
}

function linkMiddle(
  text: string,
  attributes: string,
  shown: (text: string) => string,
  schemes: readonly string[],
): string {
  if (LINK.test(text)) {
    const address = /^https?:\/\//.test(text) ? text : `https://${text}`;
    return `<a href="${address}"${attributes}>${shown(text)}</a>`;
  }
  if (text.startsWith("mailto:") && MAIL.test(text.slice(7))) {
    return `<a href="${text}">${text.slice(7)}</a>`;
  }
  if (
    text.includes("@") && !text.startsWith("www.") && !text.startsWith("@") &&
    !text.includes(":") && MAIL.test(text)
  ) return `<a href="mailto:${text}">${text}</a>`;
  let linked = text;
  for (const scheme of schemes) {
    if (linked !== scheme && linked.startsWith(scheme)) {
      linked = `<a href="${linked}"${attributes}>${linked}</a>`;
    }
  }
  return linked;
}

const escape = filter("escape", [], (value) => new Markup(escaped(value)));

/** The filters that write HTML by name. */
export const HTML_FILTERS: Readonly<Record<string, Filter>> = {
  e: escape,
  escape,
  forceescape: filter("forceescape", [], (value) => new Markup(escapeText(toText(value)))),
  safe: filter("safe", [], (value) => new Markup(toText(value))),
  striptags: filter("striptags", [], (value) => stripTags(toText(value))),
  urlencode: filter("urlencode", [], urlEncode),
  urlize: filter("urlize", [
    ["trim_url_limit", null],
    ["nofollow", false],
    ["target", null],
    ["rel", null],
    ["extra_schemes", null],
  ], urlize),
  xmlattr: filter("xmlattr", [["autospace", true]], xmlAttributes),
};
