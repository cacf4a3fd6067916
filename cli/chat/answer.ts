/** One answer: tokens sampled, and their text handed on as it comes. @module */

import { currentDevice, UserError } from "../../core/mod.ts";
import { type FinishReason, type Generator, generator } from "../../nn/mod.ts";
import type { GenerationModel } from "../../train/generation/open.ts";
import { generateOptions } from "../../train/generation/completions.ts";
import type { GenerationSettings } from "../../train/generation/settings.ts";
import { textStream, withoutEnd } from "../../train/generation/text_stream.ts";

/** What to answer, and how. */
export interface AnswerRequest {
  /** Token ids of the conversation up to where the answer begins. */
  readonly promptIds: readonly number[];
  /** How tokens are chosen. */
  readonly settings: GenerationSettings;
  /** Of the draws. */
  readonly seed: number;
  /** Ends the answer early. */
  readonly signal?: AbortSignal;
  /** Takes the text, bit by bit. */
  readonly write: (text: string) => void;
  /** What to do about a prompt that is too long, as a sentence. */
  readonly remedy: string;
}

/** How an answer ended: with an EOS token or a stop string, at `max_new_tokens`, where the model's positions end, or stopped. */
export type AnswerEnd = FinishReason | "positions" | "stopped";

/** What was answered. */
export interface Answer {
  /** All that was written. */
  readonly text: string;
  /** Tokens, the one that ended it included. */
  readonly tokens: number;
  /** How it ended. */
  readonly end: AnswerEnd;
  /** Seconds until the first token. */
  readonly firstSeconds: number;
  /** Seconds in all. */
  readonly seconds: number;
}

/** Answers a prompt. @throws {UserError} if the prompt is empty, or leaves no position for an answer. */
export type Answerer = (request: AnswerRequest) => Promise<Answer>;

/** Waiting for a GPU costs about 11 ms however little it computes, so tokens are fetched in fours there. */
const GPU_STEPS_PER_READ = 4;

/** Makes an answerer, which compiles anew only when settings of the sampler change. */
export function answerer({ model, params, tokenizer }: GenerationModel): Answerer {
  const positions = model.config.maxPositions;
  const stepsPerRead = currentDevice().kind === "cpu" ? 1 : GPU_STEPS_PER_READ;
  let compiled: { readonly key: string; readonly generate: Generator } | undefined;

  const generatorFor = (settings: GenerationSettings): Generator => {
    const maxNewTokens = Math.min(settings.values.max_new_tokens, positions);
    const options = { ...generateOptions(settings, maxNewTokens), stepsPerRead };
    const key = JSON.stringify([options, settings.values.stop_strings]);
    if (compiled?.key !== key) compiled = { key, generate: generator(model, options) };
    return compiled.generate;
  };

  return async ({ promptIds, settings, seed, signal, write, remedy }) => {
    if (promptIds.length === 0) {
      throw new UserError(
        `There is nothing to answer: the tokenizer in ${tokenizer.directory} has no tokens for anything that was said. ` +
          "Use words or characters of its vocabulary.",
      );
    }
    const room = positions - promptIds.length;
    if (room < 1) {
      throw new UserError(
        `The conversation has ${promptIds.length} tokens, and the model was made for ${positions} ` +
          `positions (max_position_embeddings), which leaves none for an answer. ${remedy}`,
      );
    }
    const generate = generatorFor(settings);
    const began = performance.now();
    const elapsed = () => (performance.now() - began) / 1000;
    const stream = textStream(tokenizer);
    let [text, tokens, firstSeconds] = ["", 0, 0];
    let end: AnswerEnd = "stopped";
    const give = (fresh: string) => {
      if (fresh === "") return;
      text += fresh;
      write(fresh);
    };
    const call = { seed, eosTokenIds: [settings.eosTokenIds] };
    for await (const block of generate.stream(params, [promptIds], call)) {
      if (tokens === 0) firstSeconds = elapsed();
      const fitting = block.tokens.slice(0, room - tokens);
      const finished = fitting.length === block.tokens.length ? block.finished : null;
      tokens += fitting.length;
      give(stream.push(withoutEnd(tokenizer, fitting, finished ?? "")));
      if (finished !== null || tokens === room) {
        end = finished ?? "positions";
        break;
      }
      if (signal?.aborted) break;
    }
    give(stream.end());
    return { text, tokens, end, firstSeconds, seconds: elapsed() };
  };
}
