import assert from "node:assert/strict";
import { UserError } from "../../../core/errors.ts";
import {
  basePath,
  describeFileError,
  joinPath,
  missingPathError,
  nearNames,
  parentPath,
  statIfPresent,
} from "../../../data/files/local_paths.ts";

Deno.test("paths come apart and together again", () => {
  assert.deepEqual([parentPath("a/b/c"), basePath("a/b/c")], ["a/b", "c"]);
  assert.deepEqual([parentPath("a/b//"), basePath("a/b//")], ["a", "b"]);
  assert.deepEqual([parentPath("/a"), basePath("/a")], ["/", "a"]);
  assert.deepEqual([parentPath("a"), basePath("a")], [".", "a"]);
  assert.equal(joinPath("/", "a"), "/a");
  assert.equal(joinPath(".", "a"), "a");
  assert.equal(joinPath("x/", "a"), "x/a");
});

Deno.test("nearNames() finds typing errors and prefixes, the nearest first, and no strangers", () => {
  const names = ["train.jsonl", "test.jsonl", "model", "training.jsonl"];
  assert.deepEqual(nearNames("trian.jsonl", names)[0], "train.jsonl");
  assert.deepEqual(nearNames("Train", names), ["train.jsonl", "training.jsonl"]);
  assert.deepEqual(nearNames("modle", names), ["model"]);
  assert.deepEqual(nearNames("weights", names), []);
});

Deno.test("statIfPresent() gives undefined where nothing is, also below a file", async () => {
  const file = await Deno.makeTempFile();
  assert.ok((await statIfPresent(file))?.isFile);
  assert.equal(await statIfPresent(`${file}/x`), undefined);
  assert.equal(await statIfPresent(`${file}.no`), undefined);
  await Deno.remove(file);
});

Deno.test("missingPathError() says what of a path is missing", async () => {
  const message = async (path: string, what: string) =>
    (await missingPathError(path, what)).message;
  assert.match(
    await message("/no/such/model", "model"),
    /its directory "\/no\/such" does not exist/,
  );
  assert.match(
    await message("./nothing-here", "model"),
    /no such file or directory.*relative paths/,
  );
});

Deno.test("describeFileError() explains system errors and passes others on", () => {
  const context = { action: "write", path: "out/x" } as const;
  const full = describeFileError(new Error("No space left on device (os error 28)"), context);
  assert.ok(
    full instanceof UserError && /out\/x: the disk or the quota is full/.test(full.message),
  );
  const denied = describeFileError(new Deno.errors.PermissionDenied("no"), context);
  assert.ok(denied instanceof UserError && /out\/x: permission denied/.test(denied.message));
  for (const other of [new RangeError("mine"), new UserError("known"), "text"]) {
    assert.equal(describeFileError(other, context), other);
  }
});

Deno.test("a path that no file can have is the path of nothing", async () => {
  assert.equal(await statIfPresent("a\0b/config.json"), undefined);
});
