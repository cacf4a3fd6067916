import assert from "node:assert/strict";
import { leavesOf, realize, type Tensor, valueAndGrad } from "../../core/mod.ts";
import { openCheckpointFiles, writeCheckpointFiles } from "../../data/weights/checkpoint_files.ts";
import type { TensorToStore } from "../../data/weights/safetensors.ts";
import { causalModel, type DecoderParams, headIsTied } from "../../nn/mod.ts";
import { openModel } from "../../train/files/model_directory.ts";
import { writeModel } from "../../train/files/write_model.ts";
import { readParameters } from "../../train/files/read_parameters.ts";
import { fixture, readFixture } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";
import { rowsLayout } from "../nn/adapters.ts";
import { meanLoss } from "../nn/streams.ts";
import { inTempDir } from "../temporary.ts";

interface OwnHead {
  readonly loss: number;
  readonly embedding_gradient: number;
  readonly head_gradient: number;
  readonly loss_after: number;
}

/** What transformers 5.17 computes with models whose head is the embedding matrix upside down, config or not. */
const golden = await readFixture<Record<string, OwnHead>>("golden/own_heads.json");
const ids = Int32Array.of(5, 17, 3, 90, 41, 7, 22, 11);
const isEmbedding = (path: string) => /(embed_tokens|wte|embed_in)\.weight$/.test(path);
const isHead = (path: string) => /^(lm_head|embed_out)\.weight$/.test(path);

/** Writes a fixture model whose config says that its head is tied, with a head beside it made of the embeddings. */
async function writeWithHead(
  name: string,
  directory: string,
  headOf: (rows: readonly Uint8Array[]) => readonly Uint8Array[] | null,
): Promise<void> {
  using files = await openCheckpointFiles(fixture(`models/${name}`));
  const tensors: TensorToStore[] = [];
  for (const [path, { dtype, shape, bytes }] of files.tensors) {
    if (isHead(path)) continue;
    const data = await bytes();
    tensors.push({ name: path, dtype, shape, data });
    if (!isEmbedding(path)) continue;
    const width = data.length / shape[0]!;
    const rows = headOf(
      Array.from({ length: shape[0]! }, (_, i) => data.subarray(i * width, (i + 1) * width)),
    );
    if (rows === null) continue;
    tensors.push({
      name: name === "gpt_neox" ? "embed_out.weight" : "lm_head.weight",
      dtype,
      shape,
      data: Uint8Array.from(rows.flatMap((row) => [...row])),
    });
  }
  await writeCheckpointFiles(directory, tensors);
  const config = await readFixture<Record<string, unknown>>(`models/${name}/config.json`);
  await Deno.writeTextFile(
    `${directory}/config.json`,
    JSON.stringify({ ...config, tie_word_embeddings: true }),
  );
  for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
    await Deno.copyFile(fixture(`models/${name}/${file}`), `${directory}/${file}`);
  }
}

function relative(actual: number, expected: number): number {
  return Math.abs(actual / expected - 1);
}

for (const [name, expected] of Object.entries(golden)) {
  eachDevice(
    `${name}: a head beside a tied flag is read and trained as in transformers`,
    async () => {
      await inTempDir(async (directory) => {
        await writeWithHead(name, directory, (rows) => rows.toReversed());
        const config = JSON.parse(await Deno.readTextFile(`${directory}/config.json`));
        const model = causalModel(config);
        assert.ok(model.tied);
        const notices: string[] = [];
        const params = await readParameters(model, directory, undefined, {
          notice: (text) => notices.push(text),
        });
        assert.match(notices.join("\n"), /both are used/);
        const layout = rowsLayout(ids, ids.length);
        const rotary = model.tables(ids.length);
        const lossOf = (p: DecoderParams) => meanLoss(model, p, layout, { rotary });
        const [loss, gradients] = valueAndGrad(lossOf)(params);
        await realize([loss, gradients]);
        assert.ok(relative(await loss.item(), expected.loss) < 1e-5, `loss ${await loss.item()}`);
        for (const [path, leaf] of leavesOf(gradients)) {
          const wanted = isHead(path)
            ? expected.head_gradient
            : isEmbedding(path)
            ? expected.embedding_gradient
            : null;
          if (wanted === null) continue;
          const norm = Math.sqrt(await (leaf as Tensor).square().sum().item());
          assert.ok(relative(norm, wanted) < 1e-4, `${path}: ${norm}, not ${wanted}`);
        }
      });
    },
  );
}

eachDevice(
  "a model with both matrices is saved with a config that lets both be read again",
  async () => {
    await inTempDir(async (directory) => {
      const [given, saved] = [`${directory}/given`, `${directory}/saved`];
      await Deno.mkdir(given);
      await writeWithHead("gpt2", given, (rows) => rows.toReversed());
      const opened = await openModel({ directory: given, seed: 0 });
      await writeModel(saved, opened, opened.params);
      const config = JSON.parse(await Deno.readTextFile(`${saved}/config.json`));
      assert.equal(config.tie_word_embeddings, false);
      const again = await openModel({ directory: saved, seed: 0 });
      for (const [path, leaf] of leavesOf(opened.params)) {
        const other = leavesOf(again.params).find(([name]) => name === path)![1] as Tensor;
        assert.deepEqual(await (leaf as Tensor).data(), await other.data(), path);
      }
    });
  },
);

eachDevice(
  "a head that equals the embeddings, or is all there is of both, stays tied",
  async () => {
    await inTempDir(async (directory) => {
      const notices: string[] = [];
      await writeWithHead("opt", directory, (rows) => rows);
      const notice = (text: string) => notices.push(text);
      const opened = await openModel({ directory, seed: 0, notice });
      assert.ok(headIsTied(opened.params));
      using files = await openCheckpointFiles(directory);
      const tensors = await Promise.all(
        [...files.tensors].filter(([name]) => !isEmbedding(name)).map(async ([, stored]) => ({
          ...stored,
          data: await stored.bytes(),
        })),
      );
      await writeCheckpointFiles(directory, tensors);
      const swapped = await openModel({ directory, seed: 0, notice });
      assert.deepEqual(leavesOf(swapped.params).map(([path]) => path), [
        ...leavesOf(opened.params).map(([path]) => path),
      ]);
      const path = "model.decoder.embed_tokens.weight";
      const of = (params: unknown) =>
        leavesOf(params).find(([name]) => name === path)![1] as Tensor;
      assert.deepEqual(await of(swapped.params).data(), await of(opened.params).data());
      assert.deepEqual(notices, []);
    });
  },
);
