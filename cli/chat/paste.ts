/** Pasted texts of several lines as one line, by the marks that terminals put around them (bracketed paste). @module */

/** Stands for the end of a line within a pasted text. */
const LINE_END = "\u23ce";

const BEGIN = "\x1b[200~";
const END = "\x1b[201~";

/** Takes what a terminal sends, in pieces; gives it without the marks, and with pasted line ends as symbols. */
export function pasteFilter(): (piece: string) => string {
  let pasting = false;
  let held = "";
  return (piece) => {
    let rest = held + piece;
    let out = "";
    for (;;) {
      const mark = pasting ? END : BEGIN;
      const at = rest.indexOf(mark);
      const until = at >= 0 ? at : rest.length - begunMark(rest, mark);
      const text = rest.slice(0, until);
      out += pasting ? text.replace(/\r\n?|\n/g, LINE_END) : text;
      rest = rest.slice(until);
      if (at < 0) break;
      rest = rest.slice(mark.length);
      pasting = !pasting;
    }
    held = rest;
    return out;
  };
}

/** A line as it was pasted. */
export function withLineEnds(line: string): string {
  return line.replaceAll(LINE_END, "\n");
}

/** How much of a mark the text ends with; a lone escape is a key. */
function begunMark(text: string, mark: string): number {
  for (let length = mark.length - 1; length > 1; length--) {
    if (text.endsWith(mark.slice(0, length))) return length;
  }
  return 0;
}
