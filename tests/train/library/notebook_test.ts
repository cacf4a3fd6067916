/** The notebook and the scripts that show the library. */

import assert from "node:assert/strict";
import { drawCurve } from "../../../examples/notebook/curve.ts";
import { temporary } from "../../cli/run_command.ts";

const examples = new URL("../../../examples/", import.meta.url);

interface Notebook {
  readonly cells: readonly { readonly cell_type: string; readonly source: readonly string[] }[];
}

Deno.test("the notebook's cells run, one after the other, and show their curves", async () => {
  using place = temporary();
  const folder = new URL("notebook/", examples);
  const notebook: Notebook = JSON.parse(
    await Deno.readTextFile(new URL("plumb.ipynb", folder)),
  );
  const text = notebook.cells.filter(({ cell_type }) => cell_type === "code")
    .map(({ source }) => source.join("")).join("\n\n")
    .replace(/const steps = .*/, "const steps = { imitation: 10, reward: 2 };")
    .replaceAll("out/notebook", place.path)
    .replaceAll("../arithmetic", new URL("arithmetic", examples).pathname)
    .replace("console.table", "globalThis.shown.push");
  const shown: unknown[] = [];
  Object.assign(globalThis, { shown });
  // As the kernel has it; it cannot be defined, only set.
  Object.assign(Deno, { jupyter: { display: (picture: unknown) => shown.push(picture) } });
  const path = new URL(`.cells-${crypto.randomUUID()}.ts`, folder);
  await Deno.writeTextFile(path, text);
  try {
    await import(path.href);
  } finally {
    await Deno.remove(path);
  }
  const pictures = shown.filter((picture) => JSON.stringify(picture).includes("<svg"));
  assert.equal(pictures.length, 4, "two of the loss, and one for each step with rewards");
  assert.ok(await Deno.stat(`${place.path}/model/config.json`));
});

Deno.test("a curve goes from corner to corner", () => {
  const svg = drawCurve("loss", [[1, 4], [2, 3], [3, 2]]);
  assert.match(svg, /points="56\.0,24\.0 302\.0,108\.0 548\.0,192\.0"/);
  assert.match(svg, />step 3</);
  assert.doesNotMatch(drawCurve("one", [[1, 1]]), /NaN/);
});

Deno.test("an algorithm of one's own raises its reward", async () => {
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", new URL("own_algorithm.ts", examples).pathname, "20"],
  }).output();
  assert.ok(success);
  const rewards = [...new TextDecoder().decode(stdout).matchAll(/reward ([\d.]+)/g)]
    .map((match) => Number(match[1]));
  assert.equal(rewards.length, 2);
  assert.ok(rewards[1]! > 0.85, `${rewards}`);
});
