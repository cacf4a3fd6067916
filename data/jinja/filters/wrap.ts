/** Python's `textwrap.wrap`, as the filter `wordwrap` calls it. */

import { refuse } from "../errors.ts";
import { characters, countCharacters, WORD } from "../unicode.ts";

/** How lines are wrapped. */
export interface WrapOptions {
  /** The most characters of a line. */
  readonly width: number;
  /** Cut words that are longer than a line. */
  readonly breakLongWords: boolean;
  /** Break lines after hyphens. */
  readonly breakOnHyphens: boolean;
}

const BLANK = "[\\t-\\r ]";
const LETTER = "[\\p{L}\\p{Nl}\\p{No}_]";
const PUNCTUATED = `[${WORD}!"'&.,?]`;

/** Blanks, dashes, and words or parts of them up to a hyphen. */
const CHUNKS = new RegExp(
  `(${BLANK}+|(?<=${PUNCTUATED})-{2,}(?=[${WORD}])` +
    `|[^\\t-\\r ]+?(?:-(?:(?<=${LETTER}{2}-)|(?<=${LETTER}-${LETTER}-))(?=${LETTER}-?${LETTER})` +
    `|(?=${BLANK}|$)|(?<=${PUNCTUATED})(?=-{2,}[${WORD}])))`,
  "u",
);
const BLANKS_ONLY = new RegExp(`(${BLANK}+)`);

/** The lines of a paragraph. @throws {TemplateError} if there is no room for one character */
export function wrap(text: string, options: WrapOptions): string[] {
  const { width, breakOnHyphens } = options;
  if (width <= 0) refuse(`invalid width ${width} (must be > 0)`);
  const chunks = text.split(breakOnHyphens ? CHUNKS : BLANKS_ONLY)
    .filter((chunk) => chunk !== "").reverse();
  const lines: string[] = [];
  const isBlank = (chunk: string) => chunk.trim() === "";
  while (chunks.length > 0) {
    const line: string[] = [];
    let size = 0;
    if (lines.length > 0 && isBlank(chunks.at(-1)!)) chunks.pop();
    while (chunks.length > 0 && size + countCharacters(chunks.at(-1)!) <= width) {
      size += countCharacters(chunks.at(-1)!);
      line.push(chunks.pop()!);
    }
    if (chunks.length > 0 && countCharacters(chunks.at(-1)!) > width) {
      breakWord(chunks, line, width - size, options);
    }
    if (line.length > 0 && isBlank(line.at(-1)!)) line.pop();
    if (line.length > 0) lines.push(line.join(""));
  }
  return lines;
}

/** Puts the part of a long word that fits on a line, or all of it on a line of its own. */
function breakWord(chunks: string[], line: string[], space: number, options: WrapOptions): void {
  if (!options.breakLongWords) {
    if (line.length === 0) line.push(chunks.pop()!);
    return;
  }
  const word = characters(chunks.at(-1)!);
  let end = space;
  if (options.breakOnHyphens && word.length > space) {
    const hyphen = word.slice(0, space).lastIndexOf("-");
    if (hyphen > 0 && word.slice(0, hyphen).some((character) => character !== "-")) {
      end = hyphen + 1;
    }
  }
  line.push(word.slice(0, end).join(""));
  chunks[chunks.length - 1] = word.slice(end).join("");
}
