/**
 * The one place where text leaves for a terminal. Whatever its source (rows, answers, names of files and tensors, messages
 * of errors), no character of it can move the cursor, change a setting or turn the direction of what stands around it:
 * only a {@linkcode Control} of this module can.
 *
 * @module
 */

/** What plumb itself asks of a terminal. */
export interface Control {
  /** The sequence. */
  readonly control: string;
}

/** A stream that people read. */
export interface Terminal {
  /** Writes all at once; texts as {@linkcode plain} gives them. */
  readonly write: (...parts: readonly (string | Control)[]) => void;
  /** Whether it is a screen, where a line can be redrawn. */
  readonly isScreen: () => boolean;
}

/** Takes away the line that the cursor is in. */
export const eraseLine: Control = { control: "\r\x1b[2K" };

/** Asks a terminal to mark pasted texts. */
export const markPastes: Control = { control: "\x1b[?2004h" };

/** Asks it to do so no longer. */
export const leavePastes: Control = { control: "\x1b[?2004l" };

const styles = { faint: "2", red: "31", boldRed: "1;31", boldBlue: "1;34" } as const;

/** A text in a style, or as it is where `NO_COLOR` is set. */
export function styled(style: keyof typeof styles, text: string): readonly (string | Control)[] {
  if (Deno.noColor) return [text];
  return [{ control: `\x1b[${styles[style]}m` }, text, { control: "\x1b[0m" }];
}

/** C0 but tabs and line feeds, DEL, C1, and what overrides the direction of text; marks that only hint at it stay. */
// deno-lint-ignore no-control-regex -- these are what is looked for
const unsafe = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;

/**
 * Text without anything that a terminal obeys: control characters as the symbols Unicode has for them, each in the place
 * of one character, so that columns stay columns. Lines may end in "\r\n".
 */
export function plain(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(unsafe, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? "\u2421" : "\ufffd";
  });
}

/** A value as one line of JSON that is safe to show and says the same: what a terminal obeys is escaped. */
export function plainJson(value: unknown): string {
  return (JSON.stringify(value, writable) ?? "null").replace(
    unsafe,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

interface RawJson extends JSON {
  readonly rawJSON: (text: string) => unknown;
}

/** What `JSON.stringify` cannot write itself: long whole numbers, and objects whose keys keep an order of their own. */
function writable(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return (JSON as RawJson).rawJSON(String(value));
  return value instanceof Map ? Object.fromEntries(value) : value;
}

const longestWord = 300;
const longestMessage = 3000;

/** A message in which long values are cut: its beginning and its end, where the remedy stands, stay. */
export function shortened(message: string): string {
  const words = message.replace(/\S+/g, (word) => cut(word, longestWord));
  return cut(words, longestMessage);
}

function cut(text: string, most: number): string {
  // By code points, so that no character is halved.
  const characters = text.length <= most ? [] : [...text];
  const left = characters.length - most;
  if (left <= 0) return text;
  const head = Math.round(most * 2 / 3);
  const [first, last] = [characters.slice(0, head), characters.slice(head + left)];
  return `${first.join("")}… (${left} characters) …${last.join("")}`;
}

const encoder = new TextEncoder();

/** Writes all of a text, as it is, to a file. */
export function writeAll(
  sink: { readonly writeSync: (bytes: Uint8Array) => number },
  text: string,
): void {
  let bytes = encoder.encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(sink.writeSync(bytes));
}

/** A terminal over a function that takes what it would show. */
export function terminal(write: (text: string) => void, isScreen: () => boolean): Terminal {
  return {
    write: (...parts) => {
      const text = parts.map((part) => typeof part === "string" ? plain(part) : part.control);
      if (text.some((part) => part !== "")) write(text.join(""));
    },
    isScreen,
  };
}

/** Standard output. */
export const standardOutput: Terminal = terminal(
  (text) => writeAll(Deno.stdout, text),
  () => Deno.stdout.isTerminal(),
);

/** Standard error. */
export const standardError: Terminal = terminal(
  (text) => writeAll(Deno.stderr, text),
  () => Deno.stderr.isTerminal(),
);

/** Columns of the screen; 80 where that cannot be known. */
export function screenColumns(): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    return 80;
  }
}

/** A warning for whoever uses the library, wherever it runs. */
export function warn(text: string): void {
  // deno-lint-ignore no-console -- the console is there in a browser too
  console.warn(plain(text));
}
