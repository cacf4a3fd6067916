import assert from "node:assert/strict";
import { iota, jit, randomKey, softmax, type Tensor, tensor, UserError } from "../../core/mod.ts";
import {
  logitsProcessors,
  markSeen,
  sample,
  type SamplingOptions,
  seenTokens,
  type TokensSoFar,
  topK,
  topP,
} from "../../nn/sampling.ts";
import { readFixture } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";

interface Case {
  readonly options: Readonly<Record<string, number>>;
  readonly logits: readonly number[];
  readonly previous_ids: readonly number[];
  readonly probabilities: readonly number[];
}

/** Options under transformers' names. */
function optionsOf(o: Case["options"]): SamplingOptions {
  const names: Record<string, keyof SamplingOptions> = {
    temperature: "temperature",
    top_k: "topK",
    top_p: "topP",
    min_p: "minP",
    typical_p: "typicalP",
    epsilon_cutoff: "epsilonCutoff",
    repetition_penalty: "repetitionPenalty",
    no_repeat_ngram_size: "noRepeatNgramSize",
  };
  return Object.fromEntries([
    ["doSample", true],
    ...Object.entries(o).map(([name, value]) => {
      assert.ok(names[name], `option ${name} is known`);
      return [names[name], value];
    }),
  ]);
}

/** Rows of tokens as history with room for more, and what is seen in them. */
function tokensSoFar(rows: readonly (readonly number[])[], vocabulary: number): TokensSoFar {
  const width = Math.max(...rows.map((row) => row.length)) + 2;
  const history = tensor(rows.map((row) => [...row, ...Array(width - row.length).fill(0)]), {
    dtype: "i32",
  });
  const lengths = tensor(rows.map((row) => row.length), { dtype: "i32" });
  return { history, lengths, seen: seenTokens(history, lengths, vocabulary) };
}

/** Numbers that look random, in [0, 1). */
function pseudoRandom(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 16807) % 2147483647) / 2147483647;
}

eachDevice("every recorded logits processor leaves the probabilities of transformers", async () => {
  const { rows } = await readFixture<{ readonly rows: readonly Case[] }>("golden/sampling.json");
  assert.ok(rows.length >= 36);
  for (const { options, logits, previous_ids, probabilities } of rows) {
    const soFar = tokensSoFar([previous_ids], logits.length);
    const processed = logitsProcessors(optionsOf(options))
      .reduce((x, process) => process(x, soFar), tensor([logits]));
    const found = await softmax(processed).data();
    probabilities.forEach((expected, v) => {
      const error = Math.abs(found[v]! - expected);
      const shown = `${JSON.stringify(options)}: ${found[v]}, not ${expected}, for token ${v}`;
      assert.ok(error < 2e-6 && (found[v] === 0) === (expected === 0), shown);
    });
  }
});

eachDevice("top-k and top-p keep what a sort keeps, in rows of different scale", async () => {
  const [rows, width] = [5, 1000];
  const next = pseudoRandom(11);
  const host = Array.from(
    { length: rows },
    (_, row) => Array.from({ length: width }, () => Math.fround((next() - 0.5) * 10 ** (row - 1))),
  );
  const logits = tensor(host);
  for (const k of [1, 7, 500, 999]) {
    const kept = await topK(k)(logits, {}).data();
    host.forEach((row, b) => {
      const limit = row.toSorted((x, y) => y - x)[k - 1]!;
      row.forEach((x, v) =>
        assert.equal(kept[b * width + v], x >= limit ? x : -Infinity, `row ${b}, k ${k}`)
      );
    });
  }
  for (const p of [0.1, 0.5, 0.9, 0.99]) {
    const kept = await topP(p)(logits, {}).data();
    host.forEach((row, b) => {
      const sorted = row.toSorted((x, y) => y - x);
      const weights = sorted.map((x) => Math.exp(x - sorted[0]!));
      const total = weights.reduce((a, x) => a + x, 0);
      const shares = [...kept.subarray(b * width, (b + 1) * width).keys()]
        .filter((v) => kept[b * width + v] !== -Infinity);
      const mass = weights.slice(0, shares.length).reduce((a, x) => a + x, 0) / total;
      const without = mass - weights[shares.length - 1]! / total;
      const lowest = sorted[shares.length - 1]!;
      assert.ok(shares.every((v) => row[v]! >= lowest), `row ${b}, p ${p}: the largest are kept`);
      assert.ok(mass > p - 1e-5 && without < p + 1e-5, `row ${b}: ${without} < ${p} ≤ ${mass}`);
    });
  }
});

eachDevice(
  "ties with the k-th logit stay, and top-p of almost nothing keeps the best",
  async () => {
    const logits = tensor([[1, 3, 2, 2, -1], [0, 0, 0, 0, 0]]);
    const kept = await topK(2)(logits, {}).data();
    assert.deepEqual([...kept], [-Infinity, 3, 2, 2, -Infinity, 0, 0, 0, 0, 0]);
    const best = await topP(1e-9)(tensor([[1, 3, 2, 2, -1]]), {}).data();
    assert.deepEqual([...best], [-Infinity, 3, -Infinity, -Infinity, -Infinity]);
  },
);

eachDevice("tokens are marked as seen one by one", async () => {
  const { seen } = tokensSoFar([[1, 3, 3], [0]], 4);
  const next = markSeen(seen!, tensor(Int32Array.of(2, 0)));
  const marks = Array.from(await next.data(), (x) => x !== 0);
  assert.deepEqual(marks, [false, true, true, true, true, false, false, false]);
});

eachDevice("no run of n tokens comes twice, for rows of different lengths", async () => {
  const soFar = tokensSoFar([[1, 2, 3, 1, 2], [1, 2], [2]], 4);
  const banned = async (noRepeatNgramSize: number) => {
    const logits = tensor([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]);
    const out = logitsProcessors({ noRepeatNgramSize })
      .reduce((x, process) => process(x, soFar), logits);
    return Array.from(await out.data(), (x, i) => x === -Infinity ? i : -1).filter((i) => i >= 0);
  };
  assert.deepEqual(await banned(3), [3]);
  assert.deepEqual(await banned(1), [1, 2, 3, 5, 6, 10]);
});

/** Σ (observed − expected)² / expected. */
function chiSquare(counts: readonly number[], shares: ArrayLike<number>): number {
  const total = counts.reduce((a, n) => a + n, 0);
  return counts.reduce((sum, n, v) => {
    const expected = shares[v]! * total;
    if (expected === 0) {
      assert.equal(n, 0, `token ${v} is excluded`);
      return sum;
    }
    return sum + (n - expected) ** 2 / expected;
  }, 0);
}

for (
  const [name, options, seed] of [
    ["plain", {}, 1],
    ["at temperature 0.7 with top-p 0.9", { temperature: 0.7, topP: 0.9 }, 2],
    ["with top-k 4 and min-p 0.1", { topK: 4, minP: 0.1 }, 3],
  ] as const
) {
  eachDevice(`sampled tokens pass a chi-square test against the softmax, ${name}`, async () => {
    const row = [1.2, -0.3, 0.4, 2.1, -2, 0, 0.9, -1.1];
    const draws = 20_000;
    const sampling = { doSample: true, ...options };
    const logits = tensor([row]);
    const processed = logitsProcessors(sampling).reduce((x, process) => process(x, {}), logits);
    const shares = await softmax(processed).data();
    const draw = jit((x: Tensor) =>
      sample(x.broadcastTo(draws, row.length), randomKey(seed), sampling)
    );
    const drawn = draw(logits);
    const tokens = await drawn.tokens.data();
    const counts = row.map((_, v) => tokens.filter((token) => token === v).length);
    assert.equal(counts.reduce((a, n) => a + n, 0), draws);
    // 24.3 is exceeded once in a thousand times with seven degrees of freedom; fewer kept tokens, more rarely.
    assert.ok(chiSquare(counts, shares) < 24.3, `χ² = ${chiSquare(counts, shares)}`);
    const uniform = shares.map((p) => p > 0 ? 1 / shares.filter((q) => q > 0).length : 0);
    assert.ok(chiSquare(counts, uniform) > 1000, "the test can tell distributions apart");

    const raw = await softmax(logits).data();
    const [logProbs, rawLogProbs] = [await drawn.logProbs.data(), await drawn.rawLogProbs.data()];
    for (let i = 0; i < 100; i++) {
      assert.ok(Math.abs(logProbs[i]! - Math.log(shares[tokens[i]!]!)) < 1e-5);
      assert.ok(Math.abs(rawLogProbs[i]! - Math.log(raw[tokens[i]!]!)) < 1e-5);
    }
  });
}

eachDevice("sampled tokens pass a chi-square test in a vocabulary of several blocks", async () => {
  const [width, draws] = [100, 40_000];
  const next = pseudoRandom(5);
  const row = Array.from({ length: width }, (_, v) => v % 9 === 0 ? -Infinity : 2 * next());
  const logits = tensor([row]);
  const shares = await softmax(logits).data();
  const draw = jit((x: Tensor) =>
    sample(x.broadcastTo(draws, width), randomKey(9), { doSample: true }).tokens
  );
  const counts = new Array<number>(width).fill(0);
  for (const token of await draw(logits).data()) counts[token]!++;
  // 134 is exceeded once in a thousand times with 87 degrees of freedom.
  assert.ok(chiSquare(counts, shares) < 134, `χ² = ${chiSquare(counts, shares)}`);
  const uniform = shares.map((p) => p > 0 ? 1 / 88 : 0);
  assert.ok(chiSquare(counts, uniform) > 1000, "the test can tell distributions apart");
});

eachDevice("in a large vocabulary the improbable tail is not drawn too often", async () => {
  // One token against 131071 that share a probability of 1e-8; noise from a grid of 2⁻²⁴ draws them 8 times.
  const width = 131072;
  const logits = tensor(Float32Array.from({ length: width }, (_, v) => v === 5 ? 30 : 0), {
    shape: [1, width],
  });
  const draw = jit((x: Tensor, key: Tensor) =>
    sample(x.broadcastTo(50, width), key, { doSample: true }).tokens
  );
  let other = 0;
  for (let i = 0; i < 20; i++) {
    for (const token of await draw(logits, randomKey(i)).data()) if (token !== 5) other++;
  }
  assert.equal(other, 0);
});

eachDevice("the same key draws the same tokens, rows and keys differ", async () => {
  const logits = iota(1000).cast("f32").mul(0).reshape(1, 1000).broadcastTo(8, 1000);
  const draw = async (
    seed: number,
  ) => [...await sample(logits, randomKey(seed), { doSample: true }).tokens.data()];
  const first = await draw(4);
  assert.deepEqual(await draw(4), first);
  assert.notDeepEqual(await draw(5), first);
  assert.ok(new Set(first).size > 4);
});

Deno.test("a sampling option out of range is an error that names it", () => {
  for (
    const [options, pattern] of [
      [{ temperature: 0, doSample: true }, /temperature = 0.*above 0/],
      [{ topP: 1.5 }, /topP = 1.5/],
      [{ topK: -1 }, /topK = -1/],
      [{ repetitionPenalty: 0 }, /repetitionPenalty = 0/],
    ] as const
  ) {
    assert.throws(
      () => logitsProcessors(options),
      (error) => error instanceof UserError && pattern.test(error.message),
    );
  }
});

eachDevice("no sequence ends before minNewTokens", async () => {
  const logits = tensor([[0, 9, 1, 8], [0, 9, 1, 8]]);
  const soFar = {
    lengths: tensor([5, 7], { dtype: "i32" }),
    promptLengths: tensor([4, 4], { dtype: "i32" }),
  };
  const options = { minNewTokens: 3, eosTokenIds: [1, 3] };
  const { tokens } = sample(logits, randomKey(0), options, soFar);
  assert.deepEqual([...await tokens.data()], [2, 1]);
});
