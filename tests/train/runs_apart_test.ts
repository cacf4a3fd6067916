/** Checkpoints of several runs in one directory: none loses what is another's, or no checkpoint at all. @module */

import assert from "node:assert/strict";
import { findCheckpoint } from "../../train/files/checkpoint.ts";
import { plumb, refusalOf, smallRun } from "../cli/run_command.ts";
import { inTempDir, namesIn } from "../temporary.ts";

const saving = { max_steps: 2, save_strategy: "steps", save_steps: 1 };

Deno.test("a resumed run goes on from the run that wrote last, whatever numbers an earlier one left", () =>
  inTempDir(async (out) => {
    assert.equal((await plumb("sft", smallRun(out, { ...saving, max_steps: 4 }))).code, 0);
    assert.equal((await plumb("sft", smallRun(out, saving))).code, 0);
    assert.equal(await findCheckpoint(out, true), `${out}/checkpoint-2`);
  }));

Deno.test("the limit of checkpoints counts and removes this run's alone", () =>
  inTempDir(async (out) => {
    assert.equal((await plumb("sft", smallRun(out, { ...saving, max_steps: 4 }))).code, 0);
    assert.equal((await plumb("sft", smallRun(out, { ...saving, save_total_limit: 1 }))).code, 0);
    const left = namesIn(out).filter((name) => name.startsWith("checkpoint-"));
    // The earlier run's first two stand aside, whole.
    assert.deepEqual(left.map((name) => name.replace(/kept-\w+$/, "kept")), [
      "checkpoint-1.kept",
      "checkpoint-2",
      "checkpoint-2.kept",
      "checkpoint-3",
      "checkpoint-4",
    ]);
  }));

Deno.test("the limit of checkpoints also holds for those of the model alone", () =>
  inTempDir(async (out) => {
    const flags = { ...saving, max_steps: 3, save_only_model: true, save_total_limit: 1 };
    assert.equal((await plumb("sft", smallRun(out, flags))).code, 0);
    const left = namesIn(out).filter((name) => name.startsWith("checkpoint-"));
    assert.deepEqual(left, ["checkpoint-3"]);
  }));

Deno.test("a run resumed from a checkpoint that names no run removes none but its own", () =>
  inTempDir(async (out) => {
    const modelOnly = { ...saving, save_only_model: true };
    assert.equal((await plumb("sft", smallRun(out, modelOnly))).code, 0);
    assert.equal((await plumb("sft", smallRun(`${out}/b`, { ...saving, max_steps: 3 }))).code, 0);
    await Deno.rename(`${out}/b/checkpoint-3`, `${out}/checkpoint-3`);
    const file = `${out}/checkpoint-3/plumb_state.json`;
    const { run: _, ...unnamed } = JSON.parse(await Deno.readTextFile(file));
    await Deno.writeTextFile(file, JSON.stringify(unnamed));
    const flags = { ...saving, max_steps: 5, save_total_limit: 1, resume_from_checkpoint: true };
    const { code, stderr } = await plumb("sft", smallRun(out, flags));
    assert.equal(code, 0, stderr);
    const left = namesIn(out).filter((name) => name.startsWith("checkpoint-"));
    assert.deepEqual(left, ["checkpoint-1", "checkpoint-2", "checkpoint-3", "checkpoint-5"]);
  }));

Deno.test("a link and a directory of others in a checkpoint's place are moved aside, whole", () =>
  inTempDir(async (out) => {
    const precious = `${out}/precious`;
    await Deno.mkdir(precious);
    await Deno.writeTextFile(`${precious}/notes.txt`, "mine");
    await Deno.symlink(precious, `${out}/checkpoint-1`);
    await Deno.mkdir(`${out}/checkpoint-2`);
    await Deno.writeTextFile(`${out}/checkpoint-2/notes.txt`, "mine too");
    const { code, stderr } = await plumb("sft", smallRun(out, saving));
    assert.equal(code, 0, stderr);
    assert.match(stderr, /checkpoint-1 was a link: it is now .*checkpoint-1\.kept-/);
    assert.match(stderr, /checkpoint-2 held notes\.txt, which plumb did not write/);
    assert.equal(Deno.readTextFileSync(`${precious}/notes.txt`), "mine");
    const kept = namesIn(out).find((name) => name.startsWith("checkpoint-2.kept-"))!;
    assert.equal(Deno.readTextFileSync(`${out}/${kept}/notes.txt`), "mine too");
  }));

Deno.test("an earlier run's checkpoint of the same number is kept beside the new one", () =>
  inTempDir(async (out) => {
    assert.equal((await plumb("sft", smallRun(out, saving))).code, 0);
    const before = Deno.readTextFileSync(`${out}/checkpoint-2/plumb_state.json`);
    const { code, stderr } = await plumb("sft", smallRun(out, saving));
    assert.equal(code, 0, stderr);
    assert.match(stderr, /checkpoint-2 was another run's: it is now .*checkpoint-2\.kept-/);
    assert.notEqual(Deno.readTextFileSync(`${out}/checkpoint-2/plumb_state.json`), before);
    const kept = namesIn(out).find((name) => name.startsWith("checkpoint-2.kept-"))!;
    assert.equal(Deno.readTextFileSync(`${out}/${kept}/plumb_state.json`), before);
  }));

Deno.test("files with names like a checkpoint's own are a user's, and stay", () =>
  inTempDir(async (out) => {
    assert.equal((await plumb("sft", smallRun(out, saving))).code, 0);
    for (const name of ["README.mine.md", "model_notes.txt", "config.bak"]) {
      await Deno.writeTextFile(`${out}/checkpoint-1/${name}`, name);
    }
    const flags = { ...saving, max_steps: 4, save_total_limit: 1, resume_from_checkpoint: true };
    const { code, stderr } = await plumb("sft", smallRun(out, flags));
    assert.equal(code, 0, stderr);
    assert.match(stderr, /checkpoint-1 is over the limit and stays: it holds/);
    assert.equal(Deno.readTextFileSync(`${out}/checkpoint-1/model_notes.txt`), "model_notes.txt");
    assert.ok(!namesIn(out).includes("checkpoint-2"), "what is plumb's alone goes");
  }));

Deno.test("a file in a checkpoint's place, and what is in the way of results, are moved aside, whole", () =>
  inTempDir(async (out) => {
    await Deno.writeTextFile(`${out}/checkpoint-1`, "mine");
    await Deno.mkdir(`${out}/model.safetensors/deep`, { recursive: true });
    await Deno.writeTextFile(`${out}/model.safetensors/deep/notes.txt`, "mine too");
    await Deno.writeTextFile(`${out}/elsewhere.json`, "mine as well");
    await Deno.symlink(`${out}/elsewhere.json`, `${out}/config.json`);
    const { code, stderr } = await plumb("sft", smallRun(out, saving));
    assert.equal(code, 0, stderr);
    assert.match(stderr, /checkpoint-1 was a file: it is now .*checkpoint-1\.kept-/);
    assert.match(
      stderr,
      /model\.safetensors was a directory: it is now .*model\.safetensors\.kept-/,
    );
    assert.match(stderr, /config\.json was a link: it is now .*config\.json\.kept-/);
    const kept = (name: string) =>
      `${out}/${namesIn(out).find((n) => n.startsWith(`${name}.kept`))}`;
    assert.equal(await Deno.readTextFile(kept("checkpoint-1")), "mine");
    const notes = `${kept("model.safetensors")}/deep/notes.txt`;
    assert.equal(await Deno.readTextFile(notes), "mine too");
    assert.equal(await Deno.readTextFile(`${out}/elsewhere.json`), "mine as well");
    assert.ok((await Deno.stat(`${out}/model.safetensors`)).isFile);
  }));

Deno.test("an output directory that is a file, or a link to nothing, is refused before any work", () =>
  inTempDir(async (directory) => {
    await Deno.writeTextFile(`${directory}/file`, "mine");
    await Deno.symlink(`${directory}/gone`, `${directory}/link`);
    const refused = (path: string) => refusalOf("sft", smallRun(`${directory}/${path}`, saving));
    assert.match(await refused("file"), /output_dir .*file is a file\. Move it away/);
    assert.match(
      await refused("file/below"),
      /output_dir .*below has a file in the place of a dir/,
    );
    assert.match(
      await refused("link"),
      /output_dir .*link is a link to something that is not a dir/,
    );
    assert.equal(await Deno.readTextFile(`${directory}/file`), "mine");
    assert.deepEqual(namesIn(directory), ["file", "link"]);
  }));
