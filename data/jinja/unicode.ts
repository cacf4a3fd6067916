/** What Python knows of characters: blanks, cases, kinds. */

/**
 * Python's blanks, for a class of a regular expression. They differ from JavaScript's: \x1c-\x1f and
 * \x85 belong to them, \ufeff does not.
 */
export const BLANKS =
  "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

/** A letter, digit or underscore, for a class of a regular expression with the flag `u`. */
export const WORD = "\\p{L}\\p{N}_";

const BLANK = new RegExp(`[${BLANKS}]`);

/** Whether a UTF-16 unit is a blank. */
export function isBlank(unit: string): boolean {
  return BLANK.test(unit);
}

/** A text without blanks at its start. */
export function trimStart(text: string): string {
  let start = 0;
  while (start < text.length && BLANK.test(text[start]!)) start++;
  return text.slice(start);
}

/** A text without blanks at its end; a pattern would be tried anew at every blank. */
export function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && BLANK.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}

/** The words of a text between blanks. */
export function words(text: string): string[] {
  return text.match(new RegExp(`[^${BLANKS}]+`, "g")) ?? [];
}

const LINE_ENDS = "\\n-\\r\\x1c-\\x1e\\x85\\u2028\\u2029";
const LINES = new RegExp(`([^${LINE_ENDS}]*)(\\r\\n|[${LINE_ENDS}]|$)`, "g");

/** Python's `splitlines`. */
export function splitLines(text: string, keepEnds = false): string[] {
  const lines: string[] = [];
  for (const [whole, line, end] of text.matchAll(LINES)) {
    if (whole === "") break;
    lines.push(keepEnds ? line! + end! : line!);
  }
  return lines;
}

const SURROGATE = /[\ud800-\udfff]/;

/** The characters of a text as Python counts them. */
export function characters(text: string): string[] {
  return SURROGATE.test(text) ? Array.from(text) : text.split("");
}

/** How many characters a text has. */
export function countCharacters(text: string): number {
  return SURROGATE.test(text) ? Array.from(text).length : text.length;
}

const GREEK_WITH_IOTA: Readonly<Record<string, string>> = {
  "\u1fb2": "\u1fba\u0345",
  "\u1fb3": "\u1fbc",
  "\u1fb4": "\u0386\u0345",
  "\u1fb7": "\u1fbc\u0342",
  "\u1fbc": "\u1fbc",
  "\u1fc2": "\u1fca\u0345",
  "\u1fc3": "\u1fcc",
  "\u1fc4": "\u0389\u0345",
  "\u1fc7": "\u1fcc\u0342",
  "\u1fcc": "\u1fcc",
  "\u1ff2": "\u1ffa\u0345",
  "\u1ff3": "\u1ffc",
  "\u1ff4": "\u038f\u0345",
  "\u1ff7": "\u1ffc\u0342",
  "\u1ffc": "\u1ffc",
};

/** A character as the first of a title, which is its capital but for a few. */
export function titleCase(character: string): string {
  if (character <= "\x7f") return character.toUpperCase();
  const code = character.codePointAt(0)!;
  // Letters of two (ǆ) have a title form between the small and the capital one.
  if (code >= 0x1c4 && code <= 0x1cc) {
    return String.fromCharCode([0x1c5, 0x1c8, 0x1cb][Math.floor((code - 0x1c4) / 3)]!);
  }
  if (code >= 0x1f1 && code <= 0x1f3) return "\u01f2";
  if (code >= 0x10d0 && code <= 0x10ff) return character;
  if (code >= 0x1f80 && code <= 0x1faf) return String.fromCharCode(code | 8);
  const greek = GREEK_WITH_IOTA[character];
  if (greek !== undefined) return greek;
  const upper = character.toUpperCase();
  // A ligature becomes several letters: only the first is a capital.
  return /[\xdf\u0587\ufb00-\ufb17]/.test(character)
    ? upper[0] + upper.slice(1).toLowerCase()
    : upper;
}

/** Python's `casefold`. */
export function caseFold(text: string): string {
  return /^[\0-\x7f]*$/.test(text) ? text.toLowerCase() : characters(text).map((character) => {
    if (character === "\u0131") return character;
    if (/[\u13a0-\u13fd\uab70-\uabbf]/.test(character)) return character.toUpperCase();
    return characters(character.toUpperCase()).map((c) => c.toLowerCase()).join("");
  }).join("");
}

/** Superscripts, numbers in circles and their like: digits, but not of a decimal system. */
const DIGIT = "\\p{Nd}\\xb2\\xb3\\xb9\\u1369-\\u1371\\u19da\\u2070\\u2074-\\u2079\\u2080-\\u2089" +
  "\\u2460-\\u2468\\u2474-\\u247c\\u2488-\\u2490\\u24ea\\u24f5-\\u24fd\\u24ff\\u2776-\\u277e" +
  "\\u2780-\\u2788\\u278a-\\u2792\\u{10a40}-\\u{10a43}\\u{10e60}-\\u{10e68}\\u{11052}-\\u{1105a}" +
  "\\u{1f100}-\\u{1f10a}";

/** Chinese characters that are numbers. */
const NUMERALS =
  "㐅㒃㠪㭍一七万三九二五亖亿什仟仨伍佰億兆兩八六十千卄卅卌叁参參叄四壱壹幺廾廿弌弍弎弐拾捌柒漆玖百肆萬貮貳贰阡陆陌陸零" +
  "\\uf96b\\uf973\\uf978\\uf9b2\\uf9d1\\uf9d3\\uf9fd\\u{20001}\\u{20064}\\u{200e2}\\u{20121}" +
  "\\u{2092a}\\u{20983}\\u{2098c}\\u{2099c}\\u{20aea}\\u{20afd}\\u{20b19}\\u{22390}\\u{22998}" +
  "\\u{23b1b}\\u{2626d}\\u{2f890}";

/** Whether all characters of a text, and at least one, are in a class. */
function all(characterClass: string): (text: string) => boolean {
  const pattern = new RegExp(`^[${characterClass}]+$`, "u");
  return (text) => pattern.test(text);
}

/** Python's `isdigit`, `isalpha` and their like. */
export const KINDS = {
  isalnum: all("\\p{L}\\p{N}"),
  isalpha: all("\\p{L}"),
  isascii: (text: string): boolean => /^[\0-\x7f]*$/.test(text),
  isdecimal: all("\\p{Nd}"),
  isdigit: all(DIGIT),
  isidentifier: (text: string): boolean => /^[\p{XID_Start}_]\p{XID_Continue}*$/u.test(text),
  islower: (text: string): boolean =>
    /\p{Lowercase}/u.test(text) && !/[\p{Uppercase}\p{Lt}]/u.test(text),
  isnumeric: all(`\\p{N}${NUMERALS}`),
  isprintable: (text: string): boolean => /^(?:[^\p{C}\p{Z}]| )*$/u.test(text),
  isspace: all(BLANKS),
  istitle: isTitle,
  isupper: (text: string): boolean =>
    /\p{Uppercase}/u.test(text) && !/[\p{Lowercase}\p{Lt}]/u.test(text),
} as const;

function isTitle(text: string): boolean {
  let [cased, afterCased] = [false, false];
  for (const character of text) {
    const isCapital = /[\p{Uppercase}\p{Lt}]/u.test(character);
    if (!isCapital && !/\p{Lowercase}/u.test(character)) {
      afterCased = false;
      continue;
    }
    if (isCapital === afterCased) return false;
    cased = afterCased = true;
  }
  return cased;
}

/** Python's `title`: capitals at the start of each run of letters. */
export function toTitle(text: string): string {
  return text.replace(/\p{Cased}+/gu, (run) => capitalize(run));
}

/** Python's `capitalize`. */
export function capitalize(text: string): string {
  if (text === "") return "";
  const first = String.fromCodePoint(text.codePointAt(0)!);
  // Lowered together, since a sigma at the end of a word is another one.
  return titleCase(first) + text.toLowerCase().slice(first.toLowerCase().length);
}

/** Python's `swapcase`. */
export function swapCase(text: string): string {
  const lowered = characters(text.toLowerCase());
  const all = characters(text);
  return all.map((character, i) => {
    if (/\p{Uppercase}/u.test(character)) {
      // A final sigma depends on its neighbours.
      return character === "\u03a3" && lowered.length === all.length
        ? lowered[i]!
        : character.toLowerCase();
    }
    return /\p{Lowercase}/u.test(character) ? character.toUpperCase() : character;
  }).join("");
}
