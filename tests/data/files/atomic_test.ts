import assert from "node:assert/strict";
import {
  cleanTemporaries,
  writeDirectoryAtomically,
  writeFileAtomically,
  writeFilesAtomically,
} from "../../../data/files/atomic.ts";
import { UserError } from "../../../core/errors.ts";
import { inTempDir, namesIn } from "../../temporary.ts";

function fillWith(files: Readonly<Record<string, string>>): (dir: string) => Promise<void> {
  return async (dir) => {
    for (const [name, text] of Object.entries(files)) {
      if (name.includes("/")) await Deno.mkdir(`${dir}/${name.split("/")[0]}`, { recursive: true });
      await Deno.writeTextFile(`${dir}/${name}`, text);
    }
  };
}

Deno.test("writeDirectoryAtomically() creates a directory with its parents", async () => {
  await inTempDir(async (dir) => {
    await writeDirectoryAtomically(`${dir}/a/b/checkpoint-1`, fillWith({ "x": "1", "sub/y": "2" }));
    assert.equal(await Deno.readTextFile(`${dir}/a/b/checkpoint-1/sub/y`), "2");
    assert.deepEqual(namesIn(`${dir}/a/b`), ["checkpoint-1"]);
  });
});

Deno.test("writeDirectoryAtomically() replaces a directory whole", async () => {
  await inTempDir(async (dir) => {
    await writeDirectoryAtomically(`${dir}/c/`, fillWith({ old: "1", both: "1" }));
    await writeDirectoryAtomically(`${dir}/c`, async (temporary) => {
      assert.equal(await Deno.readTextFile(`${dir}/c/both`), "1");
      await fillWith({ new: "2", both: "2" })(temporary);
    });
    assert.deepEqual(namesIn(`${dir}/c`), ["both", "new"]);
    assert.equal(await Deno.readTextFile(`${dir}/c/both`), "2");
    assert.deepEqual(namesIn(dir), ["c"]);
  });
});

Deno.test("writeDirectoryAtomically() changes nothing when the filling fails", async () => {
  await inTempDir(async (dir) => {
    await writeDirectoryAtomically(`${dir}/c`, fillWith({ x: "old" }));
    await assert.rejects(
      writeDirectoryAtomically(`${dir}/c`, async (temporary) => {
        await fillWith({ x: "half" })(temporary);
        throw new RangeError("mine");
      }),
      RangeError,
    );
    assert.equal(await Deno.readTextFile(`${dir}/c/x`), "old");
    assert.deepEqual(namesIn(dir), ["c"]);
  });
});

Deno.test("writeDirectoryAtomically() does not replace a file, and names it", async () => {
  await inTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/c`, "precious");
    await assert.rejects(writeDirectoryAtomically(`${dir}/c`, fillWith({})), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /\/c: a file of this name/);
      return true;
    });
    assert.equal(await Deno.readTextFile(`${dir}/c`), "precious");
  });
});

Deno.test("atomic writes go through links instead of replacing them", async () => {
  await inTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/real`);
    await Deno.writeTextFile(`${dir}/file`, "1");
    await Deno.symlink(`${dir}/real`, `${dir}/link`);
    await Deno.symlink(`${dir}/file`, `${dir}/filelink`);
    await writeDirectoryAtomically(`${dir}/link`, fillWith({ x: "2" }));
    await writeFileAtomically(`${dir}/filelink`, "2");
    assert.equal(await Deno.readTextFile(`${dir}/real/x`), "2");
    assert.equal(await Deno.readTextFile(`${dir}/file`), "2");
    assert.ok(
      Deno.lstatSync(`${dir}/link`).isSymlink && Deno.lstatSync(`${dir}/filelink`).isSymlink,
    );
  });
});

Deno.test("writeFileAtomically() takes text, bytes or a function, and replaces", async () => {
  await inTempDir(async (dir) => {
    const path = `${dir}/sub/x.json`;
    await writeFileAtomically(path, "é");
    assert.equal(await Deno.readTextFile(path), "é");
    await writeFileAtomically(path, Uint8Array.of(1, 2));
    assert.deepEqual(await Deno.readFile(path), Uint8Array.of(1, 2));
    await writeFileAtomically(path, (temporary) => Deno.writeTextFile(temporary, "3"));
    assert.equal(await Deno.readTextFile(path), "3");
    await assert.rejects(
      writeFileAtomically(path, async (temporary) => {
        await Deno.writeTextFile(temporary, "half");
        throw new Error("mine");
      }),
      /mine/,
    );
    assert.equal(await Deno.readTextFile(path), "3");
    assert.deepEqual(namesIn(`${dir}/sub`), ["x.json"]);
  });
});

Deno.test("writeFilesAtomically() leaves the directory's other contents alone", async () => {
  await inTempDir(async (dir) => {
    await fillWith({ "checkpoint-1/x": "keep", a: "old" })(dir);
    await writeFilesAtomically(dir, fillWith({ a: "new", b: "new" }));
    assert.deepEqual(namesIn(dir), ["a", "b", "checkpoint-1"]);
    assert.equal(await Deno.readTextFile(`${dir}/a`), "new");
    await assert.rejects(
      writeFilesAtomically(dir, async (temporary) => {
        await fillWith({ a: "half" })(temporary);
        throw new Error("mine");
      }),
      /mine/,
    );
    assert.equal(await Deno.readTextFile(`${dir}/a`), "new");
    await writeFilesAtomically(`${dir}/fresh/out`, fillWith({ c: "1" }));
    assert.deepEqual(namesIn(`${dir}/fresh/out`), ["c"]);
  });
});

Deno.test("writeFilesAtomically() replaces directories whole, and a kill between renames leaves the old one", async () => {
  await inTempDir(async (dir) => {
    await fillWith({ "model/x": "old", "model/y": "old", other: "keep" })(dir);
    await writeFilesAtomically(dir, fillWith({ "model/x": "new", "extra/z": "new" }));
    assert.deepEqual(namesIn(dir), ["extra", "model", "other"]);
    assert.deepEqual(namesIn(`${dir}/model`), ["x"]);
    assert.equal(await Deno.readTextFile(`${dir}/model/x`), "new");
    const id = "0123456789abcdef";
    await Deno.rename(`${dir}/model`, `${dir}/.model.${id}.old`);
    await Deno.mkdir(`${dir}/..files.${id}.tmp`);
    await fillWith({ "model/x": "newer" })(`${dir}/..files.${id}.tmp`);
    await cleanTemporaries(dir);
    assert.deepEqual(namesIn(dir), ["extra", "model", "other"]);
    assert.equal(await Deno.readTextFile(`${dir}/model/x`), "new");
  });
});

Deno.test("cleanTemporaries() removes leftovers and nothing else", async () => {
  await inTempDir(async (dir) => {
    const id = "0123456789abcdef";
    const kept = [".hidden", ".x.tmp", "a.tmp", `c.${id}.tmp`, "checkpoint-1"];
    await fillWith(Object.fromEntries(kept.map((name) => [name, ""])))(dir);
    await fillWith({ [`.c.${id}.tmp/x`]: "", [`.f.json.${id}.tmp`]: "" })(dir);
    assert.deepEqual(await cleanTemporaries(dir), [
      `${dir}/.c.${id}.tmp`,
      `${dir}/.f.json.${id}.tmp`,
    ]);
    assert.deepEqual(namesIn(dir), kept.sort());
    assert.deepEqual(await cleanTemporaries(`${dir}/nowhere`), []);
  });
});

Deno.test("cleanTemporaries() finishes a replacement cut off between its renames", async () => {
  await inTempDir(async (dir) => {
    const id = "0123456789abcdef";
    await fillWith({ [`.c.${id}.old/x`]: "old", [`.c.${id}.tmp/x`]: "new" })(dir);
    await fillWith({ [`.d.${id}.old/x`]: "old" })(dir);
    await fillWith({ [`.e.${id}.old/x`]: "old", "e/x": "new" })(dir);
    await cleanTemporaries(dir);
    assert.deepEqual(namesIn(dir), ["c", "d", "e"]);
    assert.equal(await Deno.readTextFile(`${dir}/c/x`), "new");
    assert.equal(await Deno.readTextFile(`${dir}/d/x`), "old");
    assert.equal(await Deno.readTextFile(`${dir}/e/x`), "new");
  });
});

Deno.test("cleanTemporaries() leaves writes under way in this process alone", async () => {
  await inTempDir(async (dir) => {
    await writeDirectoryAtomically(`${dir}/c`, async (temporary) => {
      await fillWith({ x: "1" })(temporary);
      assert.deepEqual(await cleanTemporaries(dir), []);
    });
    assert.equal(await Deno.readTextFile(`${dir}/c/x`), "1");
  });
});

Deno.test("killed at any moment, a replaced directory is one version or the other, never a mixture", async () => {
  await inTempDir(async (dir) => {
    const script = `
      import { writeDirectoryAtomically } from ${
      JSON.stringify(new URL("../../../data/files/atomic.ts", import.meta.url).href)
    };
      for (let version = Number(Deno.args[1]);; version++) {
        await writeDirectoryAtomically(Deno.args[0], async (dir) => {
          for (let i = 0; i < 5; i++) await Deno.writeTextFile(dir + "/" + i, String(version));
        });
        await Deno.stdout.write(new Uint8Array([46]));
      }`;
    await Deno.writeTextFile(`${dir}/writer.ts`, script);
    let last = 0;
    for (let trial = 0; trial < 5; trial++) {
      const child = new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--quiet",
          "--no-check",
          "-A",
          `${dir}/writer.ts`,
          `${dir}/c`,
          String(last + 1),
        ],
        stdout: "piped",
        stderr: "inherit",
      }).spawn();
      const output = child.stdout.getReader();
      const first = await output.read();
      let finished = first.value?.length ?? 0;
      await new Promise((resolve) => setTimeout(resolve, 7 * trial + Math.random() * 7));
      child.kill("SIGKILL");
      for (let next = await output.read(); !next.done; next = await output.read()) {
        finished += next.value.length;
      }
      await child.status;
      await cleanTemporaries(dir);
      assert.deepEqual(namesIn(dir), ["c", "writer.ts"]);
      const versions = new Set(
        namesIn(`${dir}/c`).map((name) => Deno.readTextFileSync(`${dir}/c/${name}`)),
      );
      assert.equal(namesIn(`${dir}/c`).length, 5);
      assert.equal(versions.size, 1);
      const version = Number([...versions][0]);
      assert.ok(
        version >= last + finished,
        `version ${version} after ${last} + ${finished} writes`,
      );
      last = version;
    }
  });
});
