import assert from "node:assert/strict";
import { UserError } from "../../../core/errors.ts";
import { datasetSplits, readDataset, type Row } from "../../../data/readers/dataset.ts";
import { inferColumn } from "../../../data/readers/csv.ts";
import { assignSplits, type DataFormat } from "../../../data/readers/data_files.ts";
import { readLines, readText } from "../../../data/readers/lines.ts";
import { parseSplitSpec, resolveSlice } from "../../../data/readers/split_spec.ts";
import { inTempDir } from "../../temporary.ts";

type Files = Readonly<Record<string, string | Uint8Array>>;

/** Writes the files into a new directory and runs `use` with it. */
async function withFiles(files: Files, use: (dir: string) => Promise<void>): Promise<void> {
  await inTempDir(async (dir) => {
    for (const [name, contents] of Object.entries(files)) {
      const path = `${dir}/${name}`;
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      if (typeof contents === "string") await Deno.writeTextFile(path, contents);
      else await Deno.writeFile(path, contents);
    }
    await use(dir);
  });
}

/** The rows of one file with these contents. */
async function rowsOf(name: string, contents: string | Uint8Array, split?: string): Promise<Row[]> {
  let rows: Row[] = [];
  await withFiles({ [name]: contents }, async (dir) => {
    rows = await readDataset(`${dir}/${name}`, split === undefined ? {} : { split });
  });
  return rows;
}

/** Expects a one-paragraph `UserError` that matches all the patterns. */
async function refuses(promise: Promise<unknown>, ...reasons: RegExp[]): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof UserError, String(error));
    for (const reason of reasons) assert.match(error.message, reason);
    assert.ok(!error.message.includes("\n"));
    return true;
  });
}

async function gzip(text: string): Promise<Uint8Array> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  return await new Response(stream).bytes();
}

const line = (row: Row) => JSON.stringify(row) + "\n";
const numbered = (count: number) => Array.from({ length: count }, (_, i) => ({ i }));

Deno.test("JSON Lines give one row per line, whatever the line endings", async () => {
  const rows = [
    { text: "a\r\nb\u2028c", n: 1.5, list: [1, null], __proto__x: null },
    { text: "é👍", n: null, list: null, __proto__x: true },
  ];
  const lines = rows.map((row) => JSON.stringify(row));
  for (const end of ["\n", "\r\n", "\n\n", "\r\n  \r\n"]) {
    assert.deepEqual(await rowsOf("x.jsonl", lines.join(end)), rows);
    assert.deepEqual(await rowsOf("x.ndjson", "\ufeff" + end + lines.join(end) + end), rows);
    assert.deepEqual(await rowsOf("x.json", lines.join(end) + end), rows);
  }
  assert.deepEqual(await rowsOf("x.jsonl", "\ufeff" + lines.join("\n")), rows);
});

Deno.test("lines longer than the pieces a file is read in stay whole", async () => {
  const rows = [1, 70_000, 3_000_000, 2, 65_536].map((n) => ({ text: "ab€".repeat(n) }));
  assert.deepEqual(await rowsOf("x.jsonl", rows.map(line).join("")), rows);
});

Deno.test("a broken line is named with its number, the reason and its beginning", async () => {
  const good = line({ text: "x" });
  await refuses(
    rowsOf("x.jsonl", good + "\n" + '{"text": "abc' + "\n" + good),
    /x\.jsonl, line 3: this is not JSON: a text does not end \(column 10\)/,
    /begins: \{"text": "abc$/,
  );
  await refuses(rowsOf("x.jsonl", good + "{'text': 1}\n"), /line 2: .*a key in double quotes/);
  await refuses(rowsOf("x.jsonl", good + good.trim() + ",\n"), /line 2: .*"," stands where/);
  await refuses(rowsOf("x.jsonl", good + '{"text": 1,}\n'), /line 2: .*"}" stands where a key/);
  await refuses(
    rowsOf("x.jsonl", good + '{"text": 1\n' + good),
    /line 3: .*"{" stands where a comma/,
  );
  await refuses(rowsOf("x.jsonl", good + '{"text": 1\n\n'), /line 2: .*it ends where a comma or }/);
  await refuses(rowsOf("x.jsonl", good.trim() + "," + "y".repeat(1000)), /line 1.*begins: .{80}…$/);
  await refuses(rowsOf("x.jsonl", good + '"text"\n'), /line 2: it holds a string/);
  await refuses(rowsOf("x.jsonl", good + "[1]\n"), /line 2: it holds an array/);
  await refuses(rowsOf("x.jsonl", good + "null\n"), /line 2: it holds null/);
});

Deno.test("rows may share a line, and one may go over several", async () => {
  const rows = [{ a: 1, b: ["x"] }, { a: 2, b: [] }, { a: 3, b: ["y"] }];
  const pretty = rows.map((row) => JSON.stringify(row, null, 2)).join("\n");
  assert.deepEqual(await rowsOf("x.jsonl", pretty), rows);
  assert.deepEqual(await rowsOf("x.json", rows.map((row) => JSON.stringify(row)).join(" ")), rows);
  const long = { a: null, b: null, list: Array.from({ length: 5000 }, (_, i) => i) };
  const text = `{"list": [\n${long.list.join(",\n")}]}${JSON.stringify(rows[0])}\n${pretty}`;
  const filled = rows.map((row) => ({ ...row, list: null }));
  assert.deepEqual(await rowsOf("x.jsonl", text), [long, filled[0], ...filled]);
});

Deno.test("text that is not UTF-8 is named with its line", async () => {
  const bytes = new TextEncoder().encode(line({ text: "ab" }) + line({ text: "cd" }));
  bytes[bytes.length - 4] = 0xff;
  await refuses(rowsOf("x.jsonl", bytes), /x\.jsonl, line 2: it is not valid UTF-8/);
  await refuses(rowsOf("x.txt", Uint8Array.of(0xff, 0xfe, 0x41, 0)), /UTF-16/);
});

Deno.test("a JSON document may be an array or rows one after the other", async () => {
  const rows = [{ a: 1, b: ["x"] }, { a: 2, b: [] }];
  assert.deepEqual(await rowsOf("x.json", JSON.stringify(rows, null, 2)), rows);
  assert.deepEqual(await rowsOf("x.jsonl", JSON.stringify(rows, null, 2)), rows);
  const objects = ['{"a": [1, 2],\n "b": [["x"], []]}', '{"version": 1, "data": [{"a": 1}]}'];
  for (const text of objects) assert.deepEqual(await rowsOf("x.json", text), [JSON.parse(text)]);
  assert.deepEqual(await rowsOf("x.json", '\ufeff{\n"text": "x"}'), [{ text: "x" }]);
  assert.deepEqual(await rowsOf("x.json", '["x", "y"]'), [{ text: "x" }, { text: "y" }]);
  await refuses(rowsOf("x.json", '[{"a": 1}, 2]'), /x\.json: row 2 is a number/);
  await refuses(rowsOf("x.json", "[1"), /x\.json: it is not valid JSON: .*line 1, column 3/);
  await refuses(rowsOf("x.json", "[{}]"), /x\.json have no columns/);
  await refuses(rowsOf("x.jsonl", "{}\n"), /x\.jsonl have no columns/);
  await refuses(rowsOf("x.json", `[{"a": 1${"0".repeat(30)}}]`), /x\.json.*64 bits do not hold/);
  await refuses(
    rowsOf("x.jsonl", '{"a": "x"}\n\n{"a": [1]}\n'),
    /mixes texts, lists.*x\.jsonl, line 2 is blank/,
  );
  assert.equal((await rowsOf("x.jsonl", '{"a": "x"}\n\n{"a": "y"}\n')).length, 2);
  await refuses(rowsOf("x.json", "3"), /x\.json: an array of objects was expected/);
  await refuses(rowsOf("x.json", line({ a: 1 }) + "{"), /x\.json, line 2/);
});

Deno.test("a line, a text and what gzip unpacks to have limits that are named", async () => {
  const text = line({ text: "x".repeat(300) }) + line({ text: "y".repeat(300_000) });
  const limits = { textBytes: 200_000, unpackedBytes: 2000, unpackedTimes: 5 };
  const readAll = async (format: DataFormat, contents: string | Uint8Array, gzip = false) => {
    await withFiles({ file: contents }, async (dir) => {
      const file = { path: `${dir}/file`, format, gzip };
      if (format === "text") await readText(file, limits);
      else for await (const _ of readLines(file, limits));
    });
  };
  await refuses(readAll("jsonl", text), /file: line 2 is longer than/);
  await refuses(readAll("text", text), /file: files of this format are read at once/);
  await refuses(
    readAll("jsonl", await gzip(line({ text: "x" }).repeat(1000)), true),
    /unpacks to more than/,
  );
  await readAll("jsonl", line({ text: "x" }).repeat(20_000));
});

Deno.test("CSV handles quotes, separators and line breaks in fields, and short lines", async () => {
  const csv = 'prompt,"completion, or so",n\r\n"a ""b""\nc",x y,1\r\n\r\nd, e ,\r\n  \r\nf\r\n';
  assert.deepEqual(await rowsOf("x.csv", "\ufeff" + csv), [
    { prompt: 'a "b"\nc', "completion, or so": "x y", n: 1 },
    { prompt: "d", "completion, or so": " e ", n: null },
    { prompt: "f", "completion, or so": null, n: null },
  ]);
  assert.deepEqual(await rowsOf("x.tsv", "a\tb\n1,5\t2\n"), [{ a: "1,5", b: 2 }]);
  assert.deepEqual(await rowsOf("x.csv", "a,,a,__proto__\n1,2,3,4\n"), [
    Object.fromEntries([["a", 1], ["Unnamed: 1", 2], ["a.1", 3], ["__proto__", 4]]),
  ]);
  await refuses(
    rowsOf("x.csv", "a,b\n1,2\n1,2,3\n"),
    /x\.csv, line 3: it has 3 fields.*header has 2/,
  );
  await refuses(rowsOf("x.csv", 'a,b\n1,"x\n'), /x\.csv, line 2: a quote opens there/);
  await refuses(rowsOf("x.csv", "a,b\n1,x\0\n"), /x\.csv, line 2: .*NUL/);
});

Deno.test("columns of a table without names, or with names that others have, get names of their own", async () => {
  const namesOf = async (header: string) =>
    Object.keys((await rowsOf("x.csv", `${header}\n${header.replace(/[^,]*/g, "1")}\n`))[0]!);
  assert.deepEqual(await namesOf("a,a,a.1"), ["a", "a.2", "a.1"]);
  assert.deepEqual(await namesOf(",n,Unnamed: 0"), ["Unnamed: 0.1", "n", "Unnamed: 0"]);
  assert.deepEqual(await namesOf("a.1,a,a,a.1"), ["a.1", "a", "a.2", "a.1.1"]);
});

Deno.test("a table of one column may hold separators in quotes", async () => {
  assert.deepEqual(await rowsOf("x.csv", '"a,b"\n"1,2"\n'), [{ "a,b": "1,2" }]);
});

Deno.test("CSV with stray quotes is split as pandas splits it", async () => {
  const csv = 'a,b,n\n"x ""y"".,Blue,2\n"two\nlines",y,3\rx"y"z,"a"b"c",4';
  assert.deepEqual(await rowsOf("x.csv", csv), [
    { a: 'x "y".,Blue,2\ntwo', b: null, n: null },
    { a: 'lines"', b: "y", n: 3 },
    { a: 'x"y"z', b: 'ab"c"', n: 4 },
  ]);
  assert.deepEqual(await rowsOf("x.csv", "a,a,a.1\n1,2,3\n"), [{ a: 1, "a.2": 2, "a.1": 3 }]);
});

Deno.test("a CSV file that another character separates is refused by that character", async () => {
  await refuses(rowsOf("x.csv", "prompt;completion\nHi;Hello, you\n"), /x\.csv.*semicolons/);
  await refuses(rowsOf("x.csv", "prompt\tcompletion\nHi\tHello\n"), /x\.csv.*tabs/);
  await refuses(rowsOf("x.csv", "prompt|completion\nHi|Hello\n"), /x\.csv.*vertical bars/);
  await refuses(rowsOf("x.tsv", "prompt,completion\nHi,Hello\n"), /x\.tsv.*commas/);
  assert.deepEqual(await rowsOf("x.csv", "text; or so\nHi\n"), [{ "text; or so": "Hi" }]);
});

Deno.test("CSV columns get the types pandas infers", () => {
  assert.deepEqual(inferColumn(["1", " 2 ", "+3", "007"]), [1, 2, 3, 7]);
  assert.deepEqual(inferColumn(["1", "", "2.5", "NA", undefined]), [1, null, 2.5, null, null]);
  assert.deepEqual(inferColumn(["1e3", ".5", "2.", "-inf"]), [1000, 0.5, 2, -Infinity]);
  assert.deepEqual(inferColumn(["True", "false", "", "TRUE"]), [true, false, null, true]);
  assert.deepEqual(inferColumn(["True", "1"]), ["True", "1"]);
  assert.deepEqual(inferColumn(["1", "x", "null"]), ["1", "x", null]);
  assert.deepEqual(inferColumn(["1_0", "1"]), ["1_0", "1"]);
  assert.deepEqual(inferColumn(["0x10"]), ["0x10"]);
  assert.deepEqual(inferColumn(["9007199254740993", "-1"]), [9007199254740993n, -1]);
  assert.deepEqual(inferColumn(["1", "3\ufeff"]), ["1", "3\ufeff"]);
  const [long, tooLong] = ["18446744073709551615", "18446744073709551616"];
  assert.deepEqual(inferColumn([long, "1"]), [18446744073709551615n, 1]);
  for (const column of [[long, "NA"], [long, "-1"], [tooLong, "1.5", ""]]) {
    assert.deepEqual(inferColumn(column), column);
  }
  assert.deepEqual(inferColumn(["1.5", "", tooLong]), [1.5, null, Number(tooLong)]);
  for (const column of [[tooLong], ["", tooLong], ["-9223372036854775809", "1"]]) {
    assert.throws(() => inferColumn(column, "n"), /column "n" holds.*64 bits do not hold/);
  }
  assert.deepEqual(inferColumn(["9007199254740993", ""]), [9007199254740992, null]);
  assert.throws(() => inferColumn(["99999999999999999999", "1"], "id"), /"id".*64 bits/);
  assert.deepEqual(inferColumn(["nan", ""]), [null, null]);
});

Deno.test("plain text gives one row per line, blank lines included", async () => {
  const texts = (rows: Row[]) => rows.map(({ text }) => text);
  assert.deepEqual(texts(await rowsOf("x.txt", "a\n\n b \r\nc\u2028d\re")), [
    "a",
    "",
    " b ",
    "c\u2028d",
    "e",
  ]);
  assert.deepEqual(texts(await rowsOf("x.txt", "a\n")), ["a"]);
  assert.deepEqual(texts(await rowsOf("x.txt", "\ufeffa\r\r\nb\r")), ["a", "", "b"]);
});

Deno.test("gzipped files of every format are read, and broken gzip data is named", async () => {
  assert.deepEqual(await rowsOf("x.jsonl.gz", await gzip(line({ a: 1 }))), [{ a: 1 }]);
  assert.deepEqual(await rowsOf("x.json.gz", await gzip('[{"a":1}]')), [{ a: 1 }]);
  assert.deepEqual(await rowsOf("x.csv.gz", await gzip("a\n1\n")), [{ a: 1 }]);
  assert.deepEqual(await rowsOf("x.txt.gz", await gzip("a")), [{ text: "a" }]);
  const members = [await gzip('{"a":1}\n{"a'), await gzip('":2}\n')];
  const several = await new Blob(members as Uint8Array<ArrayBuffer>[]).bytes();
  assert.deepEqual(await rowsOf("x.jsonl.gz", several), [{ a: 1 }, { a: 2 }]);
  await refuses(rowsOf("x.jsonl.gz", several.subarray(0, several.length - 9)), /gz.*gzip/);
  const whole = await gzip(line({ a: "x".repeat(1000) }));
  await refuses(rowsOf("x.jsonl.gz", whole.subarray(0, whole.length - 9)), /x\.jsonl\.gz.*gzip/);
  await refuses(rowsOf("x.jsonl.gz", new TextEncoder().encode(line({}))), /x\.jsonl\.gz.*gzip/);
});

Deno.test("files are assigned to splits as Hugging Face datasets does", () => {
  const splits = (...names: string[]) => Object.fromEntries(assignSplits(names));
  assert.deepEqual(splits("a.jsonl"), { train: ["a.jsonl"] });
  assert.deepEqual(splits("b.jsonl", "contest.jsonl"), { train: ["b.jsonl", "contest.jsonl"] });
  assert.deepEqual(splits("test.csv", "my-train_v2.csv", "dev.csv", "other.csv"), {
    train: ["my-train_v2.csv"],
    validation: ["dev.csv"],
    test: ["test.csv"],
  });
  assert.deepEqual(splits("train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl"), {
    train: ["train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl"],
  });
  assert.deepEqual(
    splits("data/test-00000-of-00001.jsonl", "data/odd-00000-of-00001-ab.json", "train.jsonl"),
    { test: ["data/test-00000-of-00001.jsonl"], odd: ["data/odd-00000-of-00001-ab.json"] },
  );
  assert.deepEqual(splits("training/x.txt", "training/test.txt", "eval_2/y.txt", "train.txt"), {
    train: ["training/test.txt", "training/x.txt"].sort().reverse(),
    test: ["eval_2/y.txt"],
  });
  assert.deepEqual(splits("data/val.json", "data/evaluation1.json"), {
    validation: ["data/val.json"],
    test: ["data/evaluation1.json"],
  });
});

Deno.test("a directory's splits are read from its files, in order, past what is not data", async () => {
  const files = {
    "train-00001-of-00002.jsonl": line({ i: 2 }),
    "train-00000-of-00002.jsonl": line({ i: 0 }) + line({ i: 1 }),
    "validation.csv": "i\n7\n",
    "README.md": "# test",
    "config.json": "{}",
    "test.py": "print()",
    ".hidden/test.jsonl": "broken",
    "__pycache__/test.jsonl": "broken",
    "train.csv": "i\n99\n",
  };
  await withFiles(files, async (dir) => {
    assert.deepEqual(await datasetSplits(dir), ["train", "validation"]);
    assert.deepEqual(await readDataset(dir), numbered(3));
    assert.deepEqual(await readDataset(dir + "/", { split: "validation" }), [{ i: 7 }]);
    await Deno.symlink(`${dir}/validation.csv`, `${dir}/test.csv`);
    assert.deepEqual(await readDataset(dir, { split: "test" }), [{ i: 7 }]);
  });
});

Deno.test("a split that is not there is refused with those that are", async () => {
  await withFiles({ "train.jsonl": line({ i: 0 }), "valid.jsonl": line({ i: 0 }) }, async (dir) => {
    await refuses(readDataset(dir, { split: "test" }), /no split "test".*train, validation/);
    await refuses(readDataset(dir, { split: "validaton" }), /did you mean "validation"/);
    await refuses(
      readDataset(`${dir}/train.jsonl`, { split: "test" }),
      /single file.*"train".*no split "test".*train\.jsonl, test\.jsonl/,
    );
  });
});

Deno.test("slices select rows as Hugging Face datasets does", async () => {
  await withFiles(
    { "train.jsonl": numbered(15).map(line).join(""), "test.jsonl": line({ i: 100 }) },
    async (dir) => {
      const select = async (split: string) => (await readDataset(dir, { split })).map(({ i }) => i);
      assert.deepEqual(await select("train[:3]"), [0, 1, 2]);
      assert.deepEqual(await select("train[2:4]"), [2, 3]);
      assert.deepEqual(await select("train[-2:]"), [13, 14]);
      assert.deepEqual(await select("train[:-12]"), [0, 1, 2]);
      assert.deepEqual(await select("train[1_3:2_000]"), [13, 14]);
      // 10 % of 15 is 1.5 and 30 % is 4.5: Python rounds both halves to the even 2 and 4.
      assert.deepEqual(await select("train[10%:30%]"), [2, 3]);
      assert.deepEqual(await select("train[-10%:]"), [13, 14]);
      assert.deepEqual(await select("train[:2] + test+train[14:]"), [0, 1, 100, 14]);
      await refuses(select("train[5:5]"), /selects no rows \("train" has 15\)/);
      await refuses(select("train[:10%](pct1_dropremainder)"), /fewer than 100/);
      for (
        const bad of [
          "train[:101%]",
          "train[1]",
          "train[:x]",
          "",
          "train[_:]",
          "train[:3](closest)",
        ]
      ) {
        await refuses(select(bad), /Cannot understand the split/);
      }
    },
  );
  const [dropped] = parseSplitSpec("a[50%:](pct1_dropremainder)");
  assert.deepEqual(resolveSlice(dropped!, 250), [100, 250]);
});

Deno.test("a slice of JSON Lines is read no further than it needs", async () => {
  const text = numbered(50_000).map((row) => line({ ...row, pad: "x".repeat(20) })).join("") +
    "broken";
  assert.equal((await rowsOf("x.jsonl", text, "train[:10]")).length, 10);
  await refuses(rowsOf("x.jsonl", text), /line 50001/);
});

Deno.test("empty files and datasets are refused", async () => {
  for (const name of ["x.jsonl", "x.json", "x.csv", "x.txt"]) {
    await refuses(rowsOf(name, ""), /has no rows/, new RegExp(name.replace(".", "\\.")));
  }
  await refuses(rowsOf("x.jsonl", "\n \n"), /has no rows/);
  await refuses(rowsOf("x.json", "[]"), /has no rows/);
  await refuses(rowsOf("x.csv", "a,b\n"), /has no rows/);
  await withFiles({ "README.md": "" }, async (dir) => {
    await refuses(readDataset(dir), /no data files.*Supported are \.jsonl.*is empty/);
  });
});

Deno.test("paths that lead nowhere are refused with names near them", async () => {
  await withFiles({ "train.jsonl": line({ i: 0 }) }, async (dir) => {
    await refuses(
      readDataset(`${dir}/trian.jsonl`),
      /trian\.jsonl.*did you mean ".*\/train\.jsonl"/,
    );
    await refuses(readDataset(`${dir}/sub/train.jsonl`), /directory ".*\/sub" does not exist/);
    await refuses(readDataset(`${dir}/train.jsonl/x.jsonl`), /train\.jsonl/);
  });
  await refuses(readDataset("no-such-dir/x.jsonl"), /"no-such-dir" does not exist/);
});

Deno.test("formats that are not supported are named with those that are", async () => {
  await refuses(
    rowsOf("x.parquet", ""),
    /\.parquet files are not supported yet\. Supported are \.jsonl/,
  );
  await refuses(rowsOf("x.docx", ""), /\.docx files are not supported\. Supported/);
  await refuses(rowsOf("x.jsonl.zst", ""), /\.zst files are not supported/);
  await refuses(rowsOf("x", ""), /no extension/);
  await withFiles({ "data/train-00000-of-00001.parquet": "" }, async (dir) => {
    await refuses(readDataset(dir), /train-00000-of-00001\.parquet: \.parquet files are not/);
  });
  const saved = { "data-00000-of-00001.arrow": "", "state.json": "{}", "dataset_info.json": "{}" };
  await withFiles(saved, async (dir) => {
    await refuses(readDataset(dir), /save_to_disk.*load_from_disk/);
  });
});
