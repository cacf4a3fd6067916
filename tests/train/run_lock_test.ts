/** Only one run at a time writes into a directory, and none is shut out by one that is dead. @module */

import assert from "node:assert/strict";
import { lockDirectory } from "../../train/files/run_lock.ts";
import {
  argumentsOf,
  refusalOf,
  smallRun,
  startPlumb,
  temporary,
  trained,
} from "../cli/run_command.ts";
import { namesIn } from "../temporary.ts";

Deno.test("a second run into a directory is refused by the first one's process, and enters once that was killed", async () => {
  using output = temporary();
  const flags = smallRun(output.path, { num_train_epochs: 100000, logging_steps: 1 });
  const child = startPlumb(argumentsOf("sft", flags));
  const output_dir = output.path;
  const written = child.stdout.cancel();
  const said = child.stderr.getReader();
  const decoder = new TextDecoder();
  for (let text = ""; !text.includes("step 1/") && !text.includes("step      1/");) {
    const { value, done } = await said.read();
    assert.ok(!done, text);
    text += decoder.decode(value);
  }
  const refused = await refusalOf("sft", smallRun(output_dir, { max_steps: 1 }));
  assert.ok(
    refused.includes(`Another run (process ${child.pid}) is writing into ${output_dir}.`),
    refused,
  );
  child.kill("SIGKILL");
  await said.cancel();
  await Promise.all([written, child.status]);
  assert.ok(namesIn(output_dir).includes(".plumb-lock"), "a killed run leaves its file");
  await trained(smallRun(output_dir, { max_steps: 1 }));
  assert.ok(!namesIn(output_dir).includes(".plumb-lock"));
});

Deno.test("a directory is free again once a run has ended or failed, also under another path", async () => {
  using directory = temporary();
  const real = `${directory.path}/real`;
  Deno.mkdirSync(real);
  Deno.symlinkSync(real, `${directory.path}/link`);
  const first = await lockDirectory(real);
  await assert.rejects(lockDirectory(`${directory.path}/link`), /Another run \(process \d+\)/);
  first.release();
  first.release();
  const second = await lockDirectory(`${directory.path}/link`);
  second.release();
  assert.deepEqual(namesIn(real), []);
  await refusalOf("sft", smallRun(real, { dataset_name: `${directory.path}/missing.jsonl` }));
  assert.deepEqual(namesIn(real), []);
});

Deno.test("what an earlier process left in the lock's file shuts nobody out", async () => {
  using directory = temporary();
  Deno.writeTextFileSync(`${directory.path}/.plumb-lock`, `${Deno.pid}\n`);
  (await lockDirectory(directory.path)).release();
  assert.deepEqual(namesIn(directory.path), []);
});
