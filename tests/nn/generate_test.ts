import assert from "node:assert/strict";
import { logSoftmax, randomKey, type Tensor, tensor, UserError } from "../../core/mod.ts";
import {
  type Completion,
  type GenerateOptions,
  generationOptions,
  generator,
  type TokenBlock,
} from "../../nn/mod.ts";
import {
  applyLora,
  mapWeights,
  mergeAdapters,
  parametersOf,
  quantize,
  type Quantized,
} from "../../nn/mod.ts";
import { readFixture } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";
import { type Golden, goldenNames, readGolden } from "./golden.ts";
import { layOut, logitsOf } from "./streams.ts";

/** A greedy continuation by transformers. */
interface Greedy {
  readonly prompt_ids: readonly number[];
  readonly repetition_penalty: number;
  readonly new_ids: readonly number[];
}

async function readGreedy(name: string): Promise<readonly Greedy[]> {
  return (await readFixture<{ readonly greedy: readonly Greedy[] }>(`golden/${name}.json`)).greedy;
}

const prompts = [[1, 315, 275, 201, 44], [1, 17, 9], [2, 7, 7, 30, 31, 32, 33, 34, 35]];

/** Log-probs of all tokens after each token of a sequence, without a cache. */
async function fullLogProbs(golden: Golden, ids: readonly number[]): Promise<Float32Array[]> {
  const { model, params } = golden;
  const { stream } = layOut([{ name: "whole", ids, labels: ids }]);
  const logits = logitsOf(model, params, stream, { rotary: model.tables(ids.length) });
  const values = await logSoftmax(logits).data();
  const width = model.config.vocabularySize;
  return ids.map((_, t) => Float32Array.from(values.subarray(t * width, (t + 1) * width)));
}

const withoutPrompt = (all: readonly Completion[]) => all.map(({ prompt: _, ...rest }) => rest);

for (const name of goldenNames) {
  eachDevice(`${name}: greedy continuations are those of transformers`, async () => {
    const { model, params } = await readGolden(name);
    const cases = await readGreedy(name);
    const penalties = new Set(cases.map((c) => c.repetition_penalty));
    assert.deepEqual([...penalties], [1, 1.3]);
    for (const repetitionPenalty of penalties) {
      const some = cases.filter((c) => c.repetition_penalty === repetitionPenalty);
      const generate = generator(model, { maxNewTokens: 24, repetitionPenalty, eosTokenIds: [2] });
      const found = await generate(params, some.map((c) => c.prompt_ids));
      assert.deepEqual(found, some.map((c) => c.new_ids), `penalty ${repetitionPenalty}`);
    }
  });
}

for (const name of ["llama", "mistral"] as const) {
  eachDevice(`${name}: decoding with a cache equals the full forward pass`, async () => {
    const golden = await readGolden(name);
    const generate = generator(golden.model, {
      maxNewTokens: 20,
      doSample: true,
      temperature: 0.8,
      topP: 0.9,
    });
    const found = await generate.complete(golden.params, prompts, { completions: 2, seed: 3 });
    assert.deepEqual(found.map(({ prompt }) => prompt), [0, 0, 1, 1, 2, 2]);
    for (const { prompt, tokens, logProbs, rawLogProbs } of found) {
      const start = prompts[prompt]!;
      const full = await fullLogProbs(golden, [...start, ...tokens]);
      assert.equal(tokens.length, 20);
      tokens.forEach((token, i) => {
        const expected = full[start.length + i - 1]![token]!;
        const error = Math.abs(rawLogProbs[i]! - expected);
        assert.ok(error < 2e-5, `token ${i} of prompt ${prompt} is off by ${error}`);
        // Fewer tokens, and a lower temperature: what is left is more probable.
        assert.ok(logProbs[i]! <= 0);
      });
      assert.notDeepEqual(logProbs, rawLogProbs);
    }
  });
}

eachDevice("a group that shares its prompt continues as separate prompts do", async () => {
  const { model, params } = await readGolden("qwen3");
  const options: GenerateOptions = {
    maxNewTokens: 9,
    doSample: true,
    topK: 20,
    repetitionPenalty: 1.2,
    noRepeatNgramSize: 2,
    seed: 8,
  };
  const generate = generator(model, options);
  const shared = await generate.complete(params, prompts, { completions: 3 });
  const apart = await generate.complete(params, prompts.flatMap((p) => [p, p, p]));
  assert.deepEqual(shared.map(({ tokens }) => tokens), apart.map(({ tokens }) => tokens));
  shared.forEach(({ logProbs, rawLogProbs }, b) => {
    logProbs.forEach((x, i) => assert.ok(Math.abs(x - apart[b]!.logProbs[i]!) < 2e-5));
    rawLogProbs.forEach((x, i) => assert.ok(Math.abs(x - apart[b]!.rawLogProbs[i]!) < 2e-5));
  });
  const distinct = new Set(shared.slice(0, 3).map(({ tokens }) => tokens.join()));
  assert.equal(distinct.size, 3, "completions of one prompt differ");
});

eachDevice("the same seed gives the same tokens, another seed others", async () => {
  const { model, params } = await readGolden("llama");
  const generate = generator(model, { maxNewTokens: 6, doSample: true, seed: 5 });
  const first = await generate(params, prompts);
  assert.deepEqual(await generate(params, prompts), first);
  assert.deepEqual(await generate(params, prompts, { seed: 5 }), first);
  assert.notDeepEqual(await generate(params, prompts, { seed: 6 }), first);
});

eachDevice("sequences end each at their own EOS token, wherever tokens are read", async () => {
  const { model, params } = await readGolden("llama");
  const whole = await generator(model, { maxNewTokens: 12 }).complete(params, prompts);
  // Tokens that greedy decoding meets early, late and never.
  const ends = [whole[0]!.tokens[2]!, whole[1]!.tokens[7]!];
  const cut = (tokens: readonly number[], eos: readonly number[]) => {
    const end = tokens.findIndex((token) => eos.includes(token));
    return end < 0 ? tokens : tokens.slice(0, end + 1);
  };
  for (const stepsPerRead of [1, 5, 40]) {
    const generate = generator(model, { maxNewTokens: 12, eosTokenIds: ends, stepsPerRead });
    const found = await generate.complete(params, prompts);
    found.forEach(({ tokens, logProbs, rawLogProbs, finished }, b) => {
      const expected = cut(whole[b]!.tokens, ends);
      assert.deepEqual(tokens, expected);
      assert.deepEqual(logProbs, whole[b]!.logProbs.slice(0, expected.length));
      assert.equal(rawLogProbs.length, expected.length);
      assert.equal(finished, ends.includes(tokens.at(-1)!) ? "eos" : "length");
    });
    assert.ok(found[0]!.tokens.length <= 3 && found[1]!.tokens.length <= 8);

    const own = [[], [ends[1]!], [whole[2]!.tokens[4]!]];
    const each = await generate(params, prompts, { eosTokenIds: own });
    assert.deepEqual(each, whole.map(({ tokens }, b) => cut(tokens, own[b]!)));
    assert.equal(each[0]!.length, 12);
  }
});

eachDevice("streamed blocks come in order and add up to the completions", async () => {
  const { model, params } = await readGolden("qwen2");
  const whole = await generator(model, { maxNewTokens: 11, doSample: true })
    .complete(params, prompts, { completions: 2 });
  const eos = whole[1]!.tokens[4]!;
  const generate = generator(model, {
    maxNewTokens: 11,
    doSample: true,
    stepsPerRead: 4,
    eosTokenIds: [eos],
  });
  const blocks: TokenBlock[] = [];
  for await (const block of generate.stream(params, prompts, { completions: 2 })) {
    // Work of the reader between two blocks does not disturb the generator, nor the other way round.
    const mine = tensor([block.sequence]).mul(2);
    assert.equal(await mine.item(), 2 * block.sequence);
    blocks.push(block);
  }
  const reads = blocks.map(({ sequence, start }) => Math.floor(start / 4) * 6 + sequence);
  assert.deepEqual(reads, reads.toSorted((a, b) => a - b));
  const complete = await generate.complete(params, prompts, { completions: 2 });
  const rebuilt = complete.map((_, sequence) => {
    const own = blocks.filter((block) => block.sequence === sequence);
    own.forEach(({ start, tokens, finished }, i) => {
      assert.equal(start, 4 * i);
      assert.ok(tokens.length >= 1 && tokens.length <= 4);
      assert.equal(finished !== null, i === own.length - 1);
    });
    return {
      tokens: own.flatMap(({ tokens }) => tokens),
      logProbs: own.flatMap(({ logProbs }) => logProbs),
      rawLogProbs: own.flatMap(({ rawLogProbs }) => rawLogProbs),
      finished: own.at(-1)!.finished,
    };
  });
  assert.deepEqual(rebuilt, withoutPrompt(complete));
  assert.ok(complete[1]!.tokens.length <= 5 && complete[1]!.finished === "eos");
});

eachDevice("adapters and quantised weights generate what their matrices do", async () => {
  const { model, params } = await readGolden("llama");
  const matrices = new Map<unknown, Quantized>();
  for (const [path, weight] of parametersOf(params)) {
    if (!/_proj/.test(path)) continue;
    matrices.set(weight, await quantize(weight as Tensor, { format: "nf4" }));
  }
  const quantized = mapWeights(params, "all-linear", (weight) => matrices.get(weight)!);
  const { params: adapted } = await applyLora(
    quantized,
    { target_modules: "all-linear", init_lora_weights: false },
    randomKey(2),
  );
  const generate = generator(model, { maxNewTokens: 8 });
  const found = await generate.complete(adapted, prompts);
  const expected = await generate.complete(mergeAdapters(adapted), prompts);
  assert.notDeepEqual(found[0]!.tokens, (await generate(params, prompts))[0]);
  found.forEach(({ tokens, rawLogProbs }, b) => {
    assert.deepEqual(tokens, expected[b]!.tokens);
    rawLogProbs.forEach((x, i) => assert.ok(Math.abs(x - expected[b]!.rawLogProbs[i]!) < 5e-5));
  });
});

eachDevice("a stream may be left early, and the generator used again", async (device) => {
  const { model, params } = await readGolden("llama");
  const generate = generator(model, { maxNewTokens: 16, stepsPerRead: 2 });
  const expected = await generate(params, prompts);
  const leave = async () => {
    for await (const block of generate.stream(params, prompts)) {
      if (block.start >= 4) break;
    }
  };
  await leave();
  const { bytes } = device.counters();
  for (let i = 0; i < 5; i++) await leave();
  assert.equal(device.counters().bytes, bytes, "no memory is left behind");
  assert.deepEqual(await generate(params, prompts), expected);
});

Deno.test("generation_config.json is read, and errors name its fields", () => {
  assert.deepEqual(
    generationOptions({
      max_new_tokens: 7,
      do_sample: true,
      temperature: 0.6,
      top_k: 20,
      top_p: 0.95,
      min_p: null,
      repetition_penalty: 1.05,
      eos_token_id: [2, 5],
      transformers_version: "5.17.0",
    }),
    {
      maxNewTokens: 7,
      doSample: true,
      temperature: 0.6,
      topK: 20,
      topP: 0.95,
      repetitionPenalty: 1.05,
      eosTokenIds: [2, 5],
    },
  );
  assert.deepEqual(generationOptions({ eos_token_id: 2 }), { eosTokenIds: [2] });
  assert.throws(() => generationOptions({ top_p: "0.9" }), /top_p = "0.9".*a number/);
  assert.throws(() => generationOptions({ eos_token_id: [1.5] }), /eos_token_id = \[1.5\]/);
});

eachDevice("what cannot be generated is an error that says so", async () => {
  const { model, params } = await readGolden("llama");
  const generate = generator(model, { maxNewTokens: 2 });
  const refused = (pattern: RegExp) => (error: unknown) =>
    error instanceof UserError && pattern.test(error.message);
  await assert.rejects(generate(params, []), refused(/no prompts/));
  await assert.rejects(generate(params, [[1], []]), refused(/prompt 1 is empty/));
  await assert.rejects(generate(params, [[1]], { eosTokenIds: [] }), refused(/0 lists for 1/));
  assert.throws(() => generator(model, { maxNewTokens: 0 }), refused(/maxNewTokens = 0/));
});

eachDevice("sequences end where the model has learned no further positions", async () => {
  const { model, params } = await readGolden("gpt2");
  const generate = generator(model, { maxNewTokens: 16 });
  const prompts = [120, 60].map((length) => Array.from({ length }, (_, i) => 5 + i));
  const [long, short] = await generate.complete(params, prompts);
  assert.deepEqual([long!.tokens.length, long!.finished], [8, "length"]);
  assert.equal(short!.tokens.length, 16);
  // What the other sequences do makes no difference.
  assert.deepEqual((await generate(params, [prompts[0]!]))[0], [...long!.tokens]);
  await assert.rejects(
    generate(params, [Array.from({ length: 128 }, () => 5)]),
    /prompt of 128 tokens leaves no position .* learned 128/,
  );
});
