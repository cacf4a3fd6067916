/** Rows are prepared once for the runs on the same data, and that is shown. */

import assert from "node:assert/strict";
import { terminal } from "../../core/terminal.ts";
import { consoleReporter } from "../../train/report/reporters.ts";
import type { LogRecord } from "../../train/report/progress.ts";
import { succeed } from "./preference_runs.ts";
import { digestOf, type Flags, namesIn, plumb, smallRun, temporary } from "./run_command.ts";

Deno.test("the next run takes the prepared rows of the one before, and is the same run", async () => {
  using place = temporary();
  const before = Deno.env.get("XDG_CACHE_HOME");
  Deno.env.set("XDG_CACHE_HOME", `${place.path}/cache`);
  try {
    const data = `${place.path}/data.jsonl`;
    const rows = Array.from({ length: 400 }, (_, i) => ({
      prompt: `Count to ${i}. `,
      completion: "one two three",
      // Data are worth keeping from a size on.
      other: "x".repeat(3000),
    }));
    const write = () =>
      Deno.writeTextFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    write();
    let runs = 0;
    const run = async (changes: Flags = {}) => {
      const output = `${place.path}/out${runs++}`;
      const flags = smallRun(output, { dataset_name: data, max_steps: 2, ...changes });
      const { said } = await succeed("sft", flags);
      return { digest: await digestOf(`${output}/model.safetensors`), said };
    };
    const keptFiles = () => namesIn(`${place.path}/cache/plumb/prepared`).length;
    const first = await run();
    assert.equal(keptFiles(), 1);
    const second = await run();
    assert.equal(second.digest, first.digest);
    assert.match(second.said, /400 rows, prompt-completion pairs/);
    await run({ learning_rate: 0.5 });
    assert.equal(keptFiles(), 1, "a setting that preparing rows does not look at");
    await run({ max_length: 50 });
    assert.equal(keptFiles(), 2, "one that it does");
    const dry = { dataset_name: data, dry_run: true, max_length: 49 };
    assert.equal((await plumb("sft", smallRun(`${place.path}/dry`, dry))).code, 0);
    assert.equal(keptFiles(), 2, "a dry run writes nothing");
    rows.forEach((row) => row.completion = "another answer");
    write();
    const changed = await run();
    assert.equal(keptFiles(), 3, "other data");
    assert.notEqual(changed.digest, first.digest);
  } finally {
    if (before === undefined) Deno.env.delete("XDG_CACHE_HOME");
    else Deno.env.set("XDG_CACHE_HOME", before);
  }
});

const preparing = (rows: number, elapsedSeconds: number): LogRecord => ({
  kind: "prepare",
  step: 0,
  totalSteps: 0,
  epoch: 0,
  elapsedSeconds,
  rows,
  totalRows: 2000,
});

Deno.test("preparing rows is a bar on a screen, and elsewhere a line now and then", () => {
  for (const bar of [true, false]) {
    const written: string[] = [];
    let now = 0;
    const screen = terminal((text) => written.push(text), () => bar);
    const reporter = consoleReporter({ terminal: screen, columns: () => 80, now: () => now });
    for (const [rows, seconds] of [[500, 5], [1000, 11], [1500, 15], [2000, 20]] as const) {
      now = seconds * 1000;
      reporter.report(preparing(rows, seconds));
    }
    reporter.close();
    const text = written.join("");
    if (bar) {
      assert.match(text, /^\[#+-+\] {2}500\/2000 {2}rows\/s 100 {2}eta 00:15/);
      assert.ok(text.endsWith("\r\x1b[2K"), "the bar is gone at the end");
    } else {
      assert.equal(
        text,
        "Preparing rows: 1000/2000  rows/s 91  eta 00:11\n",
      );
    }
  }
});
