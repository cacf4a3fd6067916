/**
 * Pairs of answers as one stream of tokens. Answers to the same prompt are continuations of it, so
 * that its tokens go through the model once.
 *
 * @module
 */

import type { PromptedCompletion } from "./preference_tokens.ts";
import type { PreferenceExample } from "./prepare_pairs.ts";
import { IGNORED } from "./prepare_sft.ts";
import type { UnpairedExample } from "./prepare_unpaired.ts";
import { buildStream, type Sequence, type StreamArrays } from "./token_stream.ts";

/** What an answer is to its example. */
export type CompletionRole = "chosen" | "rejected" | "reference" | "completion" | "kl";

/** How answers are laid out. */
export interface CompletionStreamOptions {
  /** Whether answers to the same prompt share its tokens. Default true; the numbers are the same. */
  readonly shared?: boolean;
  /**
   * Whether the tokens of the prompt are labels too, once per example, for the first of its answers
   * (ORPO's negative log-likelihood is over prompt and chosen answer). Default false.
   */
  readonly labelPrompts?: boolean;
}

/**
 * A stream of B examples with R answers each. Answers have numbers, *slots*: answer r of example b is
 * r · B + b, so that sums over slots [R · B] fall into R vectors [B] of one role each.
 */
export interface CompletionStream {
  /** The tokens; labels are those of answers, and of prompts if asked for. */
  readonly stream: StreamArrays;
  /** The roles of an example's answers, R of them. */
  readonly roles: readonly CompletionRole[];
  /** The numbers of the data set's rows, B of them. */
  readonly rows: readonly number[];
  /** [N]: the slot of the answer each label belongs to; −1 for labels in prompts and for padding. */
  readonly slots: Int32Array;
  /** [N]: the slot of the answer that counts a label in its prompt; −1 for all other labels. */
  readonly promptSlots: Int32Array;
  /** [N]: which of its answer's labels a label is, from 0; −1 for all others. */
  readonly offsets: Int32Array;
  /** [R · B]: the number of labels of each answer. */
  readonly lengths: Int32Array;
  /** [R]: tokens of each role as sequences of their own, prompts counted anew: TRL's `num_tokens`. */
  readonly roleTokens: readonly number[];
}

/** Which row and role a slot is. */
export function completionAt(
  { rows, roles }: Pick<CompletionStream, "rows" | "roles">,
  slot: number,
): { readonly row: number; readonly role: CompletionRole } {
  return { row: rows[slot % rows.length]!, role: roles[Math.floor(slot / rows.length)]! };
}

/**
 * Pairs in a stream: roles `chosen`, `rejected`, and `reference` if asked for (TPO without
 * `tpo_alpha` has no use for it).
 */
export function pairStream(
  examples: readonly PreferenceExample[],
  options: CompletionStreamOptions & { readonly reference?: boolean } = {},
): CompletionStream {
  const roles: CompletionRole[] = [
    "chosen",
    "rejected",
    ...(options.reference ? ["reference" as const] : []),
  ];
  return completionStream(examples, roles, (example, role) => {
    const answer = role === "chosen" || role === "rejected" || role === "reference"
      ? example[role]
      : undefined;
    if (answer === undefined) throw new Error(`An example has no ${role} answer.`);
    return answer;
  }, options);
}

/** Single answers in a stream: role `completion`, and `kl` if the examples were lent another's answer. */
export function unpairedStream(
  examples: readonly UnpairedExample[],
  options: CompletionStreamOptions = {},
): CompletionStream {
  const hasKl = examples[0]?.klCompletionIds !== undefined;
  return completionStream(
    examples,
    hasKl ? ["completion", "kl"] : ["completion"],
    ({ promptIds, completionIds, klCompletionIds }, role) => ({
      promptIds,
      completionIds: role === "kl" && klCompletionIds ? klCompletionIds : completionIds,
    }),
    options,
  );
}

/** What is known of a sequence in the stream: whose labels it has, and where its answer begins. */
interface Placed {
  readonly slot: number;
  readonly promptLength: number;
}

function completionStream<E extends { readonly row: number }>(
  examples: readonly E[],
  roles: readonly CompletionRole[],
  answerOf: (example: E, role: CompletionRole) => PromptedCompletion,
  options: CompletionStreamOptions,
): CompletionStream {
  const { shared = true, labelPrompts = false } = options;
  const count = examples.length;
  const sequences: Sequence[] = [];
  const placed: Placed[] = [];
  const roleTokens = roles.map(() => 0);
  examples.forEach((example, b) => {
    const answers = roles.map((role) => answerOf(example, role));
    answers.forEach(({ promptIds, completionIds }, r) => {
      roleTokens[r]! += promptIds.length + completionIds.length;
    });
    for (const group of groupsOf(answers, shared)) {
      const { promptIds } = answers[group[0]!]!;
      const labelsPrompt = labelPrompts && group.includes(0);
      const place = (sequence: Sequence, r: number) => {
        placed.push({ slot: r * count + b, promptLength: promptIds.length });
        return sequences.push(sequence) - 1;
      };
      if (group.length === 1) {
        const r = group[0]!;
        const ids = concat(promptIds, answers[r]!.completionIds);
        place({ ids, labels: labelsPrompt ? ids : ids.map(maskUpTo(promptIds.length)) }, r);
        continue;
      }
      const parent = place({ ids: promptIds, ...(labelsPrompt && { labels: promptIds }) }, 0);
      for (const r of group) {
        const ids = answers[r]!.completionIds;
        place({ ids, labels: ids, parent }, r);
      }
    }
  });
  const stream = buildStream(sequences);
  return {
    stream,
    roles,
    rows: examples.map(({ row }) => row),
    roleTokens,
    ...slotsOf(stream, placed, roles.length * count),
  };
}

const maskUpTo = (length: number) => (id: number, i: number) => i < length ? IGNORED : id;

/** The numbers of the answers that lie together, those with the same prompt in one group. */
function groupsOf(answers: readonly PromptedCompletion[], shared: boolean): number[][] {
  const groups: number[][] = [];
  answers.forEach(({ promptIds }, r) => {
    // Without a prompt there is nothing to share, and no token that predicts an answer's first.
    const group = shared && promptIds.length > 0
      ? groups.find(([first]) => isSame(answers[first!]!.promptIds, promptIds))
      : undefined;
    if (group === undefined) groups.push([r]);
    else group.push(r);
  });
  return groups;
}

function slotsOf(stream: StreamArrays, placed: readonly Placed[], slotCount: number) {
  const { length, segments, sources, labelSegments, labelCount } = stream;
  const slots = new Int32Array(labelCount).fill(-1);
  const promptSlots = new Int32Array(labelCount).fill(-1);
  const offsets = new Int32Array(labelCount).fill(-1);
  const lengths = new Int32Array(slotCount);
  for (let n = 0; n < stream.labels; n++) {
    const { slot, promptLength } = placed[labelSegments[n]!]!;
    const position = segments[2 * length + sources[n]!]! + 1;
    if (position < promptLength) promptSlots[n] = slot;
    else {
      slots[n] = slot;
      offsets[n] = lengths[slot]!++;
    }
  }
  return { slots, promptSlots, offsets, lengths };
}

function concat(start: Int32Array, end: Int32Array): Int32Array {
  const whole = new Int32Array(start.length + end.length);
  whole.set(start);
  whole.set(end, start.length);
  return whole;
}

function isSame(a: Int32Array, b: Int32Array): boolean {
  return a === b || (a.length === b.length && a.every((id, i) => id === b[i]));
}
