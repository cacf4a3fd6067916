/** The types of the library's options. */

import assert from "node:assert/strict";
import { writeOptions } from "../../../train/library/write_options.ts";
import { temporary } from "../../cli/run_command.ts";

Deno.test("the options' types are what the declarations of the settings give: deno task options writes them", async () => {
  using place = temporary();
  await writeOptions(place.path);
  const current = new URL("../../../train/library/options/", import.meta.url);
  const names = (path: string | URL) => [...Deno.readDirSync(path)].map(({ name }) => name).sort();
  assert.deepEqual(names(place.path), names(current));
  for (const name of names(current)) {
    assert.equal(
      await Deno.readTextFile(`${place.path}/${name}`),
      await Deno.readTextFile(new URL(name, current)),
      name,
    );
  }
});

/** What `deno check` says of a script. */
async function complaints(script: string): Promise<string> {
  const path = new URL(`./.check-${crypto.randomUUID()}.ts`, import.meta.url).pathname;
  await Deno.writeTextFile(path, `import { dpo, grpo, sft } from "@plumb/plumb";\n${script}\n`);
  try {
    const { stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["check", "--quiet", path],
      env: { NO_COLOR: "1" },
    }).output();
    return new TextDecoder().decode(stderr);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("wrong options are type errors that name the option", async () => {
  const found = await complaints(`
sft({ model: "m", dataset: [], learningrate: 1 });
sft({ model: "m", dataset: [], learningRate: "1" });
dpo({ model: "m", dataset: [], lossType: "sigmoyd" });
dpo({ model: "m", dataset: [], loss: (pairs) => ({ losses: pairs.choosen }) });
grpo({ model: "m", dataset: [], rewards: [({ completions }) => completions.join("")] });
sft({ model: "m", dataset: [], lora: { rank: 8 } });
sft({ model: "m", dataset: [], maxLength: null, packing: true, lossType: "nll" });
`);
  for (
    const part of [
      "'learningrate' does not exist in type 'SftOptions'. Did you mean to write 'learningRate'",
      "Type 'string' is not assignable to type 'number'",
      '"sigmoyd"',
      "Property 'choosen' does not exist",
      "'rank' does not exist in type 'LoraOptions'",
      "Found 6 errors",
    ]
  ) {
    assert.ok(found.includes(part), `${part}\n\n${found}`);
  }
});
