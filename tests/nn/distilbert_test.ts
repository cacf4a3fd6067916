import assert from "node:assert/strict";
import {
  leavesOf,
  logitStats,
  realize,
  type Tensor,
  tensor,
  valueAndGrad,
} from "../../core/mod.ts";
import { openCheckpointFiles } from "../../data/weights/checkpoint_files.ts";
import { loadTokenizer } from "../../data/tokenizer/tokenizer.ts";
import { causalModel, type DecoderParams, labelNames, sequenceClassifier } from "../../nn/mod.ts";
import { loadParameters } from "../../train/files/model_files.ts";
import { assertClose } from "../core/compare.ts";
import { fixture, readFixture, readTensors } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";
import { distance, readConfig } from "./golden.ts";
import { layOut } from "./streams.ts";

interface Golden {
  readonly texts: readonly string[];
  readonly logits: readonly (readonly number[])[];
  readonly labels: readonly string[];
}

async function readGolden() {
  const config = await readConfig("distilbert");
  const model = sequenceClassifier(config, 2);
  using files = await openCheckpointFiles(fixture("models/distilbert"));
  const params = await loadParameters<DecoderParams>(model.shapes(), files);
  const { integers, floats, shapes } = await readTensors("distilbert_gradients.safetensors");
  const [rows, columns] = shapes.get("input_ids") as [number, number];
  const [ids, mask] = [integers.get("input_ids")!, integers.get("attention_mask")!];
  const texts = Array.from(
    { length: rows },
    (_, row) =>
      Array.from(ids.subarray(row * columns, (row + 1) * columns))
        .filter((_, i) => mask[row * columns + i] === 1),
  );
  const numbers = await readFixture<Golden>("golden/distilbert.json");
  return { config, model, params, texts, numbers, integers, floats };
}

Deno.test("the texts of the DistilBERT fixture have the tokens that transformers gives them", async () => {
  const { texts, numbers, config } = await readGolden();
  const tokenizer = await loadTokenizer(fixture("models/distilbert"));
  assert.deepEqual(numbers.texts.map((text) => tokenizer.encode(text)), texts);
  assert.deepEqual(labelNames(config, 2), numbers.labels);
});

eachDevice("distilbert: logits, loss and gradients are those of transformers", async () => {
  const { model, params, texts, numbers, integers, floats } = await readGolden();
  // Other texts and padding before, between and behind must not matter.
  const { stream, starts } = layOut(
    texts.flatMap((ids, i) => [i % 3, { name: `${i}`, ids, labels: ids }]).concat(5),
  );
  const lasts = tensor(
    Int32Array.from(texts, (ids, i) => starts.get(`${i}`)! + ids.length - 1),
  );
  const scores = (p: DecoderParams) => model.scores(p, stream, lasts, { rotary: model.tables(64) });
  // Cross entropy of two logits, as of a head that is the identity.
  const identity = { weight: tensor([[1, 0], [0, 1]]) };
  const labels = tensor(integers.get("labels")!);
  const [loss, gradients] = valueAndGrad((p: DecoderParams) =>
    logitStats(scores(p), identity, labels).logProb.mean().neg()
  )(params);
  const logits = scores(params);
  await realize([logits, loss, gradients]);

  const expected = numbers.logits.flat();
  (await logits.data()).forEach((logit, i) => {
    const error = Math.abs(logit - expected[i]!);
    assert.ok(error < 5e-6, `logit ${i} is off by ${error}`);
  });
  assertClose([await loss.item()], floats.get("loss")!, 2e-6, "loss");
  for (const [path, leaf] of leavesOf(gradients)) {
    const wanted = floats.get(`grad.${path}`);
    assert.ok(wanted, `the fixture has the gradient of ${path}`);
    const found = await (leaf as Tensor).data();
    // A key's bias changes no probability.
    if (path.endsWith("k_lin.bias")) assert.ok(found.every((x) => Math.abs(x) < 1e-6), path);
    else {
      const error = distance(found, wanted);
      assert.ok(error < 1e-5, `gradient of ${path} is off by ${error}`);
    }
  }
});

Deno.test("sequenceClassifier() makes classifiers of decoders, too, and refuses other models", async () => {
  const llama = await readConfig("llama");
  const { shapes, labels } = sequenceClassifier(llama, 3);
  assert.equal(labels, 3);
  assert.deepEqual(shapes(), causalModel(llama).shapes({ kind: "sequence", labels: 3 }));
  assert.throws(() => sequenceClassifier({ model_type: "bert" }, 2), {
    name: "UserError",
    message: /"bert".*llama.*distilbert/,
  });
  const config = await readConfig("distilbert");
  assert.throws(() => sequenceClassifier({ ...config, n_heads: 5 }, 2), {
    name: "UserError",
    message: /width 32.*5/,
  });
  assert.throws(() => sequenceClassifier({ ...config, activation: "swoosh" }, 2), {
    name: "UserError",
    message: /activation = "swoosh"/,
  });
});
