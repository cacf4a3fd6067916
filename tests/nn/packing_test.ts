import assert from "node:assert/strict";
import { leavesOf, realize, type Tensor, valueAndGrad } from "../../core/mod.ts";
import type { CausalModel, DecoderParams } from "../../nn/mod.ts";
import { assertClose } from "../core/compare.ts";
import { eachDevice } from "../devices.ts";
import { goldenRows, readGolden } from "./golden.ts";
import { layOut, logitsOf, meanLoss, type Piece } from "./streams.ts";

/** What a stream gives: logits row by row, loss, gradients. */
interface Outcome {
  /** Logits of the piece's tokens, [tokens · V]. */
  readonly logits: (name: string) => Float32Array;
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

async function floats(x: Tensor): Promise<Float32Array> {
  return Float32Array.from(await x.data());
}

async function compute(
  model: CausalModel,
  params: DecoderParams,
  pieces: readonly Piece[],
): Promise<Outcome> {
  const layout = layOut(pieces);
  const rotary = model.tables(64);
  const logits = logitsOf(model, params, layout.stream, { rotary });
  const [loss, gradients] = valueAndGrad((p: DecoderParams) =>
    meanLoss(model, p, layout, { rotary })
  )(params);
  await realize([logits, loss, gradients]);
  const all = await floats(logits);
  const vocabulary = model.config.vocabularySize;
  const read = new Map<string, Float32Array>();
  for (const [path, leaf] of leavesOf(gradients)) read.set(path, await floats(leaf as Tensor));
  return {
    logits: (name) => {
      const piece = pieces.find((p) => typeof p !== "number" && p.name === name);
      assert.ok(piece !== undefined && typeof piece !== "number", name);
      const start = layout.starts.get(name)!;
      return all.subarray(start * vocabulary, (start + piece.ids.length) * vocabulary);
    },
    loss: await loss.item(),
    gradients: read,
  };
}

function assertLogits(actual: Float32Array, expected: Float32Array, what: string): void {
  assert.equal(actual.length, expected.length, what);
  expected.forEach((value, i) => {
    const error = Math.abs(actual[i]! - value);
    assert.ok(error < 1e-5, `${what}: logit ${i} is ${actual[i]}, not ${value}`);
  });
}

function assertLosses(actual: Outcome, expected: Outcome): void {
  assert.ok(Math.abs(actual.loss / expected.loss - 1) < 1e-6, `${actual.loss} ${expected.loss}`);
  assert.deepEqual([...actual.gradients.keys()], [...expected.gradients.keys()]);
  for (const [path, gradient] of expected.gradients) {
    assert.ok(gradient.some((g) => g !== 0), path);
    assertClose(actual.gradients.get(path)!, gradient, 1e-5, `gradient of ${path}`);
  }
}

for (const name of ["llama", "mistral", "qwen3"] as const) {
  eachDevice(`${name}: rows do not see how they are packed`, async () => {
    const { model, params, batch } = await readGolden(name);
    const rows = goldenRows(batch);
    const [first, second, third] = rows as [Piece, Piece, Piece];
    const padded = await compute(
      model,
      params,
      rows.flatMap((row): Piece[] => [row, batch.columns - row.ids.length]),
    );
    for (
      const pieces of [
        [first, second, third],
        [third, first, second],
        [3, second, 1, third, 17, first],
      ]
    ) {
      const packed = await compute(model, params, pieces);
      for (const row of rows) {
        assertLogits(packed.logits(row.name), padded.logits(row.name), row.name);
      }
      assertLosses(packed, padded);
    }
  });

  eachDevice(`${name}: a row alone gives what it gives beside others`, async () => {
    const { model, params, batch } = await readGolden(name);
    const rows = goldenRows(batch);
    const packed = await compute(model, params, rows);
    for (const row of rows) {
      const alone = await compute(model, params, [row]);
      assertLogits(packed.logits(row.name), alone.logits(row.name), row.name);
    }
  });

  eachDevice(
    `${name}: completions that share a prompt give what whole sequences give`,
    async () => {
      const { model, params, batch } = await readGolden(name);
      const [one, two, three] = goldenRows(batch).map(({ ids }) => ids) as [
        number[],
        number[],
        number[],
      ];
      // Two prompts; the first has three completions, the second one. The window of mistral spans both parts.
      const families = [
        { prompt: one.slice(0, 15), completions: [two.slice(0, 9), three.slice(0, 14), [7]] },
        { prompt: two.slice(9, 14), completions: [one.slice(15, 27)] },
      ];
      const ignored = (ids: readonly number[]) => ids.map(() => -100);
      const shared: Piece[] = families.flatMap(({ prompt, completions }, f): Piece[] => [
        { name: `prompt ${f}`, ids: prompt, labels: ignored(prompt) },
        ...completions.map((ids, c) => ({
          name: `completion ${f}.${c}`,
          ids,
          labels: ids,
          parent: `prompt ${f}`,
        })),
        4,
      ]);
      const whole: Piece[] = families.flatMap(({ prompt, completions }, f) =>
        completions.map((ids, c) => ({
          name: `whole ${f}.${c}`,
          ids: [...prompt, ...ids],
          labels: [...ignored(prompt), ...ids],
        }))
      );
      const [a, b] = [await compute(model, params, shared), await compute(model, params, whole)];
      const vocabulary = model.config.vocabularySize;
      families.forEach(({ prompt, completions }, f) =>
        completions.forEach((_, c) => {
          const expected = b.logits(`whole ${f}.${c}`);
          const split = prompt.length * vocabulary;
          assertLogits(a.logits(`prompt ${f}`), expected.subarray(0, split), `prompt ${f}`);
          const completion = `completion ${f}.${c}`;
          assertLogits(a.logits(completion), expected.subarray(split), completion);
        })
      );
      assertLosses(a, b);
    },
  );
}
