import assert from "node:assert/strict";
import { Tensor } from "../../../core/mod.ts";
import { openSafetensors } from "../../../data/weights/safetensors.ts";
import { mapParameters } from "../../../nn/mod.ts";
import { openModel } from "../../../train/files/model_directory.ts";
import { writeModel } from "../../../train/files/write_model.ts";
import { fixture } from "../../data/fixture_files.ts";
import { eachDevice } from "../../devices.ts";
import { inTempDir } from "../../temporary.ts";

eachDevice("weights beyond float16 are saved in float32, and it is said", async () => {
  const opened = await openModel({ directory: fixture("models/llama"), seed: 0 });
  for (const [factor, dtype] of [[1, "F16"], [1e6, "F32"]] as const) {
    const params = mapParameters(
      opened.params,
      (weight, path) =>
        path === "model.norm.weight" && weight instanceof Tensor ? weight.mul(factor) : weight,
    );
    await inTempDir(async (directory) => {
      const notices: string[] = [];
      const notice = (text: string) => notices.push(text);
      await writeModel(directory, opened, params, { dtype: "float16", notice });
      using file = await openSafetensors(`${directory}/model.safetensors`);
      assert.equal(file.tensors.get("model.norm.weight")!.dtype, dtype);
      assert.equal(/model\.norm\.weight has weights beyond/.test(notices.join()), dtype === "F32");
    });
  }
});
