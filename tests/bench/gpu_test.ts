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

function start(
  out: string,
  sections: readonly string[],
  flags: readonly string[] = [],
): Deno.ChildProcess {
  const only = sections.flatMap((name) => ["--only", name]);
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", main, "--small", "--out", out, ...only, ...flags],
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
      const child = start(out, ["products", "operators", "sft-27M"]);
      const said = await new Response(child.stderr).text();
      assert.equal((await child.status).code, 0, said);
      const { sections } = resultIn(out);
      assert.deepEqual(
        sections.map(({ name, status }) => [name, status]),
        [["operators", "done"], ["products", "done"], ["sft-27M", "done"]],
      );
      assert.ok(Number(sections[0]!.rows[0]!["passed"]) > 0);
      for (const { rows } of sections.slice(2)) assert.ok(Number(rows[0]!["tokens/s"]) > 0);
      const table = Deno.readTextFileSync(`${out}/gpu.txt`);
      assert.match(table, /% of the roof/);
      assert.match(table, /SFT, 27 M.*: done in/);
    }),
});

Deno.test({
  name: "sections for which no time is left are told as such, and parity not shown is a failure",
  ignore,
  fn: () =>
    inTempDir(async (out) => {
      const child = start(out, ["models", "grpo-0.5B"], ["--minutes", "0.03"]);
      await new Response(child.stderr).text();
      assert.equal((await child.status).code, 1, "parity was not shown");
      const { sections } = resultIn(out);
      assert.deepEqual(sections.map(({ status }) => status), ["no time left", "no time left"]);
    }),
});

Deno.test("a section that there is not is refused with those there are", async () => {
  const child = start("unused", ["prodcuts"]);
  const said = await new Response(child.stderr).text();
  assert.equal((await child.status).code, 2);
  assert.match(said, /^Error: There is no section "prodcuts"\. Sections: operators, .*products/);
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
