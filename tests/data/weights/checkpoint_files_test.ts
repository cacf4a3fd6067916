import assert from "node:assert/strict";
import { UserError } from "../../../core/errors.ts";
import {
  openCheckpointFiles,
  parseByteSize,
  writeCheckpointFiles,
} from "../../../data/weights/checkpoint_files.ts";
import type { TensorToStore } from "../../../data/weights/safetensors.ts";
import { inTempDir, namesIn } from "../../temporary.ts";

async function refuses(dir: string, ...reasons: RegExp[]): Promise<void> {
  await assert.rejects(openCheckpointFiles(dir), (error) => {
    assert.ok(error instanceof UserError);
    for (const reason of reasons) assert.match(error.message, reason);
    return true;
  });
}

const sized = (name: string, bytes: number): TensorToStore => ({
  name,
  dtype: "U8",
  shape: [bytes],
  data: () => new Uint8Array(bytes).fill(name.charCodeAt(0)),
});

Deno.test("weights that fit are one file, and read back", async () => {
  await inTempDir(async (dir) => {
    const written = await writeCheckpointFiles(dir, [sized("b", 3), sized("a", 2)]);
    assert.deepEqual(written, ["model.safetensors"]);
    using files = await openCheckpointFiles(dir);
    assert.deepEqual(await files.tensors.get("a")!.bytes(), Uint8Array.of(97, 97));
    assert.equal(files.tensors.size, 2);
  });
});

Deno.test("weights are split as huggingface_hub splits them, in the order given", async () => {
  await inTempDir(async (dir) => {
    // The example of split_state_dict_into_shards_factory, and a tensor beyond the limit.
    const sizes = { a: 6, b: 6, c: 2, d: 16, e: 6, f: 2, g: 2 };
    const tensors = Object.entries(sizes).map(([name, size]) => sized(name, size * 100));
    const written = await writeCheckpointFiles(dir, tensors, { maxShardSize: "1KB" });
    const file = (i: number) => `model-0000${i}-of-00004.safetensors`;
    assert.deepEqual(written, [1, 2, 3, 4].map(file).concat("model.safetensors.index.json"));
    const text = await Deno.readTextFile(`${dir}/model.safetensors.index.json`);
    const index = JSON.parse(text);
    assert.deepEqual(index, {
      metadata: { total_parameters: 4000, total_size: 4000 },
      weight_map: {
        a: file(1),
        b: file(3),
        c: file(3),
        d: file(2),
        e: file(4),
        f: file(4),
        g: file(4),
      },
    });
    assert.ok(text.endsWith("}\n"));
    using files = await openCheckpointFiles(dir);
    assert.deepEqual([...files.tensors.keys()], Object.keys(sizes));
    for (const [name, size] of Object.entries(sizes)) {
      const bytes = await files.tensors.get(name)!.bytes();
      assert.deepEqual(bytes, new Uint8Array(size * 100).fill(name.charCodeAt(0)));
    }
  });
});

Deno.test("writing removes weight files of an earlier write and nothing else", async () => {
  await inTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/config.json`, "{}");
    await Deno.writeTextFile(`${dir}/adapter_model.safetensors`, "");
    await writeCheckpointFiles(dir, [sized("a", 5), sized("b", 5)], { maxShardSize: 5 });
    await writeCheckpointFiles(dir, [sized("a", 5)]);
    assert.deepEqual(namesIn(dir), [
      "adapter_model.safetensors",
      "config.json",
      "model.safetensors",
    ]);
    await writeCheckpointFiles(dir, [sized("a", 5), sized("b", 5)], { maxShardSize: 5 });
    assert.ok(!namesIn(dir).includes("model.safetensors"));
    await writeCheckpointFiles(dir, [sized("x", 1)], { stem: "adapter_model" });
    using files = await openCheckpointFiles(dir, { stem: "adapter_model" });
    assert.deepEqual([...files.tensors.keys()], ["x"]);
  });
});

Deno.test("writing refuses a name that would land in two shards", async () => {
  await inTempDir(async (dir) => {
    const tensors = [sized("a", 5), sized("a", 5)];
    await assert.rejects(writeCheckpointFiles(dir, tensors, { maxShardSize: 5 }), /named "a"/);
    assert.deepEqual(namesIn(dir), []);
  });
});

Deno.test("a sharded checkpoint written by transformers opens", async () => {
  const dir = new URL("../../fixtures/models/llama_tied_bf16", import.meta.url).pathname;
  using files = await openCheckpointFiles(dir);
  const embedding = files.tensors.get("model.embed_tokens.weight")!;
  assert.deepEqual([embedding.dtype, embedding.shape], ["BF16", [400, 32]]);
  assert.equal((await embedding.bytes()).length, 400 * 32 * 2);
  assert.ok(new Set([...files.tensors.values()].map(({ path }) => path)).size > 1);
});

Deno.test("missing shards and tensors are named", async () => {
  await inTempDir(async (dir) => {
    await writeCheckpointFiles(dir, [sized("a", 5), sized("b", 5)], { maxShardSize: 5 });
    const second = "model-00002-of-00002.safetensors";
    const index = `${dir}/model.safetensors.index.json`;
    const text = await Deno.readTextFile(index);
    await Deno.writeTextFile(index, text.replace('"b":', '"lost.weight":'));
    await refuses(dir, /"model-00002-of-00002\.safetensors" holds the tensor "lost\.weight"/);
    await Deno.writeTextFile(index, text);
    await Deno.remove(`${dir}/${second}`);
    await refuses(dir, /incomplete.*lists 2 shards.*model-00002-of-00002\.safetensors.*"b"/);
    await Deno.writeTextFile(index, text.replace(second, "../x.safetensors"));
    await refuses(dir, /index\.json.*"\.\.\/x\.safetensors"/);
    await Deno.writeTextFile(index, text.replace(second, "/etc/x"));
    await refuses(dir, /"\/etc\/x"/);
    await Deno.writeTextFile(index, text.replace('"b":', '"a":'));
    await refuses(dir, /"a" occurs twice/);
    await Deno.writeTextFile(index, "{}");
    await refuses(dir, /no "weight_map"/);
    await Deno.writeTextFile(index, text.replace('"metadata"', '"metadata_"'));
    await refuses(dir, /no object "metadata"/);
    await Deno.writeTextFile(index, "{");
    await refuses(dir, /index\.json.*not valid JSON/);
  });
});

Deno.test("a directory without safetensors is refused with what it holds", async () => {
  await inTempDir(async (dir) => {
    await refuses(dir, /no weights.*empty/);
    await Deno.writeTextFile(`${dir}/config.json`, "{}");
    await refuses(dir, /no weights.*It holds config\.json/);
    await Deno.writeTextFile(`${dir}/model-00001-of-00002.safetensors`, "");
    await refuses(dir, /fetch the index/);
    await Deno.writeTextFile(`${dir}/tf_model.h5`, "");
    await refuses(dir, /only as tf_model\.h5.*Convert it to safetensors/);
    await refuses(`${dir}/config.json`, /it is a file/);
    await refuses(`${dir}/none/model`, /model.*does not exist/);
    await refuses("meta-llama/Llama-3.2-1B", /directory "meta-llama" does not exist/);
  });
});

Deno.test("parseByteSize() follows huggingface_hub's units and refuses the rest", () => {
  assert.equal(parseByteSize("5GB"), 5e9);
  assert.equal(parseByteSize(" 1.5 mb"), 1.5e6);
  assert.equal(parseByteSize(123), 123);
  for (const bad of ["5", "5GiB", "GB", "-1GB", "0GB", 0, -1, NaN]) {
    assert.throws(() => parseByteSize(bad), UserError, String(bad));
  }
});
