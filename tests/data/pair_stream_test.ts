import assert from "node:assert/strict";
import {
  completionAt,
  type CompletionStream,
  pairStream,
  unpairedStream,
} from "../../data/pair_stream.ts";
import type { PromptedCompletion } from "../../data/preference_tokens.ts";
import type { PreferenceExample } from "../../data/prepare_pairs.ts";
import { rewardStream, stepStream } from "../../data/score_stream.ts";
import type { StreamArrays } from "../../data/token_stream.ts";

const answer = (prompt: readonly number[], completion: readonly number[]): PromptedCompletion => ({
  promptIds: Int32Array.from(prompt),
  completionIds: Int32Array.from(completion),
});

const examples: readonly PreferenceExample[] = [
  { chosen: answer([1, 2, 3], [4, 5]), rejected: answer([1, 2, 3], [6]), row: 7 },
  { chosen: answer([1, 2], [8]), rejected: answer([1, 9], [8, 8]), row: 4 },
  { chosen: answer([3], []), rejected: answer([3], [5, 5]), row: 9 },
  { chosen: answer([], [4, 6]), rejected: answer([], [7]), row: 1 },
];

/** The tokens that a token sees up to itself, in the order of their positions. */
function context({ ids, segments, length }: StreamArrays, token: number): number[] {
  const [segment, parent, position] = [0, 1, 2].map((k) => segments[k * length + token]!);
  const seen: [position: number, id: number][] = [];
  for (let t = 0; t < length; t++) {
    const other = segments[t]!;
    const at = segments[2 * length + t]!;
    const visible = other === segment || (parent! >= 0 && other === parent);
    if (other >= 0 && visible && at <= position!) seen.push([at, ids[t]!]);
  }
  return seen.sort(([a], [b]) => a - b).map(([, id]) => id);
}

/** Each label as what predicts it, what it is, and whose it is; in an order of their own. */
function labelsOf(made: CompletionStream): string[] {
  const { stream, slots, promptSlots, offsets } = made;
  const labels: string[] = [];
  for (let n = 0; n < stream.labels; n++) {
    const slot = slots[n]! >= 0 ? completionAt(made, slots[n]!) : null;
    const prompt = promptSlots[n]! >= 0 ? completionAt(made, promptSlots[n]!) : null;
    const seen = context(stream, stream.sources[n]!);
    labels.push(JSON.stringify([seen, stream.targets[n], slot, prompt, offsets[n]]));
  }
  return labels.sort();
}

Deno.test("answers that share their prompt see and learn the same as sequences of their own", () => {
  for (const labelPrompts of [false, true]) {
    const shared = pairStream(examples, { labelPrompts });
    const apart = pairStream(examples, { labelPrompts, shared: false });
    assert.deepEqual(labelsOf(shared), labelsOf(apart));
    assert.deepEqual(shared.lengths, apart.lengths);
    assert.deepEqual(shared.roleTokens, apart.roleTokens);
    assert.equal(apart.stream.tokens, apart.roleTokens.reduce((a, b) => a + b));
    assert.equal(apart.stream.tokens - shared.stream.tokens, 3 + 1);
  }
});

Deno.test("labels are an answer's tokens, in slots by role and example", () => {
  const made = pairStream(examples);
  const { stream, slots, offsets } = made;
  assert.deepEqual(made.rows, [7, 4, 9, 1]);
  // The first token of a sequence without a prompt has nothing that predicts it.
  assert.deepEqual(Array.from(made.lengths), [2, 1, 0, 1, 1, 2, 2, 0]);
  const targets = made.lengths.length;
  const bySlot = Array.from({ length: targets }, (): number[] => []);
  for (let n = 0; n < stream.labels; n++) bySlot[slots[n]!]![offsets[n]!] = stream.targets[n]!;
  assert.deepEqual(bySlot, [[4, 5], [8], [], [6], [6], [8, 8], [5, 5], []]);
  assert.ok(slots.subarray(stream.labels).every((slot) => slot === -1));
  assert.deepEqual(completionAt(made, 5), { row: 4, role: "rejected" });
  assert.deepEqual(made.roleTokens, [5 + 3 + 1 + 2, 4 + 4 + 3 + 1]);
});

Deno.test("prompts are shared only by answers whose prompts are the same", () => {
  const { stream } = pairStream(examples);
  const parents = new Set(
    Array.from({ length: stream.tokens }, (_, t) => stream.segments[stream.length + t]!),
  );
  // The first and the third pair; prompts that differ, or are empty, are not shared.
  assert.equal(parents.size, 2 + 1);
});

Deno.test("prompts are labelled once per example, for the chosen answer", () => {
  for (const shared of [true, false]) {
    const made = pairStream(examples, { labelPrompts: true, shared });
    const perExample = examples.map((_, b) => made.promptSlots.filter((slot) => slot === b).length);
    assert.deepEqual(perExample, [2, 1, 0, 0]);
    assert.ok(made.promptSlots.every((slot) => slot < examples.length));
    assert.equal(made.stream.labels, 3 + made.lengths.reduce((a, b) => a + b));
  }
});

Deno.test("a triple's answers share one prompt, or two of them do", () => {
  const triples = [
    { ...examples[0]!, reference: answer([1, 2, 3], [9, 9]) },
    { ...examples[1]!, reference: answer([1, 2], [5]) },
  ];
  const shared = pairStream(triples, { reference: true });
  assert.deepEqual(shared.roles, ["chosen", "rejected", "reference"]);
  assert.equal(shared.stream.tokens, (3 + 2 + 1 + 2) + (2 + 1 + 1) + (2 + 2));
  assert.deepEqual(
    labelsOf(shared),
    labelsOf(pairStream(triples, { reference: true, shared: false })),
  );
  assert.equal(pairStream(triples).roles.length, 2);
});

Deno.test("an answer lent by another row shares the prompt", () => {
  const unpaired = [
    { ...answer([1, 2], [3]), label: true, klCompletionIds: Int32Array.of(4, 5), row: 0 },
    { ...answer([6], [4, 5]), label: false, klCompletionIds: Int32Array.of(3), row: 1 },
  ];
  const made = unpairedStream(unpaired);
  assert.deepEqual(made.roles, ["completion", "kl"]);
  assert.deepEqual(Array.from(made.lengths), [1, 2, 2, 1]);
  assert.deepEqual(made.roleTokens, [6, 6]);
  assert.equal(made.stream.tokens, 9);
  assert.deepEqual(labelsOf(made), labelsOf(unpairedStream(unpaired, { shared: false })));
  const single = unpairedStream(unpaired.map(({ klCompletionIds: _, ...rest }) => rest));
  assert.deepEqual(single.roles, ["completion"]);
  assert.equal(single.stream.tokens, 6);
});

Deno.test("pairs to be scored share what they begin with, and keep a last token each", () => {
  const pairs = [
    { chosenIds: Int32Array.of(1, 2, 3), rejectedIds: Int32Array.of(1, 2, 4, 5), row: 0 },
    { chosenIds: Int32Array.of(1, 2), rejectedIds: Int32Array.of(1, 2, 4), margin: 0.5, row: 2 },
    { chosenIds: Int32Array.of(7), rejectedIds: Int32Array.of(8), row: 3 },
  ];
  const shared = rewardStream(pairs);
  const apart = rewardStream(pairs, { shared: false });
  const seen = ({ stream, lastTokens }: typeof shared) =>
    Array.from(lastTokens, (token) => context(stream, token));
  const whole = [
    ...pairs.map(({ chosenIds }) => Array.from(chosenIds)),
    ...pairs.map(({ rejectedIds }) => Array.from(rejectedIds)),
  ];
  assert.deepEqual(seen(shared), whole);
  assert.deepEqual(seen(apart), whole);
  assert.deepEqual([shared.stream.tokens, apart.stream.tokens], [14 - 3, 14]);
  assert.deepEqual([shared.separateTokens, apart.separateTokens], [14, 14]);
  assert.deepEqual(Array.from(shared.margins), [0, 0.5, 0]);
  assert.deepEqual(shared.rows, [0, 2, 3]);
});

Deno.test("steps have their labels on their own last token", () => {
  const stream = stepStream([
    { inputIds: Int32Array.of(1, 2, 3), labels: Int32Array.of(-100, 1, 0), row: 0 },
    { inputIds: Int32Array.of(4, 5), labels: Int32Array.of(-100, 1), row: 1 },
  ]);
  assert.equal(stream.labels, 3);
  assert.deepEqual(Array.from(stream.sources.subarray(0, 3)), [1, 2, 4]);
  assert.deepEqual(Array.from(stream.targets.subarray(0, 3)), [1, 0, 1]);
  assert.deepEqual(Array.from(stream.labelSegments.subarray(0, 3)), [0, 0, 1]);
  assert.ok(stream.sources.subarray(3).every((source) => source === -1));
});
