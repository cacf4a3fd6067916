/** A reward model as a reward function. @module */

import { jit, scope, type Tensor, tensor, UserError } from "../core/mod.ts";
import { type Message, renderChat } from "../data/chat_template.ts";
import { bucketLength, buildStream } from "../data/token_stream.ts";
import {
  type ClassifierParams,
  classify,
  type DecoderParams,
  type RotaryTables,
  type TokenStream,
} from "../nn/mod.ts";
import type { RewardFunction, RewardText } from "../rl/mod.ts";
import type { OpenModel } from "./model_directory.ts";

/** The reward model, and how many answers it reads at once. */
export interface ModelRewardOptions {
  /** Opened with a head of one label. */
  readonly opened: Pick<OpenModel, "model" | "params" | "tokenizer">;
  /** Answers read at once; 16 by default. */
  readonly batchSize?: number;
}

/**
 * The score that a sequence-classification checkpoint gives at the last token of prompt and answer, under its own
 * tokenizer and chat template.
 */
export function modelReward({ opened, batchSize = 16 }: ModelRewardOptions): RewardFunction {
  const { model, params, tokenizer } = opened;
  const score = jit((
    p: DecoderParams,
    stream: TokenStream,
    lasts: Tensor,
    rotary: RotaryTables,
  ) => classify(p as ClassifierParams, model.hidden(p, stream, { rotary }).gather(lasts)), {
    name: "the reward model",
  });
  return async ({ prompts, completions }) => {
    const ids = prompts.map((prompt, i) => {
      const text = joined(tokenizer, prompt, completions[i]!);
      return Int32Array.from(tokenizer.encode(text, { addSpecialTokens: false }));
    });
    const empty = ids.findIndex((list) => list.length === 0);
    if (empty >= 0) throw new UserError(`Prompt and answer ${empty + 1} have no tokens to score.`);
    const rewards: number[] = [];
    for (let start = 0; start < ids.length; start += batchSize) {
      const batch = ids.slice(start, start + batchSize);
      const longest = bucketLength(Math.max(...batch.map((list) => list.length)));
      const scores = await scope(async () => {
        const arrays = buildStream(batch.map((list) => ({ ids: list })));
        let end = 0;
        const lasts = batch.map((list) => (end += list.length) - 1);
        const stream = {
          ids: tensor(arrays.ids),
          segments: tensor(arrays.segments, { shape: [5, arrays.length] }),
        };
        const places = tensor(Int32Array.from(lasts));
        return await score(params, stream, places, model.tables(longest)).data();
      });
      rewards.push(...scores);
    }
    return rewards;
  };
}

function joined(
  tokenizer: OpenModel["tokenizer"],
  prompt: RewardText,
  completion: RewardText,
): string {
  if (typeof prompt === "string" && typeof completion === "string") return prompt + completion;
  const messages = (text: RewardText): readonly Message[] =>
    typeof text === "string" ? [{ role: "user", content: text }] : text;
  return renderChat(tokenizer, [...messages(prompt), ...messages(completion)]);
}
