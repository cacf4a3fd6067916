import assert from "node:assert/strict";
import { buildCompletions, type CompletionArrays } from "../../data/completions.ts";
import {
  answerAt,
  type AnswerFamilies,
  pairFamilies,
  unpairedFamilies,
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

/** Each label as what predicts it, what it is, whose it is and which there; in an order of their own. */
function labelsOf(made: AnswerFamilies, share: boolean): string[] {
  const { stream, numbers, positions } = buildCompletions(made.families, { share });
  const labels: string[] = [];
  for (let n = 0; n < stream.labels; n++) {
    const seen = context(stream, stream.sources[n]!);
    const whose = answerAt(made, numbers[n]!);
    labels.push(JSON.stringify([seen, stream.targets[n], whose, positions[n]]));
  }
  return labels.sort();
}

/** The ids labelled under each number. */
function targetsByNumber({ stream, numbers, positions }: CompletionArrays, count: number) {
  const targets = Array.from({ length: count }, (): number[] => []);
  for (let n = 0; n < stream.labels; n++) targets[numbers[n]!]![positions[n]!] = stream.targets[n]!;
  return targets;
}

const tokensOf = (made: AnswerFamilies, share = true) =>
  buildCompletions(made.families, { share }).stream.tokens;

Deno.test("answers that share their prompt see and learn the same as sequences of their own", () => {
  const pairs = pairFamilies(examples);
  assert.deepEqual(labelsOf(pairs, true), labelsOf(pairs, false));
  assert.equal(tokensOf(pairs, false), pairs.roleTokens.reduce((a, b) => a + b));
  assert.equal(tokensOf(pairs, false) - tokensOf(pairs), 3 + 1);
  const labelled = pairFamilies(examples, { labelPrompts: true });
  assert.deepEqual(labelsOf(labelled, true), labelsOf(labelled, false));
});

Deno.test("labels are an answer's tokens, numbered by role and example", () => {
  const made = pairFamilies(examples);
  assert.deepEqual(made.rows, [7, 4, 9, 1]);
  const arrays = buildCompletions(made.families);
  // The first token of a sequence without a prompt has nothing that predicts it.
  assert.deepEqual(targetsByNumber(arrays, 8), [[4, 5], [8], [], [6], [6], [8, 8], [5, 5], []]);
  assert.deepEqual(answerAt(made, 5), { row: 4, role: "rejected" });
  assert.deepEqual(answerAt(made, 8), { row: 7, role: "prompt" });
  assert.deepEqual(made.roleTokens, [5 + 3 + 1 + 2, 4 + 4 + 3 + 1]);
});

Deno.test("answers are in one family only if their prompts are the same", () => {
  const { families } = pairFamilies(examples);
  assert.deepEqual(
    families.map(({ completions }) => completions.map(({ number }) => number)),
    [[0, 4], [1], [5], [2, 6], [3, 7]],
  );
});

Deno.test("prompts are labelled once per example, for the chosen answer", () => {
  const made = pairFamilies(examples, { labelPrompts: true });
  for (const share of [true, false]) {
    const targets = targetsByNumber(buildCompletions(made.families, { share }), 12);
    assert.deepEqual(targets.slice(8), [[2, 3], [2], [], []]);
  }
});

Deno.test("a triple's answers share one prompt, or two of them do", () => {
  const triples = [
    { ...examples[0]!, reference: answer([1, 2, 3], [9, 9]) },
    { ...examples[1]!, reference: answer([1, 2], [5]) },
  ];
  const made = pairFamilies(triples, { reference: true });
  assert.deepEqual(made.roles, ["chosen", "rejected", "reference"]);
  assert.equal(tokensOf(made), (3 + 2 + 1 + 2) + (2 + 1 + 1) + (2 + 2));
  assert.deepEqual(labelsOf(made, true), labelsOf(made, false));
  assert.equal(pairFamilies(triples).roles.length, 2);
});

Deno.test("an answer lent by another row shares the prompt", () => {
  const unpaired = [
    { ...answer([1, 2], [3]), label: true, klCompletionIds: Int32Array.of(4, 5), row: 0 },
    { ...answer([6], [4, 5]), label: false, klCompletionIds: Int32Array.of(3), row: 1 },
  ];
  const made = unpairedFamilies(unpaired);
  assert.deepEqual(made.roles, ["completion", "kl"]);
  assert.deepEqual(
    targetsByNumber(buildCompletions(made.families), 4),
    [[3], [4, 5], [4, 5], [3]],
  );
  assert.deepEqual(made.roleTokens, [6, 6]);
  assert.equal(tokensOf(made), 9);
  assert.deepEqual(labelsOf(made, true), labelsOf(made, false));
  const single = unpairedFamilies(unpaired.map(({ klCompletionIds: _, ...rest }) => rest));
  assert.deepEqual(single.roles, ["completion"]);
  assert.equal(tokensOf(single), 6);
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
