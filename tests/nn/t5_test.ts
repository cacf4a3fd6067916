import assert from "node:assert/strict";
import {
  headLogits,
  jit,
  leavesOf,
  logitStats,
  randomKey,
  realize,
  type Tensor,
  tensor,
  UserError,
  valueAndGrad,
  zeros,
} from "../../core/mod.ts";
import { openCheckpointFiles } from "../../data/weights/checkpoint_files.ts";
import { buildStream, crossSegments, type StreamArrays } from "../../data/batches/token_stream.ts";
import {
  type DecoderParams,
  type EncodedSource,
  type EncoderDecoder,
  encoderDecoder,
  encoderDecoderLogits,
  generatorOf,
  initParameters,
  type KeyValueCache,
  relativeBucket,
  type RelativeBuckets,
  type TargetStream,
} from "../../nn/mod.ts";
import { loadParameters } from "../../train/files/model_files.ts";
import { fixture, readFixture, readTensors } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";
import { distance } from "./golden.ts";

/** Models, and what transformers computes with them. */
const cases = [
  { name: "t5", directory: "models/t5", expected: "golden/t5.safetensors" },
  { name: "t5 1.1", directory: "t5_gated", expected: "t5_gated/expected.safetensors" },
] as const;

interface Golden {
  readonly model: EncoderDecoder;
  readonly params: DecoderParams;
  /** The texts of each side, without padding. */
  readonly sources: readonly (readonly number[])[];
  readonly targets: readonly (readonly number[])[];
  /** What each token of a target is followed by; −100 for nothing to learn. */
  readonly labels: readonly (readonly number[])[];
  readonly floats: ReadonlyMap<string, Float32Array>;
  readonly integers: ReadonlyMap<string, Int32Array>;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
}

async function readGolden({ directory, expected }: typeof cases[number]): Promise<Golden> {
  const model = encoderDecoder(await readFixture(`${directory}/config.json`));
  using files = await openCheckpointFiles(fixture(directory));
  const params = await loadParameters<DecoderParams>(model.shapes(), files);
  const { floats, integers, shapes } = await readTensors(expected);
  const rows = (name: string) => {
    const [count, columns] = shapes.get(name) as [number, number];
    return Array.from(
      { length: count },
      (_, row) => Array.from(integers.get(name)!.subarray(row * columns, (row + 1) * columns)),
    );
  };
  const mask = rows("attention_mask");
  const sources = rows("input_ids").map((ids, row) => ids.filter((_, i) => mask[row]![i] === 1));
  const labels = rows("labels");
  return {
    model,
    params,
    sources,
    targets: rows("decoder_input_ids"),
    labels,
    floats,
    integers,
    shapes,
  };
}

function streamOf({ ids, segments, length }: StreamArrays): TargetStream {
  return { ids: tensor(ids), segments: tensor(segments, { shape: [5, length] }) };
}

function encoded(
  model: EncoderDecoder,
  params: DecoderParams,
  source: TargetStream,
): EncodedSource {
  return model.project(params, model.encode(params, source), source.segments);
}

for (const which of cases) {
  eachDevice(
    `${which.name}: encoder, logits, loss and gradients are those of transformers`,
    async () => {
      const { model, params, sources, targets, labels, floats, shapes } = await readGolden(which);
      const [sourceArrays, targetArrays] = [sources, targets]
        .map((texts) => buildStream(texts.map((ids) => ({ ids })))) as [StreamArrays, StreamArrays];
      const [source, target] = [streamOf(sourceArrays), streamOf(targetArrays)];
      const states = model.encode(params, source);
      const logits = headLogits(
        model.hidden(params, target, model.project(params, states, source.segments)),
        model.head(params),
      );
      const learned = [...labels.flat().entries()].filter(([, label]) => label !== -100);
      const places = tensor(Int32Array.from(learned, ([t]) => t));
      const wanted = tensor(Int32Array.from(learned, ([, label]) => label));
      const ranges = tensor(crossSegments(sourceArrays, targetArrays), {
        shape: [5, targetArrays.length],
      });
      const lossOf = (options: { readonly gradientCheckpointing: boolean }, to: TargetStream) =>
        valueAndGrad((p: DecoderParams) => {
          const from = model.project(p, model.encode(p, source, options), source.segments);
          const hidden = model.hidden(p, to, from, options).gather(places);
          return logitStats(hidden, model.head(p), wanted).logProb.mean().neg();
        })(params);
      const [loss, gradients] = lossOf({ gradientCheckpointing: false }, target);
      const [sameLoss, sameGradients] = lossOf({ gradientCheckpointing: true }, {
        ...target,
        crossSegments: ranges,
      });
      await realize([states, logits, loss, gradients, sameLoss, sameGradients]);

      const width = model.config.hiddenSize;
      const columns = shapes.get("encoder_hidden")![1]!;
      const foundStates = await states.data();
      let t = 0;
      sources.forEach((ids, row) => {
        for (let i = 0; i < ids.length * width; i++) {
          const error = Math.abs(
            foundStates[t * width + i]! - floats.get("encoder_hidden")![row * columns * width + i]!,
          );
          assert.ok(error < 2e-5, `encoder state ${i} of text ${row} is off by ${error}`);
        }
        t += ids.length;
      });
      const expected = floats.get("logits")!;
      const found = await logits.data();
      // The fixtures have nothing where a text is over.
      for (const [t] of learned) {
        const vocabulary = model.config.vocabularySize;
        for (let v = t * vocabulary; v < (t + 1) * vocabulary; v++) {
          const error = Math.abs(found[v]! - expected[v]!);
          assert.ok(error < 2e-5, `logit ${v - t * vocabulary} of token ${t} is off by ${error}`);
        }
      }
      const wantedLoss = await expectedLoss(floats);
      for (const value of [await loss.item(), await sameLoss.item()]) {
        assert.ok(Math.abs(value / wantedLoss - 1) < 2e-6, `loss ${value}, not ${wantedLoss}`);
      }
      for (const some of [gradients, sameGradients]) {
        for (const [path, leaf] of leavesOf(some)) {
          const gradient = floats.get(`grad.${path}`);
          assert.ok(gradient, `the fixture has the gradient of ${path}`);
          const error = distance(await (leaf as Tensor).data(), gradient);
          assert.ok(error < 1e-5, `gradient of ${path} is off by ${error}`);
        }
      }
      const all = [...floats.keys()].filter((name) => name.startsWith("grad."));
      assert.equal(leavesOf(gradients).length, all.length);
    },
  );

  eachDevice(`${which.name}: greedy answers over a cache are those of transformers`, async () => {
    const { model, params, sources, integers, shapes } = await readGolden(which);
    const { ids, columns } = await greedyOf(integers, shapes, sources.length);
    const source = encoded(model, params, streamOf(buildStream(sources.map((ids) => ({ ids })))));
    const generate = generatorOf(encoderDecoderLogits(model), { maxNewTokens: columns - 1 });
    const answers = await generate({ params, source }, sources.map(() => [model.startId]));
    const expected = sources.map((_, row) => ids.slice(row * columns + 1, (row + 1) * columns));
    assert.deepEqual(answers, expected);
    const twice = await generate({ params, source }, sources.map(() => [model.startId]), {
      completions: 2,
    });
    assert.deepEqual(twice, expected.flatMap((answer) => [answer, answer]));
  });

  eachDevice(
    `${which.name}: token by token over a cache, logits are those of the whole`,
    async () => {
      const { model, params, sources, targets } = await readGolden(which);
      const source = encoded(model, params, streamOf(buildStream(sources.map((ids) => ({ ids })))));
      const whole = streamOf(buildStream(targets.map((ids) => ({ ids }))));
      const [count, length] = [targets.length, targets[0]!.length];
      const expected = await headLogits(model.hidden(params, whole, source), model.head(params))
        .data();
      // Row by row in the cache, as in the stream of whole targets.
      const cacheSegments = whole.segments.slice(0, count * length, 1);
      const step = jit(
        (p: DecoderParams, from: EncodedSource, cache: KeyValueCache, at: Tensor) => {
          const rows = at.add(tensor(Int32Array.from(targets, (_, row) => row * length)));
          const [hidden, next] = model.hiddenCached(
            p,
            {
              ids: whole.ids.gather(rows),
              segments: cacheSegments.transpose().gather(rows).transpose(),
            },
            from,
            cache,
            { rows, segments: cacheSegments },
          );
          return { logits: headLogits(hidden, model.head(p)), next };
        },
        { name: "step" },
      );
      const { layers, heads, headDim, vocabularySize } = model.config;
      const empty = () =>
        Array.from({ length: layers }, () => zeros([count * length, heads, headDim]));
      let cache: KeyValueCache = { keys: empty(), values: empty() };
      for (let i = 0; i < length; i++) {
        const { logits, next } = step(params, source, cache, tensor([i], { dtype: "i32" }));
        cache = next;
        const found = await logits.data();
        for (let row = 0; row < count; row++) {
          for (let v = 0; v < vocabularySize; v++) {
            const error = Math.abs(
              found[row * vocabularySize + v]! - expected[(row * length + i) * vocabularySize + v]!,
            );
            assert.ok(error < 2e-5, `logit ${v} of token ${i} of text ${row} is off by ${error}`);
          }
        }
      }
      assert.equal(step.traces(), 1);
    },
  );
}

async function expectedLoss(floats: ReadonlyMap<string, Float32Array>): Promise<number> {
  return floats.get("loss")?.[0] ??
    (await readFixture<{ readonly loss: number }>("golden/t5.json")).loss;
}

/** Of all texts, or of the first. */
async function greedyOf(
  integers: ReadonlyMap<string, Int32Array>,
  shapes: ReadonlyMap<string, readonly number[]>,
  texts: number,
): Promise<{ readonly ids: readonly number[]; readonly columns: number }> {
  const given = integers.get("greedy");
  if (given) return { ids: Array.from(given), columns: shapes.get("greedy")![1]! };
  const { greedy_decoder_ids: ids } = await readFixture<
    { readonly greedy_decoder_ids: readonly number[] }
  >("golden/t5.json");
  // What transformers answers to each of the three.
  return { ids: Array.from({ length: texts }, () => ids).flat(), columns: ids.length };
}

Deno.test("distances have the buckets that transformers gives them", async () => {
  const given = await readFixture<
    (RelativeBuckets & { readonly from: number; readonly expected: readonly number[] })[]
  >("t5_gated/buckets.json");
  for (const { from, expected, ...how } of given) {
    const found = expected.map((_, i) => relativeBucket(-(from + i), how));
    assert.deepEqual(found, expected, JSON.stringify(how));
    assert.ok(new Set(found).size > 3);
  }
});

Deno.test("fresh parameters have the deviations of transformers, and load as what they are", async () => {
  const config = await readFixture<Record<string, unknown>>("models/t5/config.json");
  const model = encoderDecoder({ ...config, d_model: 64, d_kv: 16, d_ff: 256 });
  const params = initParameters(model, randomKey(1));
  const deviation = async (path: string) => {
    const [, leaf] = leavesOf(params).find(([name]) => name === path)!;
    return await (leaf as Tensor).square().mean().sqrt().item();
  };
  const layer = "encoder.block.1.layer";
  const expected = {
    "shared.weight": 1,
    [`${layer}.0.SelfAttention.q.weight`]: 1 / 32,
    [`${layer}.0.SelfAttention.k.weight`]: 1 / 8,
    [`${layer}.0.SelfAttention.o.weight`]: 1 / 8,
    [`${layer}.1.DenseReluDense.wi.weight`]: 1 / 8,
    [`${layer}.1.DenseReluDense.wo.weight`]: 1 / 16,
    [`${layer}.1.layer_norm.weight`]: 1,
  };
  for (const [path, value] of Object.entries(expected)) {
    const found = await deviation(path);
    assert.ok(Math.abs(found / value - 1) < 0.05, `${path}: ${found}, not ${value}`);
  }
});

Deno.test("encoderDecoder() reads the variants of configs, and refuses what it does not know", async () => {
  const config = await readFixture<Record<string, unknown>>("models/t5/config.json");
  const paths = (changes: Record<string, unknown>) =>
    leavesOf(encoderDecoder({ ...config, ...changes }).shapes()).map(([path]) => path);
  const plain = paths({});
  assert.ok(!plain.includes("lm_head.weight"));
  assert.deepEqual(paths({ feed_forward_proj: "silu" }), plain);
  assert.ok(
    paths({ feed_forward_proj: "gated-silu" }).includes(
      "decoder.block.1.layer.2.DenseReluDense.wi_1.weight",
    ),
  );
  // As version 1.1 was saved before transformers 5, and since.
  const old = { tie_word_embeddings: false, scale_decoder_outputs: undefined };
  for (const changes of [old, { scale_decoder_outputs: false }]) {
    assert.deepEqual(paths(changes), [...plain, "lm_head.weight"]);
  }
  const refused = (changes: Record<string, unknown>, message: RegExp) =>
    assert.throws(
      () => encoderDecoder({ ...config, ...changes }),
      (error: Error) => error instanceof UserError && message.test(error.message),
    );
  refused({ model_type: "bart" }, /"bart".*t5/);
  refused({ feed_forward_proj: "gated-swoosh" }, /feed_forward_proj = "swoosh".*relu/);
  refused({ feed_forward_proj: "up-down-gelu" }, /"up-down-gelu".*"gated-"/);
  refused({ d_kv: 0 }, /d_kv = 0/);
});
