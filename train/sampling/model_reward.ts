/** A reward model as a reward function. @module */

import { jit, scope, type Tensor, tensor, UserError } from "../../core/mod.ts";
import { type Message, renderChat } from "../../data/chat/chat_template.ts";
import { bucketLength, buildStream } from "../../data/batches/token_stream.ts";
import type { DecoderParams, RotaryTables, TokenStream } from "../../nn/mod.ts";
import type { RewardArguments, RewardText } from "../../rl/mod.ts";
import type { OpenClassifier } from "../files/classifier_directory.ts";

/** The reward model, and how it reads answers. */
export interface ModelRewardOptions {
  /** What scores texts. */
  readonly opened: Pick<OpenClassifier, "model" | "params" | "tokenizer" | "labels" | "directory">;
  /**
   * The label whose score is the reward, where texts are to be read as transformers' pipeline reads them: with the
   * special tokens that the tokenizer puts around a text. Without a label the score is that of the only one, and texts
   * are without these tokens, as TRL's trainers have it.
   */
  readonly label?: string | undefined;
  /** Answers read at once; 16 by default. */
  readonly batchSize?: number;
}

/**
 * The score that a sequence-classification checkpoint gives prompt and answer, before any softmax, under its own
 * tokenizer and chat template.
 *
 * @throws UserError if there are several labels and none is named, or none by that name; the function it returns does
 * for a text that is empty or has more tokens than the model has learned positions.
 */
export function modelReward(
  { opened, label, batchSize = 16 }: ModelRewardOptions,
): (args: Pick<RewardArguments, "prompts" | "completions">) => Promise<number[]> {
  const { model, params, tokenizer } = opened;
  const column = rewardedLabel(opened, label);
  const score = jit((
    p: DecoderParams,
    stream: TokenStream,
    lasts: Tensor,
    rotary: RotaryTables,
  ) => model.scores(p, stream, lasts, { rotary }).slice(column, column + 1, 1), {
    name: "the reward model",
  });
  const encode = (prompt: RewardText, completion: RewardText) => {
    const { text, rendered } = joined(tokenizer, prompt, completion);
    // A chat template writes special tokens itself.
    const addSpecialTokens = label !== undefined && !rendered;
    return Int32Array.from(tokenizer.encode(text, { addSpecialTokens }));
  };
  return async ({ prompts, completions }) => {
    const ids = prompts.map((prompt, i) => encode(prompt, completions[i]!));
    checkLengths(ids, opened);
    const rewards: number[] = [];
    for (let start = 0; start < ids.length; start += batchSize) {
      const batch = ids.slice(start, start + batchSize);
      const scores = await scope(async () => {
        const arrays = buildStream(batch.map((list) => ({ ids: list })));
        let end = 0;
        const lasts = batch.map((list) => (end += list.length) - 1);
        const stream = {
          ids: tensor(arrays.ids),
          segments: tensor(arrays.segments, { shape: [5, arrays.length] }),
        };
        const places = tensor(Int32Array.from(lasts));
        return await score(params, stream, places, model.tables(positionsOf(batch, model.config)))
          .data();
      });
      rewards.push(...scores);
    }
    return rewards;
  };
}

/**
 * Which of the labels is the reward.
 *
 * @throws UserError if there are several and none is named, or none by that name.
 */
export function rewardedLabel(
  { labels, directory }: Pick<OpenClassifier, "labels" | "directory">,
  label: string | undefined,
): number {
  const all = labels.join(", ");
  if (label !== undefined) {
    const found = labels.indexOf(label);
    if (found >= 0) return found;
    throw new UserError(
      `The reward model in ${directory} has no label "${label}". ${
        labels.length === 1 ? "It has one" : "Name one it has"
      }: ${all}.`,
    );
  }
  if (labels.length === 1) return 0;
  throw new UserError(
    `The reward model in ${directory} tells ${labels.length} labels apart: ${all}. A reward is the score of one: ` +
      `name it, as in ${directory}:${labels.at(-1)}.`,
  );
}

function checkLengths(
  ids: readonly Int32Array[],
  { model: { config }, directory }: ModelRewardOptions["opened"],
): void {
  const limit = config.learnedPositions ? config.maxPositions : Infinity;
  ids.forEach(({ length }, i) => {
    if (length === 0) throw new UserError(`Prompt and answer ${i + 1} have no tokens to score.`);
    if (length <= limit) return;
    throw new UserError(
      `Prompt and answer ${
        i + 1
      } are ${length} tokens to the reward model in ${directory}, which has learned ` +
        `${limit} positions. A text cut short would be judged without its end; lower --max_completion_length, or leave ` +
        "out rows with long prompts.",
    );
  });
}

/** Few distinct numbers of positions, so that few programs are compiled, but none that the model lacks. */
function positionsOf(
  batch: readonly Int32Array[],
  { learnedPositions, maxPositions }: OpenClassifier["model"]["config"],
): number {
  const bucket = bucketLength(Math.max(...batch.map((list) => list.length)));
  return learnedPositions ? Math.min(bucket, maxPositions) : bucket;
}

function joined(
  tokenizer: OpenClassifier["tokenizer"],
  prompt: RewardText,
  completion: RewardText,
): { readonly text: string; readonly rendered: boolean } {
  if (typeof prompt === "string" && typeof completion === "string") {
    return { text: prompt + completion, rendered: false };
  }
  const messages = (text: RewardText): readonly Message[] =>
    typeof text === "string" ? [{ role: "user", content: text }] : text;
  return {
    text: renderChat(tokenizer, [...messages(prompt), ...messages(completion)]),
    rendered: true,
  };
}
