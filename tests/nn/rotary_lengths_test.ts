import assert from "node:assert/strict";
import { causalModel, generator } from "../../nn/mod.ts";
import { readParameters } from "../../train/files/read_parameters.ts";
import { fixture, readFixture } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";
import { rowsLayout } from "./adapters.ts";
import { logitsOf, meanLoss } from "./streams.ts";

interface LengthCase {
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly ids: readonly number[];
  readonly loss: number;
  /** At the last token. */
  readonly logits: readonly number[];
  /** Greedily, with a cache whose keys stay rotated as they were when they came. */
  readonly generated: readonly number[];
}

/** What transformers computes where rotations depend on lengths, below and beyond those of pre-training. */
const cases = await readFixture<readonly LengthCase[]>("golden/rotary_lengths.json");

for (const { name, config, ids, loss, logits, generated } of cases) {
  eachDevice(`rotations are those of transformers: ${name}`, async () => {
    const model = causalModel(config);
    const params = await readParameters(model, fixture("saved_embeddings/untied"));
    const layout = rowsLayout(Int32Array.from(ids), ids.length);
    // More positions than the row has, as in training on rows of several lengths.
    const options = { rotary: model.tables(32) };
    const found = await meanLoss(model, params, layout, options).item();
    assert.ok(Math.abs(found / loss - 1) < 1e-5, `loss ${found}, not ${loss}`);
    const all = await logitsOf(model, params, layout.stream, options).data();
    all.slice(-logits.length).forEach((x, i) =>
      assert.ok(Math.abs(x - logits[i]!) < 2e-5, `logit ${i}: ${x}, not ${logits[i]}`)
    );
    const generate = generator(model, { maxNewTokens: generated.length });
    assert.deepEqual(await generate(params, [ids]), [generated]);
  });
}
