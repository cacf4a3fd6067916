import assert from "node:assert/strict";
import { jit, leavesOf, randomKey, realize, type Tensor, valueAndGrad } from "../../core/mod.ts";
import { causalModel, type DecoderParams, initParameters } from "../../nn/mod.ts";
import { assertClose } from "../core/compare.ts";
import { eachDevice } from "../devices.ts";
import { layOut, meanLoss } from "./streams.ts";

eachDevice("gradient checkpointing gives the same gradients from less memory", async (device) => {
  const model = causalModel({
    model_type: "llama",
    vocab_size: 50,
    hidden_size: 32,
    intermediate_size: 96,
    num_hidden_layers: 6,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    initializer_range: 0.2,
  });
  const ids = Array.from({ length: 96 }, (_, i) => (i * 31 + 7) % 50);
  const { stream, sources, targets } = layOut([
    { name: "a", ids: ids.slice(0, 40), labels: ids.slice(0, 40) },
    { name: "b", ids: ids.slice(40), labels: ids.slice(40) },
  ]);
  const rotary = model.tables(64);
  const params = await realize(initParameters(model, randomKey(3)));
  const step = (gradientCheckpointing: boolean) =>
    jit((p: DecoderParams, inputs: { stream: typeof stream; sources: Tensor; targets: Tensor }) =>
      valueAndGrad((q: DecoderParams) =>
        meanLoss(model, q, inputs, { rotary, gradientCheckpointing })
      )(p)
    );
  const [kept, recomputed] = [step(false), step(true)];
  const inputs = { stream, sources, targets };
  const [keptBytes, recomputedBytes] = [kept, recomputed].map((f) =>
    f.plan(params, inputs).plan.arenaBytes
  ) as [number, number];
  // Six layers are kept, or one and what lies between them.
  assert.ok(recomputedBytes < keptBytes / 2, `${recomputedBytes} bytes, not ${keptBytes}`);

  const [[lossA, a], [lossB, b]] = [kept(params, inputs), recomputed(params, inputs)];
  assert.equal(await lossA.item(), await lossB.item());
  const others = new Map(leavesOf(b));
  for (const [path, leaf] of leavesOf(a)) {
    const [x, y] = [await (leaf as Tensor).data(), await (others.get(path) as Tensor).data()];
    assert.ok(x.some((g) => g !== 0), path);
    if (device.kind === "cpu") assert.deepEqual(y, x, path);
    else assertClose(y, x, 1e-6, path);
  }
});
