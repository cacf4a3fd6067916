/** What configs of a family vary, against what transformers computes: fixtures of its making, three layers at most. */

import assert from "node:assert/strict";
import {
  headLogits,
  leavesOf,
  logitStats,
  realize,
  type Tensor,
  tensor,
  valueAndGrad,
} from "../../core/mod.ts";
import { causalModel, type DecoderParams, isTokenEmbedding } from "../../nn/mod.ts";
import { readParameters } from "../../train/files/read_parameters.ts";
import { assertClose } from "../core/compare.ts";
import { fixture, readFixture, readTensors } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";
import { layOut } from "./streams.ts";

for (const { name } of Deno.readDirSync(fixture("variants"))) {
  eachDevice(
    `${name}: logits, loss and the embeddings' gradient are those of transformers`,
    async () => {
      const model = causalModel(await readFixture(`variants/${name}/config.json`));
      const params = await readParameters(model, fixture(`variants/${name}`));
      const { floats, integers } = await readTensors(`variants/${name}/expected.safetensors`);
      const ids = Array.from(integers.get("input_ids")!);
      const { stream, sources, targets } = layOut([{ name, ids, labels: ids }]);
      const rotary = model.tables(ids.length);
      const fifth = tensor(Int32Array.from({ length: Math.ceil(ids.length / 5) }, (_, i) => 5 * i));
      const logits = headLogits(
        model.hidden(params, stream, { rotary }).gather(fifth),
        model.head(params),
      );
      const [loss, gradients] = valueAndGrad((p: DecoderParams) => {
        const hidden = model.hidden(p, stream, { rotary }).gather(sources);
        return logitStats(hidden, model.head(p), targets).logProb.mean().neg();
      })(params);
      await realize([logits, loss, gradients]);
      assertClose(await logits.data(), floats.get("logits")!, 2e-5, "logits");
      assertClose([await loss.item()], floats.get("loss")!, 2e-6, "loss");
      const [, gradient] = leavesOf(gradients)
        .find(([path]) => isTokenEmbedding(path.replace(/\.weight$/, "")))!;
      const expected = floats.get("embedding_gradient")!;
      assertClose(await (gradient as Tensor).data(), expected, 1e-5, "gradient");
      assert.ok(expected.some((x) => Math.abs(x) > 1e-3));
    },
  );
}
