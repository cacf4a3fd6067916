/**
 * Prompts and answers to token ids, in the two ways TRL 1.13 has: its stable trainers (and TPO) let
 * the tokenizer put special tokens around texts and the answer begin where the prompt alone would
 * end; BCO, ORPO and CPO encode without special tokens, move the border where tokens merge over it,
 * and add them by id.
 *
 * @module
 */

import { UserError } from "../../core/errors.ts";
import { tokenizeChat } from "../chat/chat_template.ts";
import type { Content } from "./conversions.ts";
import type { ChatExtras } from "./formats.ts";
import type { TruncationMode } from "./prepare_sft.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** A prompt and an answer to it, in tokens. */
export interface PromptedCompletion {
  /** The prompt's token ids; perhaps none. */
  readonly promptIds: Int32Array;
  /** The answer's; perhaps none, where truncation took them. */
  readonly completionIds: Int32Array;
}

/** What {@link tokenizePrompted} makes: one prompt, several answers. */
export interface TokenizedAnswers {
  /** The prompt's token ids. */
  readonly promptIds: readonly number[];
  /** The answers' token ids. */
  readonly completions: readonly (readonly number[])[];
  /** Whether the tokens of prompt and answer do not begin with those of the prompt. */
  readonly promptMismatch: boolean;
}

/**
 * Token ids of a prompt and its answers (DPO, KTO, TPO). An answer is what the tokens of prompt and
 * answer together have beyond the *number* of tokens of the prompt. Texts end with the end-of-sequence
 * token, conversations as their template has it.
 *
 * @throws {UserError} if the tokenizer lacks an end-of-sequence token or a template, or that fails
 */
export function tokenizePrompted(
  tokenizer: Tokenizer,
  prompt: Content,
  answers: readonly Content[],
  chat: ChatExtras,
): TokenizedAnswers {
  const encode = (content: Content, addGenerationPrompt = false) =>
    typeof content === "string"
      ? tokenizer.encode(content)
      : tokenizeChat(tokenizer, content, { ...chat, addGenerationPrompt }).inputIds;
  const promptIds = encode(prompt, true);
  const wholes = answers.map((answer) =>
    encode(joinContents(prompt, typeof answer === "string" ? closed(tokenizer, answer) : answer))
  );
  return {
    promptIds,
    completions: wholes.map((ids) => ids.slice(promptIds.length)),
    promptMismatch: wholes.some((ids) => promptIds.some((id, i) => id !== ids[i])),
  };
}

/** Two texts, or two lists of messages, as one. */
export function joinContents(start: Content, end: Content): Content {
  if (typeof start === "string" && typeof end === "string") return start + end;
  if (typeof start !== "string" && typeof end !== "string") return [...start, ...end];
  throw new UserError("A row has both texts and messages: expected the one or the other.");
}

/** A text with the end-of-sequence token behind it. @throws {UserError} if there is no such token */
export function closed(tokenizer: Tokenizer, text: string): string {
  const { eosToken } = tokenizer;
  if (eosToken === undefined) throw noEndOfSequence(tokenizer);
  return text.endsWith(eosToken) ? text : text + eosToken;
}

/** The id of the end-of-sequence token. @throws {UserError} if there is none */
export function endOfSequence(tokenizer: Tokenizer): number {
  const { eosTokenId } = tokenizer;
  if (eosTokenId === undefined) throw noEndOfSequence(tokenizer);
  return eosTokenId;
}

function noEndOfSequence(tokenizer: Tokenizer): UserError {
  return new UserError(
    `The tokenizer in ${tokenizer.directory} has no end-of-sequence token to put after answers: ` +
      `name one with --eos_token.`,
  );
}

/** A prompt and an answer as one encoding has them. */
export interface MergedAnswer {
  /** The prompt's token ids. */
  readonly promptIds: readonly number[];
  /** The answer's. */
  readonly completionIds: readonly number[];
}

/**
 * Token ids of a prompt and an answer without special tokens (BCO, ORPO, CPO). Where the last token
 * of the prompt merges with the answer, it belongs to the answer.
 *
 * @throws {UserError} if prompt and answer together have fewer tokens than the prompt
 */
export function tokenizeMerged(tokenizer: Tokenizer, prompt: string, answer: string): MergedAnswer {
  const alone = tokenizer.encode(prompt, { addSpecialTokens: false });
  const whole = tokenizer.encode(prompt + answer, { addSpecialTokens: false });
  if (whole.length < alone.length) {
    throw new UserError(
      `The prompt alone has ${alone.length} tokens, but prompt and answer together only ` +
        `${whole.length}: the tokenizer merges them over the border so that no answer is left. ` +
        `Move the text at the border to one side, or remove the row.`,
    );
  }
  const merges = alone.some((id, i) => id !== whole[i]);
  const border = merges ? alone.length - 1 : alone.length;
  return { promptIds: whole.slice(0, border), completionIds: whole.slice(border) };
}

/** A prompt with the beginning-of-sequence token, if the tokenizer has one and it is not there. */
export function withBeginning(
  tokenizer: Tokenizer,
  promptIds: readonly number[],
): readonly number[] {
  const { bosTokenId } = tokenizer;
  return bosTokenId === undefined || promptIds[0] === bosTokenId
    ? promptIds
    : [bosTokenId, ...promptIds];
}

/** An answer with the end-of-sequence token, if it is not there. @throws {UserError} if there is none */
export function withEnd(tokenizer: Tokenizer, ids: readonly number[]): readonly number[] {
  const end = endOfSequence(tokenizer);
  return ids.at(-1) === end ? ids : [...ids, end];
}

/** A prompt's last tokens; the same array where there are no more. */
export function lastTokens<T extends Int32Array | readonly number[]>(
  ids: T,
  most: number | null,
): T {
  return most === null || ids.length <= most ? ids : ids.slice(-most) as T;
}

/**
 * Prompt and answer cut together to `maxLength` tokens; null for no limit. An untouched prompt stays
 * the same array, so that answers still share it.
 *
 * @throws {UserError} on an unknown mode
 */
export function truncatePrompted(
  whole: PromptedCompletion,
  maxLength: number | null,
  mode: TruncationMode = "keep_start",
): PromptedCompletion {
  if (mode !== "keep_start" && mode !== "keep_end") {
    throw new UserError(`truncation_mode is "${mode}": expected keep_start or keep_end.`);
  }
  const { promptIds, completionIds } = whole;
  const excess = promptIds.length + completionIds.length - (maxLength ?? Infinity);
  if (excess <= 0) return whole;
  if (mode === "keep_end") {
    return {
      promptIds: promptIds.slice(Math.min(excess, promptIds.length)),
      completionIds: completionIds.slice(Math.max(excess - promptIds.length, 0)),
    };
  }
  const left = completionIds.length - excess;
  return {
    promptIds: left < 0 ? promptIds.slice(0, promptIds.length + left) : promptIds,
    completionIds: completionIds.slice(0, Math.max(left, 0)),
  };
}
