import assert from "node:assert/strict";
import { Float } from "../../../data/jinja/values.ts";
import { depthLimit, parsePlainJson } from "../../../data/readers/plain_json.ts";
import { JsonError, parseJson, parseJsonSequence } from "../../../data/readers/python_json.ts";

/** Expects a text to be refused with a reason. */
function refuses(text: string, reason: RegExp): void {
  assert.throws(() => parseJson(text), (error) => {
    assert.ok(error instanceof JsonError, String(error));
    assert.match(error.message, reason);
    return true;
  });
}

Deno.test("what Python and JavaScript read alike is read as JavaScript reads it", () => {
  for (
    const text of [
      "null",
      " [ 1 , -2.5, 1e-7, true,false , null ] ",
      '{"a": {"b": [[], {}]}, "": "x\\n\\u00e9\\ud83d\\ude00\\\\", "é": "\\"", "__proto__": 1, "constructor": 2}',
      '"\\\\"',
      '["\\\\\\"", "a"]',
      "0.1",
      "-0.5e-3",
      "9007199254740991",
    ]
  ) {
    assert.deepEqual(parseJson(text), JSON.parse(text), text);
  }
  assert.ok(Object.is(parseJson("-0"), 0));
});

Deno.test("floats stay floats, whole numbers stay exact, and keys keep their order", () => {
  assert.deepEqual(parseJson("[5.0, -0.0, 1e16, 2E+0]"), [5, -0, 1e16, 2].map((x) => new Float(x)));
  assert.deepEqual(parseJson("[9007199254740993, -100000000000000000000]"), [
    9007199254740993n,
    -100000000000000000000n,
  ]);
  assert.deepEqual(
    parseJson('{"a": 1, "20": {"x": 2}, "10": 3}'),
    new Map<string, unknown>([["a", 1], ["20", { x: 2 }], ["10", 3]]),
  );
  assert.deepEqual(parseJson('{"01": 1, "-1": 2, "1.5": 3}'), { "01": 1, "-1": 2, "1.5": 3 });
});

Deno.test("what Python writes for no number is read", () => {
  assert.deepEqual(parseJson("[NaN, Infinity, -Infinity, Inf, -NaN]"), [
    NaN,
    Infinity,
    -Infinity,
    Infinity,
    NaN,
  ]);
  for (const text of ["nan", "inf", "+Infinity", "None", "undefined", "infinity"]) {
    refuses(text, /a value/);
  }
});

Deno.test("what is no JSON, or could be taken in two ways, is refused by its reason", () => {
  refuses("", /ends where a value/);
  refuses("[1,]", /"]" stands where a value/);
  refuses('{"a": 1,}', /"}" stands where a key/);
  refuses("{'a': 1}", /a key in double quotes/);
  refuses('{"a" 1}', /a colon/);
  refuses("[1 2]", /a comma or ]/);
  refuses("01", /nothing more/);
  for (const text of ["+1", ".5", "- 1", "--1"]) refuses(text, /stands where a value/);
  refuses("5.", /nothing more/);
  refuses("1e400", /1e400 is too large/);
  refuses('"a', /does not end/);
  refuses('"a\nb"', /control character/);
  refuses('"\\x41"', /unknown escape/);
  refuses('"\\ud800"', /half a surrogate pair/);
  refuses('{"a": 1, "a": 2}', /the key "a" stands twice/);
  refuses('{"1": 1, "b": 0, "1": 2}', /the key "1" stands twice/);
  refuses('{"toString": 1, "toString": 2}', /stands twice/);
  refuses("[".repeat(200_000), /nested more than 63 deep/);
  assert.ok(parseJson("[".repeat(depthLimit) + "]".repeat(depthLimit)));
});

Deno.test("values one after the other are read up to the one that the text ends in", () => {
  assert.deepEqual(parseJsonSequence('{"a": 1}{"a": 2} \n [3] {"a"'), {
    values: [{ a: 1 }, { a: 2 }, [3]],
    rest: 23,
  });
  assert.deepEqual(parseJsonSequence(' {"a":\n'), { values: [], rest: 1 });
  assert.throws(() => parseJsonSequence('{"a": 1},'), JsonError);
});

Deno.test("what JavaScript reads as it is written is left to JavaScript, and nothing that it would change", () => {
  const plain = [
    '{"a": 0.5, "b": [1.5, "x: 2.0", null, true, {"c": {}}], "k:": "y"}',
    '{"say": "\\ud83d\\ude00 \\"quoted\\"", "n": 0.5, "e": 2.5e-3}',
    '{ "a" :\t1 }',
  ];
  for (const text of plain) assert.deepEqual(parsePlainJson(text), JSON.parse(text));
  const others = [
    '{"a" :1,"a":2}',
    '{"a": {"b": 1, "c": {"b": 2}, "b": 1}}',
    '{"a": 1, "x": 5.0}',
    '{"x": 50.000}',
    '{"x": 1e3}',
    '{"x": 1.5E1}',
    '{"x": -0}',
    '{"x": 9007199254740993}',
    '{"x": 1e400}',
    '{"20": 1, "10": 2}',
    '{"x": "\\ud83d"}',
    '{"\\ud83d": 1}',
    '{"x": NaN}',
    '{"x": 1} {"x": 2}',
    "[".repeat(depthLimit + 1) + "]".repeat(depthLimit + 1),
  ];
  for (const text of others) assert.equal(parsePlainJson(text), undefined, text);
});
