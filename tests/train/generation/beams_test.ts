/** Beam search as `generate` asks for it. */

import assert from "node:assert/strict";
import type { Row } from "../../../data/mod.ts";
import { completeInBatches } from "../../../train/generation/completions.ts";
import { promptsOf } from "../../../train/generation/prompts.ts";
import { resolveSettings } from "../../../train/generation/settings.ts";
import { openModel } from "../../../train/files/model_directory.ts";
import { settingsOf } from "../../../train/library/settings_of.ts";
import { generateOptions } from "../../../train/settings/generate.ts";
import { eachDevice } from "../../devices.ts";
import { fixture, readFixture } from "../../data/fixture_files.ts";

interface Golden {
  readonly prompts: readonly string[];
  readonly models: Readonly<
    Record<string, {
      readonly eos: readonly number[];
      readonly rows: readonly {
        readonly settings: Readonly<Record<string, string | number | boolean>>;
        readonly prompt: number;
        readonly tokens: readonly (readonly number[])[];
        readonly ended: readonly boolean[];
      }[];
    }>
  >;
}

const golden = await readFixture<Golden>("golden/generate_beams.json");

const camelCase = (name: string) =>
  name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

for (const [name, { eos, rows }] of Object.entries(golden.models)) {
  eachDevice(`generate searches with beams as transformers does (${name})`, async () => {
    const opened = await openModel({ directory: fixture(`models/${name}`), seed: 0 });
    const { tokenizer, model } = opened;
    const prompts = promptsOf(
      golden.prompts.map((prompt): Row => ({ prompt })),
      tokenizer,
      model.config.maxPositions,
    );
    const bySettings = Map.groupBy(rows, ({ settings }) => JSON.stringify(settings));
    for (const [asked, expected] of bySettings) {
      const options = Object.fromEntries(
        Object.entries(JSON.parse(asked)).map(([key, value]) => [camelCase(key), value]),
      );
      const { values, given } = settingsOf(
        { ...options, doSample: undefined, maxNewTokens: 12, prompts: "-", model: name },
        generateOptions,
      );
      const settings = resolveSettings(values, given, {
        tokenizer,
        generationConfig: { eos_token_id: [...eos] },
      });
      const found: unknown[] = [];
      for await (
        const batch of completeInBatches(opened, prompts, { settings, batchSize: 4, seed: 0 })
      ) {
        found.push(...batch.rows.map(({ completion, finish_reason, completion_tokens }) => [
          completion,
          finish_reason === "eos",
          completion_tokens,
        ]));
      }
      assert.deepEqual(
        found,
        expected.flatMap(({ tokens, ended }) =>
          tokens.map((ids, i) => [
            tokenizer.decode(ids, { skipSpecialTokens: true }),
            ended[i],
            ids.length,
          ])
        ),
        asked,
      );
    }
  });
}

Deno.test("what a beam search cannot do is refused", async () => {
  const { tokenizer } = await openModel({ directory: fixture("models/llama"), seed: 0 });
  const resolved = (options: object) => {
    const { values, given } = settingsOf({ prompts: "-", model: "-", ...options }, generateOptions);
    return resolveSettings(values, given, { tokenizer, generationConfig: {} });
  };
  assert.throws(() => resolved({ numBeams: 2, numReturnSequences: 3 }), /num_beams 2/);
  assert.throws(() => resolved({ numBeams: 2, doSample: true }), /draws no tokens/);
  assert.match(resolved({ lengthPenalty: 2 }).notices.join(" "), /length_penalty/);
});
