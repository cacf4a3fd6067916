/** `max_prompt_length` and `max_completion_length`, as TRL 0.24 had them. */

import assert from "node:assert/strict";
import type { PromptedCompletion } from "../../../data/prepare/preference_tokens.ts";
import { prepareCpo, prepareDpo, prepareOrpo } from "../../../data/prepare/prepare_pairs.ts";
import { preparePrompts } from "../../../data/prepare/prepare_prompts.ts";
import { prepareBco, prepareKto } from "../../../data/prepare/prepare_unpaired.ts";
import { loadTokenizer } from "../../../data/tokenizer/tokenizer.ts";
import { fixture } from "../fixture_files.ts";

const tokenizer = await loadTokenizer(fixture("models/llama"));
const pair = {
  prompt: "one two three four five six",
  chosen: " seven eight nine",
  rejected: " ten eleven",
};
const answer = { prompt: pair.prompt, completion: pair.chosen };
const unpaired = [{ ...answer, label: true }, { ...answer, label: false }];

const lengths = ({ promptIds, completionIds }: PromptedCompletion) =>
  [promptIds.length, completionIds.length] as const;

/** Whether the one is the end of the other, or its beginning. */
const isEnd = (part: Int32Array, all: Int32Array) =>
  part.every((id, i) => id === all[all.length - part.length + i]);
const isStart = (part: Int32Array, all: Int32Array) => part.every((id, i) => id === all[i]);

Deno.test("dpo keeps the last tokens of a prompt and the first of an answer, then cuts both together", () => {
  const [plain] = prepareDpo([pair], tokenizer).examples;
  const limited = (options: Parameters<typeof prepareDpo>[2]) =>
    prepareDpo([pair], tokenizer, options).examples[0]!;
  const cut = limited({ maxPromptLength: 5, maxCompletionLength: 4 });
  for (const side of ["chosen", "rejected"] as const) {
    assert.deepEqual(lengths(cut[side]), [5, 4]);
    assert.ok(isEnd(cut[side].promptIds, plain![side].promptIds));
    assert.ok(isStart(cut[side].completionIds, plain![side].completionIds));
  }
  assert.deepEqual(lengths(limited({ maxPromptLength: 5, maxLength: 7 }).chosen), [5, 2]);
  assert.deepEqual(limited({ maxPromptLength: 1000, maxCompletionLength: 1000 }), plain);
  assert.throws(
    () => limited({ maxPromptLength: 0 }),
    /max_prompt_length is 0: expected a positive integer/,
  );
});

Deno.test("orpo and cpo cut prompts only of what is too long, and answers to what is then left", () => {
  for (const prepare of [prepareOrpo, prepareCpo]) {
    const [plain] = prepare([pair], tokenizer).examples;
    const [prompt, longer] = lengths(plain!.chosen);
    const fitting = prepare([pair], tokenizer, { maxLength: prompt + longer, maxPromptLength: 5 });
    assert.deepEqual(fitting.examples[0], plain);
    const [shorter] =
      prepare([pair], tokenizer, { maxLength: prompt + longer - 1, maxPromptLength: 5 }).examples;
    assert.deepEqual(lengths(shorter!.chosen), [5, longer]);
    assert.ok(isEnd(shorter!.chosen.promptIds, plain!.chosen.promptIds));
    const [short] = prepare([pair], tokenizer, { maxLength: 5 + 3, maxPromptLength: 5 }).examples;
    assert.deepEqual(lengths(short!.chosen), [5, 3]);
    assert.ok(isStart(short!.chosen.completionIds, plain!.chosen.completionIds));
  }
});

Deno.test("kto and bco do so with single answers", () => {
  const kto = (options: { maxLength?: number; maxPromptLength?: number }) =>
    prepareKto(unpaired, tokenizer, { klBatchSize: null, ...options }).examples[0]!;
  const bco = (options: { maxLength?: number; maxPromptLength?: number }) =>
    prepareBco(unpaired, tokenizer, options).examples[0]!;
  for (const prepare of [kto, bco]) {
    const plain = prepare({});
    const [prompt, completion] = lengths(plain);
    // BCO counts a beginning-of-sequence token that the tokenizer lacks.
    assert.deepEqual(prepare({ maxLength: prompt + completion + 1, maxPromptLength: 5 }), plain);
    const cut = prepare({ maxLength: prompt + completion - 1, maxPromptLength: 5 });
    assert.equal(cut.promptIds.length, 5);
    assert.ok(isEnd(cut.promptIds, plain.promptIds));
    assert.equal(cut.completionIds.length, completion);
    const short = prepare({ maxLength: 5 + 5, maxPromptLength: 5 });
    assert.ok(short.promptIds.length + short.completionIds.length <= 11);
    assert.ok(isStart(short.completionIds.slice(0, -1), plain.completionIds));
  }
});

Deno.test("grpo and rloo answer the last tokens of a prompt; rewards see it whole", () => {
  const [plain] = preparePrompts([answer], tokenizer).examples;
  const [cut] = preparePrompts([answer], tokenizer, {
    maxPromptLength: 4,
    room: { positions: 6, answer: 2 },
  }).examples;
  assert.deepEqual(cut!.promptIds, plain!.promptIds.slice(-4));
  assert.equal(cut!.prompt, pair.prompt);
});
