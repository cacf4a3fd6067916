/** From rows to prompts that the model is to answer, as TRL's online trainers take them. @module */

import { UserError } from "../../core/errors.ts";
import { type Message, renderChat } from "../chat/chat_template.ts";
import { chatExtras, type DatasetRow } from "./formats.ts";
import { lastTokens } from "./preference_tokens.ts";
import { mapRows, type Progress } from "./prepared.ts";
import { firstRow, inRow, isMessageList, kindOf } from "./row_values.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** A prompt, and what reward functions see of its row. */
export interface PromptExample {
  /** The number, from 0, of the data set's row. */
  readonly row: number;
  /** As it stands in the row. */
  readonly prompt: string | readonly Message[];
  /** Token ids. */
  readonly promptIds: readonly number[];
  /** The other columns. */
  readonly columns: Readonly<Record<string, unknown>>;
}

/** Options of {@link preparePrompts}. */
export interface PreparePromptsOptions {
  /** Told how far it is. */
  readonly progress?: Progress;
  /** Further variables of the chat template; those of a row win. */
  readonly templateVariables?: Readonly<Record<string, unknown>>;
  /** Tokens of a prompt at most, the last ones of it, as older versions of TRL cut prompts; null for no limit. */
  readonly maxPromptLength?: number | null;
  /** Positions the model was made for, and the most tokens of an answer: together they limit prompts. */
  readonly room?: { readonly positions: number; readonly answer: number };
}

/** Prompts, and one line about them for people. */
export interface PreparedPrompts {
  /** In the order of the rows. */
  readonly examples: readonly PromptExample[];
  /** One line. */
  readonly description: string;
}

/**
 * Token ids of the column `prompt`: a text, with what the tokenizer puts around texts, or messages, up to where the
 * answer begins.
 *
 * @throws {UserError} on rows without a prompt, empty prompts, or ones that leave no room for an answer
 */
export function preparePrompts(
  rows: readonly DatasetRow[],
  tokenizer: Tokenizer,
  options: PreparePromptsOptions = {},
): PreparedPrompts {
  firstRow(rows);
  const { positions, answer } = options.room ?? { positions: Infinity, answer: 0 };
  const examples = mapRows(rows, (stored, row) =>
    inRow(row, (): PromptExample => {
      const { prompt, ...columns } = stored;
      if (typeof prompt !== "string" && !isMessageList(prompt)) {
        throw new UserError(
          `The column "prompt" is ${
            kindOf(prompt)
          }; expected a text or a list of messages for the model to answer. ` +
            `The row's columns are ${Object.keys(stored).join(", ")}.`,
        );
      }
      const whole = tokensOf(prompt, stored, row, tokenizer, options);
      const promptIds = lastTokens(whole, options.maxPromptLength ?? null);
      if (promptIds.length === 0) throw new UserError("The prompt has no tokens.");
      const { length } = promptIds;
      if (length + answer > positions) {
        const left = positions - length;
        throw new UserError(
          `The prompt has ${length} tokens and an answer up to ${answer}, but the model was made for ${positions} ` +
            `positions. ${
              left > 0 ? `Let answers have at most ${left} tokens, or shorten` : "Shorten"
            } or remove ` +
            "the row.",
        );
      }
      return { row, prompt, promptIds, columns };
    }), options.progress);
  const longest = examples.reduce((most, { promptIds }) => Math.max(most, promptIds.length), 0);
  return { examples, description: `${examples.length} prompts, the longest of ${longest} tokens` };
}

function tokensOf(
  prompt: string | readonly Message[],
  stored: DatasetRow,
  row: number,
  tokenizer: Tokenizer,
  { templateVariables }: PreparePromptsOptions,
): number[] {
  if (typeof prompt === "string") return tokenizer.encode(prompt);
  const { tools, variables } = chatExtras(stored, row);
  const text = renderChat(tokenizer, prompt, {
    addGenerationPrompt: true,
    tools,
    variables: { ...templateVariables, ...variables },
  });
  return tokenizer.encode(text, { addSpecialTokens: false });
}
