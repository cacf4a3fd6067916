/** Files that are written anew, out of parts that are known to be read in different ways. Each follows from its random numbers. @module */

import { type Dice, joined, type Mutation } from "./mutations.ts";

const encoder = new TextEncoder();

/** As many things as dice say, from `least` on. */
function several(dice: Dice, least: number, most: number, make: (i: number) => string): string[] {
  return Array.from({ length: least + dice.below(most - least + 1) }, (_, i) => make(i));
}

const scalars = [
  "null",
  "true",
  "false",
  "0",
  "1",
  "-7",
  "5.0",
  "-0.0",
  "0.1",
  "1e3",
  "1E-2",
  "1e400",
  "9007199254740993",
  "18446744073709551615",
  "-9223372036854775809",
  "123456789012345678901234567890",
  "NaN",
  "-Infinity",
  '""',
  '"text"',
  '"1"',
  '"1.0"',
  '"true"',
  '"null"',
  '"NaN"',
  '"[1]"',
  '"{}"',
  '" "',
  '"a\\u0000b"',
  '"\\ud83d\\ude00"',
  '"\\ud83d"',
  '"\\u00e9 é"',
  '"2024-01-02"',
  '"line\\nbreak\\ttab"',
];

/** The JSON of some value. */
function someJson(dice: Dice, depth = 0): string {
  const kind = dice.below(depth > 2 ? 3 : 6);
  if (kind < 3) return dice.of(scalars);
  if (kind < 4) return `[${several(dice, 0, 3, () => someJson(dice, depth + 1)).join(", ")}]`;
  const keys = ["a", "b", "a", "", "10", "2", "__proto__", "constructor", "é"];
  return `{${
    several(dice, 0, 3, () => `"${dice.of(keys)}": ${someJson(dice, depth + 1)}`).join(", ")
  }}`;
}

/** Columns whose values are of few kinds, as real ones are. */
function someColumn(dice: Dice): () => string {
  const kinds = several(dice, 1, 3, () => someJson(dice));
  return () => dice.below(6) === 0 ? "null" : dice.of(kinds);
}

/** Rows as objects of JSON, of which some lack columns. */
function someRows(dice: Dice): string[] {
  const columns = ["prompt", "completion", "n"].slice(0, 1 + dice.below(3)).map((name) =>
    [name, someColumn(dice)] as const
  );
  return several(dice, 1, 4, () => {
    const fields = columns.filter(() => dice.below(8) > 0).map(([name, value]) =>
      `"${name}": ${value()}`
    );
    return `{${fields.join(", ")}}`;
  });
}

/** Lines of JSON. */
export const writeLines: Mutation = (_, dice) => {
  const rows = someRows(dice);
  const spaced = dice.below(4) > 0
    ? rows.join("\n") + "\n"
    : rows.join(dice.of(["\r\n", "\n\n", "\r", " ", "", "\n \n", ",\n", "\n\u2028"]));
  return encoded(spaced, dice);
};

/** A document of JSON. */
export const writeDocument: Mutation = (_, dice) => {
  const rows = someRows(dice);
  const text = dice.of<() => string>([
    () => `[${rows.join(", ")}]`,
    () => `[\n  ${rows.join(",\n  ")}\n]\n`,
    () => `{"data": [${rows.join(", ")}]}`,
    () => `{"data": [${rows.join(", ")}], "version": "1"}`,
    () => rows.join("\n"),
    () => `[${rows.join(", ")}, ${someJson(dice)}]`,
    () => `[${several(dice, 0, 3, () => someJson(dice)).join(", ")}]`,
    () => someJson(dice),
    () => dice.of(["", "\n", "[]", "{}", "[[]]", "[{}]", "[null]", " [ ] ", "[]\n[]"]),
  ])();
  return encoded(text, dice);
};

const cells = [
  "",
  " ",
  "a",
  " a ",
  '"a"',
  '"a,b"',
  '"a ""b"" c"',
  '"a\nb"',
  '"a\r\nb"',
  'a"b',
  '"a"b',
  ' "a"',
  '"a" ',
  "'a,b'",
  "NA",
  "null",
  "nan",
  "-nan",
  "#N/A",
  '"NA"',
  "None",
  "1",
  " 1",
  "1 ",
  "+1",
  "-0",
  "007",
  "1.5",
  ".5",
  "5.",
  "1e5",
  "1E400",
  "1_000",
  "1,000",
  "0x10",
  "inf",
  "-Infinity",
  "9007199254740993",
  "18446744073709551615",
  "18446744073709551616",
  "123456789012345678901234567890",
  "True",
  "TRUE",
  "true",
  "False",
  "yes",
  "2024-01-02",
  "é",
  "😀",
  "\\n",
  '"',
  '""',
  '""""',
];

/** A table of separated values. */
export const writeTable: Mutation = (_, dice) => {
  const width = 1 + dice.below(4);
  const names = ["prompt", "completion", "n", "n", "", " x", '"a,b"', "1", "Unnamed: 0", "n.1"];
  const header = Array.from({ length: width }, () => dice.of(names));
  const kinds = header.map(() => several(dice, 1, 3, () => dice.of(cells)));
  const lines = [
    header,
    ...several(dice, 0, 4, String).map(() => {
      const row = kinds.map((column) => dice.of(column));
      if (dice.below(8) === 0) row.pop();
      if (dice.below(16) === 0) row.push(dice.of(cells));
      return row;
    }),
  ].map((row) => row.join(","));
  if (dice.below(6) === 0) {
    lines.splice(dice.below(lines.length + 1), 0, dice.of(["", " ", "# x", ",,"]));
  }
  const feed = dice.of(["\n", "\n", "\n", "\r\n", "\r"]);
  return encoded(lines.join(feed) + dice.of(["", feed, feed + feed]), dice);
};

const yamlValues = [
  "1",
  "0o17",
  "010",
  "0x1F",
  "1_000",
  "1e5",
  "1.5e-5",
  "2e-5",
  "1:30",
  "1:30.5",
  ".inf",
  "-.INF",
  ".nan",
  "yes",
  "No",
  "on",
  "TRUE",
  "~",
  "null",
  "",
  "2024-01-02",
  "2024-01-02 03:04:05",
  "2024-13-45",
  "=",
  "<<",
  "text",
  "two words",
  "'it''s'",
  '"a\\x41\\u00e9\\n"',
  '"\\q"',
  '"open',
  "[a, b]",
  "[a, [b, {c: d}]]",
  "[a, b",
  "{a: 1, b: 2}",
  "{a, b}",
  "{a: 1, a: 2}",
  "&x 1",
  "&x [1]",
  "*x",
  "*none",
  "&x [*x]",
  "!!str 1",
  "!!int '1'",
  "!!int x",
  "!!float 1",
  "!!bool 1",
  "!!null x",
  "!!binary aGk=",
  "!!timestamp 2024-01-02",
  "!!set {a, b}",
  "!!omap [a: 1]",
  "!!pairs [a: 1]",
  "!!python/object/apply:os.system ['true']",
  "!!python/tuple [1]",
  "!own x",
  "! x",
  "|\n  a\n  b",
  ">-\n  a\n  b",
  "|2\n   a",
  "\n  - a\n  - b",
  "\n- a\n- b",
  "\n  a: 1\n  b: 2",
  "a: b",
  "a #b",
  "a#b",
  "# b",
  "@a",
  "`a",
  "%a",
  "- a",
  "? a",
  "a\tb",
  "\ta",
  "a\n  b",
  "a\nb",
];

/** A text of YAML. */
export const writeYaml: Mutation = (_, dice) => {
  const keys = [
    "a",
    "b",
    "c",
    "a",
    "'q'",
    '"r"',
    "1",
    "yes",
    "null",
    "<<",
    "? k",
    "[l]",
    "*x",
    "&y k",
    "!!str s",
    "",
    "2024-01-02",
    "1.5",
  ];
  const lines = several(dice, 1, 5, () => {
    const key = dice.below(3) > 0 ? dice.of(["a", "b", "c", "d", "e"]) : dice.of(keys);
    return `${key}${dice.of([": ", ": ", ": ", ": ", ":", " : ", ":\t", " "])}${
      dice.of(yamlValues)
    }`;
  });
  if (dice.below(5) === 0) {
    const odd = [
      "---",
      "...",
      "%YAML 1.1\n---",
      "%TAG ! x:\n---",
      "# x",
      "",
      " ",
      "\t",
      "  x: 1",
      "- a",
      "text",
      "\u0085",
      "\0",
    ];
    lines.splice(dice.below(lines.length + 1), 0, dice.of(odd));
  }
  return encoded(lines.join(dice.of(["\n", "\n", "\n", "\r\n", "\r"])) + dice.of(["", "\n"]), dice);
};

/** A text in bytes; now and then in an encoding of its own. */
function encoded(text: string, dice: Dice): Uint8Array<ArrayBuffer> {
  const utf8 = encoder.encode(text);
  switch (dice.below(24)) {
    case 0:
      return joined(Uint8Array.of(0xef, 0xbb, 0xbf), utf8);
    case 1:
      return utf16(text, dice.below(2) === 0, dice.below(4) > 0);
    case 2:
      return joined(
        utf8.slice(0, dice.below(utf8.length + 1)),
        Uint8Array.of(dice.of([0xe9, 0xff, 0x80, 0xc0])),
        utf8.slice(-5),
      );
    case 3:
      return joined(utf8, Uint8Array.of(dice.of([0, 0x1a, 0x0c, 0x0b, 0xc3])));
    default:
      return utf8;
  }
}

function utf16(text: string, little: boolean, mark: boolean): Uint8Array<ArrayBuffer> {
  const units = (mark ? "\ufeff" : "") + text;
  const view = new DataView(new ArrayBuffer(2 * units.length));
  for (let i = 0; i < units.length; i++) view.setUint16(2 * i, units.charCodeAt(i), little);
  return new Uint8Array(view.buffer);
}
