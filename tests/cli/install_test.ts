/** `plumb` is a command, by the line in the README. */

import assert from "node:assert/strict";
import { temporary } from "./run_command.ts";

Deno.test({
  name: "the README's line installs plumb from a clone, and it runs from anywhere",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const root = new URL("../../", import.meta.url).pathname;
    const readme = await Deno.readTextFile(`${root}/README.md`);
    const [, line] = /^deno (install -g .*)$/m.exec(readme)!;
    using place = temporary();
    const run = async (command: string, args: readonly string[], cwd: string) => {
      const env = { DENO_INSTALL_ROOT: place.path, NO_COLOR: "1" };
      const options: Deno.CommandOptions = { args: [...args], cwd, env, stdin: "null" };
      const { code, stdout, stderr } = await new Deno.Command(command, options).output();
      const text = new TextDecoder().decode(stdout);
      assert.equal(code, 0, text + new TextDecoder().decode(stderr));
      return text;
    };
    await run(Deno.execPath(), line!.split(" "), root);
    const help = await run(`${place.path}/bin/plumb`, ["sft", "--help"], place.path);
    assert.match(help, /--model_name_or_path/);
  },
});
