import assert from "node:assert/strict";
import {
  combine,
  leavesOf,
  partition,
  realize,
  type Tensor,
  valueAndGrad,
} from "../../core/mod.ts";
import { openSafetensors } from "../../data/weights/safetensors.ts";
import {
  adapterParameters,
  causalModel,
  type DecoderParams,
  mergeAdapters,
  withoutAdapters,
} from "../../nn/mod.ts";
import { loadAdapter, readAdapterConfig, writeAdapter } from "../../train/files/adapter_files.ts";
import { adapterPrefix } from "../../train/files/adapter_names.ts";
import { adapterVocabulary, withVocabulary } from "../../train/files/adapter_vocabulary.ts";
import { readModelConfig } from "../../train/files/model_directory.ts";
import { readParameters } from "../../train/files/read_parameters.ts";
import { fixture, readFixture } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";
import { rowsLayout } from "../nn/adapters.ts";
import { logitsOf, meanLoss } from "../nn/streams.ts";
import { inTempDir } from "../temporary.ts";

interface Expected {
  /** The base model's directory. */
  readonly base: string;
  readonly ids: readonly number[];
  /** Of the next tokens, with the adapter, and without it. */
  readonly loss: number;
  readonly off: number;
  /** At the last token. */
  readonly logits: readonly number[];
  /** Lengths of gradients by PEFT's names. */
  readonly gradients: Readonly<Record<string, number>>;
}

/** What PEFT 0.21 computes with adapters that bring embeddings, heads or rows of them along. */
const golden = await readFixture<Record<string, Expected>>("saved_embeddings/expected.json");

async function open(directory: string, base: string) {
  const config = await readModelConfig(fixture(`saved_embeddings/${base}/config.json`));
  const read = await readParameters(causalModel(config), fixture(`saved_embeddings/${base}`));
  const brought = await adapterVocabulary(directory);
  const params = brought && brought.tokens !== config["vocab_size"]
    ? await withVocabulary(read, brought)
    : read;
  const model = causalModel({ ...config, vocab_size: brought?.tokens ?? config["vocab_size"] });
  return { model, adapted: await loadAdapter(params, directory) };
}

const near = (a: number, b: number, tolerance: number) =>
  Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b));

for (const [name, expected] of Object.entries(golden)) {
  eachDevice(
    `${name}: an adapter is read with what it brings along, as PEFT reads it`,
    async () => {
      const source = fixture(`saved_embeddings/${name}`);
      const { model, adapted: { params, config, whole } } = await open(source, expected.base);
      const ids = Int32Array.from(expected.ids);
      const layout = rowsLayout(ids, ids.length);
      const rotary = model.tables(ids.length);
      const lossOf = (p: DecoderParams) => meanLoss(model, p, layout, { rotary });
      const [trained, frozen] = partition(params, adapterParameters(params, config.bias));
      const [loss, gradients] = valueAndGrad((p: DecoderParams) => lossOf(combine(p, frozen)))(
        trained,
      );
      const logits = logitsOf(model, params, layout.stream, { rotary });
      const merged = mergeAdapters(params);
      await realize([loss, gradients, logits]);
      assert.ok(near(await loss.item(), expected.loss, 1e-5), `loss ${await loss.item()}`);
      const off = await lossOf(withoutAdapters(params)).item();
      assert.ok(near(off, expected.off, 1e-5), `without the adapter ${off}`);
      const last = (await logits.data()).slice(-model.config.vocabularySize);
      assert.equal(last.length, expected.logits.length);
      last.forEach((x, i) => assert.ok(near(x, expected.logits[i]!, 2e-4), `logit ${i}: ${x}`));
      assert.ok(near(await lossOf(merged).item(), expected.loss, 1e-5), "merged");
      // PEFT gives the two wrappers of tied embeddings parameters of their own.
      const checked = name === "target_tying" ? [] : leavesOf(gradients);
      for (const [path, leaf] of checked) {
        if (leaf === null) continue;
        const norm = Math.sqrt(await (leaf as Tensor).square().sum().item());
        const inPeft = adapterPrefix + path.replace(/\.weight\.(lora_[AB])$/, ".$1.weight")
          .replace(/\.weight\.(lora_embedding_[AB])$/, ".$1")
          .replace(/\.weight\.trainable/, ".token_adapter.trainable")
          .replace(/\.weight\.modules_to_save$/, ".modules_to_save.weight");
        const wanted = expected.gradients[inPeft];
        assert.ok(wanted !== undefined, `${inPeft} has no gradient in PEFT`);
        assert.ok(near(norm, wanted, 1e-4), `${inPeft}: ${norm}, not ${wanted}`);
      }
      await inTempDir(async (directory) => {
        const { base } = await readAdapterConfig(source);
        await writeAdapter(directory, params, { config, base, whole });
        const again = await open(directory, expected.base);
        const same = logitsOf(model, again.adapted.params, layout.stream, { rotary });
        assert.deepEqual(await same.data(), await logits.data());
      });
    },
  );
}

eachDevice(
  "what PEFT writes for these adapters is written: the same names, numbers and options",
  async () => {
    for (
      const name of [
        "saved",
        "grown",
        "head_target_tied",
        "retrained",
        "tokens",
        "tokens_both",
        "target_tying",
        "retrained_tying",
      ]
    ) {
      const source = fixture(`saved_embeddings/${name}`);
      const { adapted: { params, config, whole } } = await open(source, golden[name]!.base);
      await inTempDir(async (directory) => {
        const { base } = await readAdapterConfig(source);
        await writeAdapter(directory, params, { config, base, whole });
        using written = await openSafetensors(`${directory}/adapter_model.safetensors`);
        using expected = await openSafetensors(`${source}/adapter_model.safetensors`);
        assert.deepEqual([...written.tensors.keys()], [...expected.tensors.keys()], name);
        for (const [key, { bytes }] of expected.tensors) {
          assert.deepEqual(await written.tensors.get(key)!.bytes(), await bytes(), key);
        }
        const read = async (path: string) =>
          JSON.parse(await Deno.readTextFile(`${path}/adapter_config.json`));
        assert.deepEqual(
          { ...await read(directory), target_modules: [] },
          { ...await read(source), target_modules: [] },
          name,
        );
      });
    }
  },
);

eachDevice(
  "an adapter of another vocabulary without all it needs is refused with the sizes",
  async () => {
    const source = fixture("saved_embeddings/grown_tied");
    const config = await readModelConfig(fixture("saved_embeddings/untied/config.json"));
    const params = await readParameters(causalModel(config), fixture("saved_embeddings/untied"));
    const brought = (await adapterVocabulary(source))!;
    assert.equal(brought.tokens, 43);
    const half = { ...brought, paths: ["model.embed_tokens.weight"] };
    await assert.rejects(
      withVocabulary(params, half),
      /has model\.embed_tokens\.weight for 43 tokens, but not lm_head\.weight, .* has 40 rows/,
    );
  },
);
