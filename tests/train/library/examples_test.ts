/** The examples that TRL's scripts became. */

import assert from "node:assert/strict";
import { fixture } from "../../data/fixture_files.ts";
import { temporary } from "../../cli/run_command.ts";

const folder = new URL("../../../examples/from_trl/", import.meta.url);

const rows: Readonly<Record<string, readonly object[]>> = {
  "trl-lib/Capybara": [{ text: "one two three" }, { text: "four five" }],
  "trl-lib/ultrafeedback_binarized": [1, 2].map((n) => ({
    prompt: `Say ${n}.`,
    chosen: ` ${n}!`,
    rejected: " no",
  })),
  "trl-lib/kto-mix-14k": [true, false].map((label) => ({
    prompt: "Say yes.",
    completion: label ? " yes" : " no",
    label,
  })),
  "trl-lib/ultrafeedback-prompt": Array.from({ length: 8 }, (_, i) => ({ prompt: `Say ${i}.` })),
};

/** What keeps an example short. */
const brief = "maxSteps: 1, reporters: [], perDeviceTrainBatchSize: 8, ";
const briefer: Readonly<Record<string, string>> = {
  grpo: `${brief} maxCompletionLength: 4, `,
  ppo: `${brief} responseLength: 4, numMiniBatches: 1, `,
};

Deno.test("each example from TRL trains: as it stands, with small models, few rows and one step", async () => {
  using place = temporary();
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) =>
    name.endsWith(".ts")
  );
  assert.equal(names.length, 9);
  for (const name of names) {
    const short = name.replace(/\.ts$/, "");
    let text = await Deno.readTextFile(new URL(name, folder));
    text = text.replaceAll(/"Qwen\/[^"]*"/g, JSON.stringify(fixture("models/llama")))
      .replaceAll('"trl-lib/Qwen2-0.5B-Reward"', JSON.stringify(fixture("models/llama_reward")))
      .replaceAll(/"out\/([^"]*)"/g, (_, path) => JSON.stringify(`${place.path}/${path}`))
      .replace(/\(\{/, `({ ${briefer[short] ?? brief}`);
    for (const [dataset, list] of Object.entries(rows)) {
      text = text.replace(JSON.stringify(dataset), JSON.stringify(list));
    }
    const path = new URL(`./.example-${short}.ts`, import.meta.url);
    await Deno.writeTextFile(path, text);
    try {
      await import(path.href);
    } finally {
      await Deno.remove(path);
    }
    assert.ok(await Deno.stat(`${place.path}/${short}/trainer_state.json`), short);
  }
  assert.ok(await Deno.stat(`${place.path}/lora-merged/config.json`));
});
