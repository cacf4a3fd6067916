/** Text on a screen of so many columns. @module */

/**
 * Lines of at most `width` columns, broken between words; a word that is longer is cut. Where a text is made of parts
 * with two blanks in between, as a row of metrics is, parts stay whole if they can. Lines that follow are indented.
 *
 * @param indent Blanks before the second line and all after it.
 */
export function wrapped(text: string, width: number, indent = 0): string[] {
  return text.split("\n").flatMap((line) => wrapLine(line, Math.max(8, width), indent));
}

function wrapLine(line: string, width: number, indent: number): string[] {
  if (line.length <= width) return [line];
  const lines: string[] = [];
  let rest = line;
  let room = width;
  while (rest.length > room) {
    const at = breakOf(rest, room);
    lines.push(rest.slice(0, at).trimEnd());
    rest = rest.slice(at).trimStart();
    room = width - indent;
  }
  if (rest !== "") lines.push(rest);
  return lines.map((part, i) => i === 0 ? part : " ".repeat(indent) + part);
}

/** Where the first line of a text ends. */
function breakOf(text: string, room: number): number {
  const parts = text.lastIndexOf("  ", room);
  if (parts > room / 2) return parts;
  const words = text.lastIndexOf(" ", room);
  return words > 0 ? words : room;
}
