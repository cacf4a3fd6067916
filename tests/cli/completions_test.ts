/** Completions of the shells. */

import assert from "node:assert/strict";
import { completionsFor } from "../../cli/commands/completions.ts";

/** Runs a shell with the script and a line of its own; undefined where there is no such shell. */
async function run(shell: string, line: (file: string) => string): Promise<string | undefined> {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, await completionsFor(shell));
    const { success, stdout, stderr } = await new Deno.Command(shell, { args: ["-c", line(file)] })
      .output();
    assert.ok(success, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  } finally {
    await Deno.remove(file);
  }
}

Deno.test("bash completes commands, options and values", async () => {
  const complete = async (...words: readonly string[]) => {
    const quoted = words.map((word) => `'${word}'`).join(" ");
    const out = await run(
      "bash",
      (file) =>
        `source ${file}; COMP_WORDS=(plumb ${quoted}) COMP_CWORD=${words.length}; _plumb; printf '%s\\n' "\${COMPREPLY[@]}"`,
    );
    return out?.split("\n").filter((word) => word !== "");
  };
  const commands = await complete("on");
  if (commands === undefined) return;
  assert.deepEqual(commands, ["online-dpo"]);
  assert.deepEqual(await complete("kto", "--loss_type", ""), ["kto", "apo_zero_unpaired"]);
  assert.deepEqual(await complete("dpo", "--loss_type", "sigmoid", "h"), []);
  assert.deepEqual(await complete("online_dpo", "--missing"), ["--missing_eos_penalty"]);
  assert.deepEqual(await complete("sft", "--pack"), ["--packing", "--packing_strategy"]);
  assert.deepEqual(await complete("grpo", "--no_sh"), ["--no_shuffle_dataset"]);
  assert.deepEqual(await complete("merge", "--learning"), []);
});

Deno.test("fish completes options with their help", async () => {
  const out = await run("fish", (file) => `source ${file}; complete -C 'plumb kto --loss_type a'`);
  if (out !== undefined) assert.equal(out, "apo_zero_unpaired\tThe loss\n");
});

Deno.test("zsh reads its script", async () => {
  await run("zsh", (file) => `zsh -n ${file}`);
  assert.match(
    await completionsFor("zsh"),
    /'\*--loss_type\[.*\]:value:\(kto apo_zero_unpaired\)'/,
  );
});

Deno.test("another shell is refused with those there are", async () => {
  await assert.rejects(completionsFor("tcsh"), {
    name: "UserError",
    message: /bash, zsh, fish; "tcsh" is none of them/,
  });
});
