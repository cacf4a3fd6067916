/** The npm package, installed into an empty folder. */

import assert from "node:assert/strict";
import { pack } from "../../.ci/pack.ts";
import { version } from "../../core/version.ts";
import configuration from "../../deno.json" with { type: "json" };
import { temporary } from "../cli/run_command.ts";
import { fixture } from "../data/fixture_files.ts";

/** Whether a program can be started. */
async function has(program: string): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args: ["--version"] }).output()).success;
  } catch {
    return false;
  }
}

const script = `
import * as core from "@plumb/plumb/core";
import * as nn from "@plumb/plumb/nn";
import * as rl from "@plumb/plumb/rl";

const device = await core.openDevice("cpu", { threads: 2 });
const objective = (logProbs) => rl.lossOf(rl.nll({
  logProbs, mask: core.tensor([1, 1]), segments: core.tensor([0, 0], { dtype: "i32" }),
}));
const [loss, gradient] = core.valueAndGrad(objective)(core.tensor([-1, -3]));
const model = nn.causalModel({
  model_type: "llama", vocab_size: 64, hidden_size: 16, intermediate_size: 32,
  num_hidden_layers: 1, num_attention_heads: 2,
});
const generate = nn.generator(model, { maxNewTokens: 4 });
const [tokens] = await generate(nn.initParameters(model, core.randomKey(0)), [[1, 2, 3]]);
console.log(JSON.stringify({
  loss: await loss.item(), gradient: [...await gradient.data()], tokens: tokens.length,
  threads: /2 threads/.test(device.description),
}));
process.exit(0);
`;

Deno.test("the version is deno.json's", () => {
  assert.equal(version, configuration.version);
});

Deno.test({
  name: "the npm package trains in Deno by its command, and computes in Node",
  ignore: !(await has("npm") && await has("tar")),
  fn: async () => {
    using place = temporary();
    const run = async (program: string, ...args: readonly string[]) => {
      const { success, stdout, stderr } = await new Deno.Command(program, {
        args: [...args],
        cwd: place.path,
        env: { DENO_NO_UPDATE_CHECK: "1" },
      }).output();
      assert.ok(success, new TextDecoder().decode(stderr));
      return new TextDecoder().decode(stdout);
    };
    await pack(`${place.path}/plumb.tgz`);
    await Deno.writeTextFile(
      `${place.path}/package.json`,
      JSON.stringify({ type: "module", dependencies: { "@plumb/plumb": "file:plumb.tgz" } }),
    );
    await run("npm", "install", "--silent", "--no-audit", "--no-fund");

    const command = "node_modules/.bin/plumb";
    assert.equal(
      await run(Deno.execPath(), "run", "-A", command, "--version"),
      `plumb ${version}\n`,
    );
    await Deno.writeTextFile(`${place.path}/rows.jsonl`, '{"text":"one two three"}\n');
    const flags = {
      model_name_or_path: fixture("models/llama"),
      dataset_name: "rows.jsonl",
      output_dir: "out",
      max_steps: 1,
      device: "cpu",
    };
    const words = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, `${value}`]);
    await run(Deno.execPath(), "run", "-A", command, "sft", ...words);
    assert.ok(await Deno.stat(`${place.path}/out/model.safetensors`));

    await Deno.writeTextFile(`${place.path}/script.js`, script);
    const expected = { loss: 2, gradient: [-0.5, -0.5], tokens: 4, threads: true };
    assert.deepEqual(JSON.parse(await run(Deno.execPath(), "run", "-A", "script.js")), expected);
    assert.deepEqual(JSON.parse(await run("npx", "--yes", "node@24", "script.js")), expected);
  },
});
