/** Settings of generation and beam search against transformers, by its own names and values. */

import assert from "node:assert/strict";
import { stopStrings } from "../../train/generation/stop_strings.ts";
import { beamSearch, generator, readGeneration } from "../../nn/mod.ts";
import { openModel } from "../../train/files/model_directory.ts";
import { fixture, readFixture } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";

interface Case {
  readonly name: string;
  /** Index of the prompt. */
  readonly prompt: number;
  readonly max_new_tokens: number;
  readonly settings: Readonly<Record<string, unknown>>;
  /** New tokens of each returned sequence, up to an end. */
  readonly tokens: readonly (readonly number[])[];
}

interface Recorded {
  readonly prompts: readonly (readonly number[])[];
  readonly models: Readonly<
    Record<string, { readonly cases: readonly Case[]; readonly beams: readonly Case[] }>
  >;
}

const recorded = await readFixture<Recorded>("golden/generation_settings.json");

/** Distinct settings have programs of their own, each of which costs a software adapter its compilation. */
const firstOnly = (cases: readonly Case[], kind: string) =>
  kind === "cpu" ? cases : cases.filter(({ prompt }) => prompt === 0);

for (const [name, { cases, beams }] of Object.entries(recorded.models)) {
  eachDevice(`${name}: settings of generation act as in transformers`, async ({ kind }) => {
    const { model, params, tokenizer } = await openModel({
      directory: fixture(`models/${name}`),
      seed: 0,
    });
    const some = kind === "cpu" || name === "llama" ? firstOnly(cases, kind) : [];
    for (const { name, prompt, max_new_tokens, settings, tokens } of some) {
      const { options, unavailable } = readGeneration(settings);
      assert.deepEqual(unavailable, []);
      const { stopStrings: stops, ...sampling } = options;
      const generate = generator(model, {
        ...sampling,
        maxNewTokens: max_new_tokens,
        ...(stops ? { stop: stopStrings(tokenizer, stops) } : {}),
      });
      const found = await generate(params, [recorded.prompts[prompt]!]);
      assert.deepEqual(found, tokens, `${name} of prompt ${prompt}: ${JSON.stringify(settings)}`);
    }
  });

  eachDevice(`${name}: beam search finds what transformers finds`, async ({ kind }) => {
    const { model, params } = await openModel({ directory: fixture(`models/${name}`), seed: 0 });
    const some = kind === "cpu" || name === "llama" ? firstOnly(beams, kind) : [];
    for (const { name, prompt, max_new_tokens, settings, tokens } of some) {
      const { options } = readGeneration(settings);
      const { numBeams, numReturnSequences, ...further } = options;
      const search = beamSearch(model, {
        ...further,
        numBeams: numBeams!,
        maxNewTokens: max_new_tokens,
      });
      const found = await search(params, [recorded.prompts[prompt]!], numReturnSequences);
      assert.deepEqual(
        found.map(({ tokens }) => tokens),
        tokens,
        `${name} of prompt ${prompt}: ${JSON.stringify(settings)}`,
      );
    }
  });
}

eachDevice("prompts are searched together as they are alone", async () => {
  const { model, params } = await openModel({ directory: fixture("models/llama"), seed: 0 });
  const search = beamSearch(model, { numBeams: 3, maxNewTokens: 6, repetitionPenalty: 1.3 });
  const prompts = recorded.prompts.slice(0, 3);
  const together = await search(params, prompts, 2);
  const alone = [];
  for (const prompt of prompts) alone.push(...await search(params, [prompt], 2));
  assert.deepEqual(together.map(({ tokens }) => tokens), alone.map(({ tokens }) => tokens));
  assert.deepEqual(together.map(({ prompt }) => prompt), [0, 0, 1, 1, 2, 2]);
  await assert.rejects(search(params, prompts, 4), /Cannot return 4 answers of 3 beams/);
  assert.throws(() => beamSearch(model, { numBeams: 2, maxNewTokens: 2, doSample: true }), /draws/);
});
