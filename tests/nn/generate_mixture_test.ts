/** Generation from the geometric mixture of two models. */

import assert from "node:assert/strict";
import { logSoftmax, tensor, UserError } from "../../core/mod.ts";
import { causalModel, generator, mixtureGenerator, type MixtureParams } from "../../nn/mod.ts";
import { eachDevice } from "../devices.ts";
import { type Golden, readConfig, readGolden } from "./golden.ts";
import { layOut, logitsOf } from "./streams.ts";

const prompts = [[1, 315, 275, 201, 44], [1, 17, 9]];

async function models(): Promise<readonly [policy: Golden, reference: Golden]> {
  return [await readGolden("llama"), await readGolden("mistral")];
}

function paramsOf(policy: Golden, reference: Golden, share: number): MixtureParams {
  return { policy: policy.params, reference: reference.params, share: tensor(share) };
}

/** Log-probs of the next token after each token of a sequence, in the mixture: by the formula, in float64. */
async function mixedLogProbs(
  all: readonly [Golden, Golden],
  share: number,
  ids: readonly number[],
): Promise<Float64Array[]> {
  const [own, other] = await Promise.all(all.map(async ({ model, params }) => {
    const { stream } = layOut([{ name: "whole", ids, labels: ids }]);
    const logits = logitsOf(model, params, stream, { rotary: model.tables(ids.length) });
    return await logSoftmax(logits).data();
  }));
  const width = all[0].model.config.vocabularySize;
  return ids.map((_, t) => {
    const mixed = Float64Array.from(
      { length: width },
      (_, v) => share * other![t * width + v]! + (1 - share) * own![t * width + v]!,
    );
    const largest = Math.max(...mixed);
    const total = Math.log(mixed.reduce((sum, x) => sum + Math.exp(x - largest), 0)) + largest;
    return mixed.map((x) => x - total);
  });
}

eachDevice("tokens of a mixture have the probabilities of the mixed softmax", async () => {
  const [policy, reference] = await models();
  const generate = mixtureGenerator({ policy: policy.model, reference: reference.model }, {
    maxNewTokens: 10,
    doSample: true,
    temperature: 0.8,
  });
  const share = 0.3;
  const params = paramsOf(policy, reference, share);
  const found = await generate.complete(params, prompts, { completions: 2, seed: 5 });
  assert.equal(found.length, 4);
  for (const { prompt, tokens, rawLogProbs } of found) {
    const start = prompts[prompt]!;
    const expected = await mixedLogProbs([policy, reference], share, [...start, ...tokens]);
    tokens.forEach((token, i) => {
      const error = Math.abs(rawLogProbs[i]! - expected[start.length + i - 1]![token]!);
      assert.ok(error < 2e-4, `token ${i}: ${error}`);
    });
  }
});

eachDevice("greedy tokens of a mixture are the largest of the mixed softmax", async () => {
  const [policy, reference] = await models();
  const generate = mixtureGenerator({ policy: policy.model, reference: reference.model }, {
    maxNewTokens: 8,
  });
  for (const share of [0.5, 0.9]) {
    const [found] = await generate(paramsOf(policy, reference, share), [prompts[0]!]);
    const ids = [...prompts[0]!];
    for (let step = 0; step < 8; step++) {
      const last = (await mixedLogProbs([policy, reference], share, ids)).at(-1)!;
      ids.push(last.indexOf(Math.max(...last)));
    }
    assert.deepEqual(found, ids.slice(prompts[0]!.length), `share ${share}`);
  }
});

eachDevice("a mixture that is all of one model gives that model's tokens", async () => {
  const [policy, reference] = await models();
  const options = { maxNewTokens: 8, doSample: true, seed: 4 };
  const generate = mixtureGenerator(
    { policy: policy.model, reference: reference.model },
    options,
  );
  for (const [share, { model, params }] of [[0, policy], [1, reference]] as const) {
    assert.deepEqual(
      await generate(paramsOf(policy, reference, share), prompts),
      await generator(model, options)(params, prompts),
    );
  }
});

eachDevice(
  "tokens of a mixture pass a chi-square test against the mixed softmax",
  async (device) => {
    const [policy, reference] = await models();
    const draws = device.kind === "cpu" ? 4000 : 400;
    const generate = mixtureGenerator({ policy: policy.model, reference: reference.model }, {
      maxNewTokens: 1,
      doSample: true,
    });
    const found = await generate(paramsOf(policy, reference, 0.5), [prompts[0]!], {
      completions: draws,
      seed: 1,
    });
    // Eight classes of tokens: id modulo 8.
    const counts = new Float64Array(8);
    for (const [token] of found) counts[token! % 8]!++;
    const sharesAt = async (share: number) => {
      const shares = new Float64Array(8);
      const all = (await mixedLogProbs([policy, reference], share, prompts[0]!)).at(-1)!;
      all.forEach((x, v) => shares[v % 8]! += Math.exp(x));
      return shares;
    };
    const distance = (shares: Float64Array) =>
      counts.reduce((sum, n, k) => sum + (n - shares[k]! * draws) ** 2 / (shares[k]! * draws), 0);
    // 24.3 is exceeded once in a thousand times with seven degrees of freedom.
    const own = distance(await sharesAt(0.5));
    assert.ok(own < 24.3, `χ² = ${own}`);
    if (device.kind === "cpu") {
      for (const share of [0, 1]) {
        assert.ok(distance(await sharesAt(share)) > 24.3, "the test can tell the models apart");
      }
    }
  },
);

Deno.test("models of different vocabularies cannot be mixed", async () => {
  const config = await readConfig("llama");
  const [policy, reference] = [causalModel(config), causalModel({ ...config, vocab_size: 99 })];
  assert.throws(
    () => mixtureGenerator({ policy, reference }, { maxNewTokens: 1 }),
    (error) => error instanceof UserError && /Models of \d+ and 99 tokens/.test(error.message),
  );
});
