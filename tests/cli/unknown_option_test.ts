/** Options of other commands, and the version. */

import assert from "node:assert/strict";
import configuration from "../../deno.json" with { type: "json" };
import { inTempDir } from "../temporary.ts";
import { plumb, refusalOf } from "./run_command.ts";

Deno.test("an option of other commands is said to be one", async () => {
  assert.match(
    await refusalOf("sft", { beta: 0.1 }),
    /^Error: --beta is an option of dpo, kto, .*; sft has no such option\. sft --help lists what it has\.$/,
  );
  assert.match(
    await refusalOf("merge", { "no-packing": "" }),
    /^Error: --no-packing is an option of sft/,
  );
  assert.match(
    await refusalOf("sft", { torch_type: 1 }),
    /^Error: There is no option --torch_type\./,
  );
  assert.match(
    await refusalOf("dpo", { num_return_sequences: 2 }),
    /--num_return_sequences is an option of generate.*; dpo has no such option/,
  );
});

Deno.test("so is one in a settings file, with its line", () =>
  inTempDir(async (directory) => {
    const config = `${directory}/run.yaml`;
    await Deno.writeTextFile(config, "seed: 1\nsystem_prompt: Be brief.\n");
    const message = await refusalOf("generate", { config });
    assert.ok(message.startsWith(`Error: system_prompt (${config}, line 2) is an option of chat`));
  }));

Deno.test("the version is printed in three ways", async () => {
  for (const name of ["--version", "-V", "version"]) {
    const outcome = await plumb(name);
    assert.deepEqual(outcome, { code: 0, stdout: `plumb ${configuration.version}\n`, stderr: "" });
  }
});
