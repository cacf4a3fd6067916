/** The measurement of a card, in miniature on whatever adapter there is. @module */

import assert from "node:assert/strict";
import { listAdapters } from "../../core/device/webgpu/adapter.ts";
import { inTempDir } from "../temporary.ts";

const main = new URL("../../bench/gpu/main.ts", import.meta.url).pathname;
const ignore = (await listAdapters()).length === 0;

interface Result {
  readonly adapter: string;
  readonly sections: readonly {
    readonly name: string;
    readonly status: string;
    readonly rows: readonly Readonly<Record<string, unknown>>[];
  }[];
}

function start(out: string, sections: readonly string[]): Deno.ChildProcess {
  const only = sections.flatMap((name) => ["--only", name]);
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", main, "--small", "--out", out, ...only],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
}

const resultIn = (out: string): Result => JSON.parse(Deno.readTextFileSync(`${out}/gpu.json`));

Deno.test({
  name: "a card is measured section by section, parity first",
  ignore,
  fn: () =>
    inTempDir(async (out) => {
      const child = start(out, ["products", "operators", "sft-27M", "qlora-8B-512"]);
      const said = await new Response(child.stderr).text();
      assert.equal((await child.status).code, 0, said);
      const { sections } = resultIn(out);
      assert.deepEqual(
        sections.map(({ name, status }) => [name, status]),
        [["operators", "done"], ["products", "done"], ["sft-27M", "done"], [
          "qlora-8B-512",
          "done",
        ]],
      );
      assert.ok(Number(sections[0]!.rows[0]!["passed"]) > 0);
      for (const { rows } of sections.slice(2)) assert.ok(Number(rows[0]!["tokens/s"]) > 0);
      const table = Deno.readTextFileSync(`${out}/gpu.txt`);
      assert.match(table, /% of the roof/);
      assert.match(table, /QLoRA, Llama 3 8B's shape.*: done in/);
    }),
});

Deno.test({
  name: "a measurement that is cut leaves what was done",
  ignore,
  fn: () =>
    inTempDir(async (out) => {
      const child = start(out, ["operators", "attention", "grpo-27M"]);
      const decoder = new TextDecoder();
      let said = "";
      for await (const bytes of child.stderr) {
        said += decoder.decode(bytes);
        if (said.includes("operators: done")) child.kill("SIGKILL");
      }
      await child.status;
      const { sections } = resultIn(out);
      assert.equal(sections[0]!.name, "operators");
      assert.equal(sections[0]!.status, "done");
      assert.notEqual(sections.at(-1)!.name, "grpo-27M");
    }),
});
