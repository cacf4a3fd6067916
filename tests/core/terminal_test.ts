/** Text on its way to a terminal. */

import assert from "node:assert/strict";
import {
  eraseLine,
  plain,
  plainJson,
  shortened,
  standardError,
  standardOutput,
  terminal,
} from "../../core/terminal.ts";

/** Everything that a terminal obeys or that turns the direction of text, between letters. */
const hostile = [
  ...Array.from({ length: 0x20 }, (_, code) => code).filter((code) => code !== 9 && code !== 10),
  ...Array.from({ length: 0x21 }, (_, i) => 0x7f + i),
  ...[0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069],
].map((code) => String.fromCharCode(code));

Deno.test("text is plain: what a terminal obeys is shown, one character for each", () => {
  assert.equal(
    plain("a\x1b[31mb\r\n\tc\rd\x7f\x9b\u202e"),
    "a␛[31mb\n\tc␍d␡\ufffd\ufffd",
  );
  for (const character of hostile) {
    const shown = plain(`x${character}y`);
    assert.ok(!shown.includes(character), character.charCodeAt(0).toString(16));
    assert.equal(shown.length, 3);
    assert.equal(plain(shown), shown, "plain text stays as it is");
  }
  assert.equal(plain("naïve 数学 עברית\u200f 👩‍🚀\tx\n"), "naïve 数学 עברית\u200f 👩‍🚀\tx\n");
});

Deno.test("a line of JSON says the same, with what a terminal obeys escaped", () => {
  const value = { [`k${hostile.join("")}`]: hostile.join("-"), n: [1, null], t: "数\n" };
  const line = plainJson(value);
  assert.deepEqual(JSON.parse(line), value);
  assert.equal(plain(line), line);
});

Deno.test("only plumb's own controls reach a terminal, and nothing is written for nothing", () => {
  const written: string[] = [];
  const screen = terminal((text) => written.push(text), () => true);
  screen.write(eraseLine, "50 %\x1b[2J", "\n");
  screen.write("", "");
  assert.deepEqual(written, ["\r\x1b[2K50 %␛[2J\n"]);
});

Deno.test("standard output and standard error are such terminals", () => {
  for (
    const [stream, sink] of [[standardOutput, Deno.stdout], [standardError, Deno.stderr]] as const
  ) {
    const { writeSync } = sink;
    let bytes: number[] = [];
    // One byte at a time, as a full pipe may take them.
    sink.writeSync = (data) => {
      bytes = [...bytes, data[0]!];
      return 1;
    };
    try {
      stream.write("é\x1b]0;owned\x07\n");
    } finally {
      sink.writeSync = writeSync;
    }
    assert.equal(new TextDecoder().decode(new Uint8Array(bytes)), "é␛]0;owned␇\n");
  }
});

Deno.test("long values in messages are cut; their beginning and the remedy at the end stay", () => {
  const ordinary = `Cannot read /${"some/".repeat(50)}file.jsonl, line 3. Mend the line.`;
  assert.equal(shortened(ordinary), ordinary);
  const word = shortened(`--optim "${"x".repeat(5000)}" is not known. Choose adamw.`);
  assert.match(word, /^--optim "x+… \(4702 characters\) …x+" is not known\. Choose adamw\.$/);
  const words = shortened(`The row "${"word ".repeat(5000)}" has no prompt. Mend it.`);
  assert.ok(words.length < 3100);
  assert.match(words, /^The row "word .*… \(\d+ characters\) ….* has no prompt\. Mend it\.$/);
  assert.ok(!shortened("👩".repeat(2000)).includes("\ufffd"), "no character is halved");
  assert.ok(shortened("👩".repeat(2000)).isWellFormed());
});
