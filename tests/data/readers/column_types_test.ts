import assert from "node:assert/strict";
import { Float } from "../../../data/jinja/values.ts";
import { typeRows } from "../../../data/readers/column_types.ts";
import { parseJson } from "../../../data/readers/python_json.ts";
import type { Row } from "../../../data/readers/row.ts";

/** The values of the column `messages`, which chat templates see, in rows with these values. */
function seen(...values: readonly string[]): unknown[] {
  return typed("messages", values);
}

function typed(column: string, values: readonly string[]): unknown[] {
  const rows = values.map((value) => ({ [column]: parseJson(value) }));
  return typeRows(rows).map((row: Row) => row[column]);
}

const float = (value: number) => new Float(value);

// The values are those of datasets 5.0.1: load_dataset("json", …).to_list().
Deno.test("numbers of a column are floats if one is, or if one is too long for 64 bits", () => {
  assert.deepEqual(seen("5", "6.5"), [float(5), 6.5]);
  assert.deepEqual(seen("[1, null]", "[2.0]"), [[float(1), null], [float(2)]]);
  assert.deepEqual(seen('{"x": 1}', '{"x": 0.5}', "null"), [{ x: float(1) }, { x: 0.5 }, null]);
  assert.deepEqual(seen("1", "NaN"), [float(1), NaN]);
  assert.deepEqual(seen("9007199254740993", "1"), [9007199254740993n, 1]);
  assert.deepEqual(seen("100000000000000000000", "1"), [float(1e20), float(1)]);
  assert.deepEqual(seen("18446744073709551615"), [float(18446744073709552000)]);
});

Deno.test("among values of other kinds a text is the value that it is the JSON of", () => {
  const texts = ["false", " 3 ", "", "null", "[1,2", '"q"', "x", "2024-01-01", "tru", '{"k": 1.0}'];
  assert.deepEqual(
    seen("true", ...texts.map((text) => JSON.stringify(text)), "null", "5.0", "7"),
    [
      true,
      false,
      3,
      "",
      null,
      "[1,2",
      "q",
      "x",
      "2024-01-01",
      "tru",
      { k: float(1) },
      null,
      float(5),
      7,
    ],
  );
  assert.deepEqual(seen('[1, "a", null, "3"]', "[2.5]"), [[1, "a", null, 3], [2.5]]);
  assert.deepEqual(seen('{"x": {"y": 1}}', '{"x": {"y": "2"}}'), [{ x: { y: 1 } }, {
    x: { y: 2 },
  }]);
  assert.deepEqual(seen('["1", "2"]', '["x"]'), [["1", "2"], ["x"]]);
});

Deno.test("objects with different keys keep their own, and their numbers as they are", () => {
  const rows = ['[{"r": 1}, {"r": 2.0, "c": "3"}]', '[{"r": 18446744073709551615}]'];
  assert.deepEqual(seen(...rows), [[{ r: 1 }, { r: float(2), c: "3" }], [{
    r: 18446744073709551615n,
  }]]);
  assert.deepEqual(seen('{"x": NaN}', '{"y": [Infinity]}'), [{ x: null }, { y: [null] }]);
  assert.deepEqual(seen('{"x": {}, "y": 1}', '{"x": {"a": 1}, "y": 2.0}'), [
    { x: {}, y: float(1) },
    { x: { a: 1 }, y: float(2) },
  ]);
});

Deno.test("columns that no chat template sees hold plain numbers and objects", () => {
  assert.deepEqual(typed("score", ["5.0", "6"]), [5, 6]);
  assert.deepEqual(typed("answer", ['{"2": [1.0], "1": 0}']), [{ 1: 0, 2: [1] }]);
  assert.deepEqual(typed("id", ["9007199254740993"]), [9007199254740993n]);
  assert.deepEqual(typed("tools", ['[{"2": 1.0, "1": 0}]']), [[
    new Map<string, unknown>([["2", float(1)], ["1", 0]]),
  ]]);
  assert.deepEqual(typed("messages", ['[{"2": {"4": 0, "3": 0}, "1": 0}]']), [[
    { 1: 0, 2: new Map([["4", 0], ["3", 0]]) },
  ]]);
});

Deno.test("every row has every column, and rows of one kind stay the rows they are", () => {
  assert.deepEqual(typeRows([{ a: 1 }, { b: "x" }]), [{ a: 1, b: null }, { a: null, b: "x" }]);
  const rows = [{ text: "x", n: 1 }, { text: "y", n: 2 }];
  assert.equal(typeRows(rows), rows);
});

Deno.test("where a column is stored as JSON, numbers of other columns that JSON has no word for are null", () => {
  const rows = [{ a: {}, b: NaN, c: [1.5, -Infinity] }];
  assert.deepEqual(typeRows(rows), [{ a: {}, b: null, c: [1.5, null] }]);
  assert.deepEqual(typeRows([{ a: 1.5, b: NaN }]), [{ a: 1.5, b: NaN }]);
});

Deno.test("kinds are not mixed beside lines that are not one row, or beside numbers of more than 64 bits", () => {
  const rows = () => [{ a: "x", b: 1 }, { a: [1], b: 2 }];
  const uneven = "a.jsonl, line 2 is blank";
  assert.equal(typeRows(rows()).length, 2);
  assert.throws(() => typeRows(rows(), uneven), /column "a" mixes texts, lists.*line 2 is blank/);
  assert.equal(typeRows([{ a: [{ b: 1 }, { c: 2 }] }], uneven).length, 1);
  const long = 10n ** 30n;
  assert.throws(() => typeRows([...rows(), { a: "y", b: long }]), /mixes.*hold 10{30}, which 64/);
  assert.deepEqual(typeRows([{ a: {}, b: long }]), [{ a: {}, b: 1e30 }]);
});
