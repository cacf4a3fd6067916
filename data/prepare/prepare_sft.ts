/** From rows to tokens and labels, step by step as TRL 1.13's `SFTTrainer` prepares a data set. */

import { UserError } from "../../core/errors.ts";
import { plainJson } from "../../core/terminal.ts";
import {
  chatTemplateOf,
  renderChat,
  requireGenerationMarkers,
  tokenizeChat,
  tokenizeChatWithMask,
} from "../chat/chat_template.ts";
import {
  type DatasetRow,
  detectSftFormat,
  normalizeSftRow,
  type SftFormat,
  type SftRow,
} from "./formats.ts";
import { numpyPermutation } from "../batches/numpy_random.ts";
import { type Example, packExamples, type PackingStrategy } from "../batches/packing.ts";
import { mapRows, type Progress } from "./prepared.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** The label of a token that the loss ignores. */
export const IGNORED: number = -100;

/** Which end of a row that is too long stays. */
export type TruncationMode = "keep_start" | "keep_end";

/** Options of `prepareSft`, named after TRL's flags. */
export interface PrepareSftOptions {
  /** The column of plain texts. Default `"text"`. */
  readonly datasetTextField?: string;
  /** Tokens in a row at most; null for no limit. Default 1024. */
  readonly maxLength?: number | null;
  /** Which end of a longer row stays. Default `"keep_start"`. Packing has rules of its own. */
  readonly truncationMode?: TruncationMode;
  /** Put several documents into one row. Default false. */
  readonly packing?: boolean;
  /** How to pack. Default `"bfd"`. */
  readonly packingStrategy?: PackingStrategy;
  /**
   * Whether the loss is on completions alone. Unset: true exactly if the rows have a prompt and a
   * completion. For evaluation rows pass what `resolveCompletionOnlyLoss` says of the training rows.
   */
  readonly completionOnlyLoss?: boolean | undefined;
  /** Whether the loss is on what the assistant says alone. Default false. */
  readonly assistantOnlyLoss?: boolean;
  /** Shuffle the rows once, with this seed (`shuffle_dataset` and `seed`); unset for no shuffling. */
  readonly shuffleSeed?: number | undefined;
  /** Gets each warning, at most once per kind. */
  readonly warn?: (message: string) => void;
  /** Told how far it is. */
  readonly progress?: Progress;
}

/** What `prepareSft` makes. */
export interface PreparedSft {
  /** Token ids and labels. */
  readonly examples: readonly Example[];
  /** How the rows were read. */
  readonly format: SftFormat;
  /** Rows left out, because truncation left no label in them. */
  readonly dropped: number;
}

/**
 * What an unset `completion_only_loss` means for these training rows: true exactly if they have a
 * prompt and a completion.
 */
export function resolveCompletionOnlyLoss(
  rows: readonly DatasetRow[],
  option: boolean | undefined,
): boolean {
  if (option !== undefined) return option;
  const first = rows[0] ?? {};
  if (first["prompt"] !== undefined && first["completion"] !== undefined) return true;
  // Alpaca rows are prompts and completions under other names; TRL does not know them.
  return first["instruction"] !== undefined && first["output"] !== undefined &&
    first["text"] === undefined && first["messages"] === undefined &&
    first["input_ids"] === undefined;
}

/**
 * Tokens and labels of a data set.
 *
 * In order: the rows are brought to one form; the end-of-sequence token is put after texts and
 * completions that lack it (never after conversations, whose template decides); they are tokenized
 * and their masks become labels (both masks: their intersection); then either rows are cut to
 * `maxLength` and those left without a label dropped, or they are packed.
 *
 * @throws {UserError} on rows in no known form, options that do not fit them, or if nothing is left
 */
export function prepareSft(
  rows: readonly DatasetRow[],
  tokenizer: Tokenizer,
  options: PrepareSftOptions = {},
): PreparedSft {
  const { maxLength = 1024, packing = false, shuffleSeed } = options;
  const warn = warnOnce(options.warn ?? (() => {}));
  if (rows.length === 0) {
    throw new UserError("The data set has no rows: there is nothing to train or evaluate on.");
  }
  if (maxLength !== null && (!Number.isInteger(maxLength) || maxLength < 1)) {
    throw new UserError(`max_length is ${maxLength}: expected a positive integer or none.`);
  }
  const format = detectSftFormat(rows[0]!, options.datasetTextField);
  const completionOnlyLoss = resolveCompletionOnlyLoss(rows, options.completionOnlyLoss);
  checkOptions(rows, tokenizer, format, { ...options, completionOnlyLoss }, warn);

  let mismatches = 0;
  const documents = mapRows(rows, (row, index) => {
    const normalized = normalizeSftRow(row, format, index);
    const tokenized = tokenize(
      withEndOfSequence(normalized, format, tokenizer),
      tokenizer,
      options.assistantOnlyLoss ?? false,
      index,
    );
    if (tokenized.promptMismatch) mismatches++;
    return buildExample(tokenized, completionOnlyLoss, index);
  }, options.progress);
  if (mismatches > 0) {
    warn(
      `Mismatch between the tokenized prompt and the start of the tokenized prompt with its ` +
        `completion in ${mismatches} of ${rows.length} rows: tokens at the border belong to both, ` +
        `or the chat template writes the prompt differently. Labels start where the prompt alone ` +
        `would end.`,
    );
  }

  if (packing) {
    if (maxLength === null) {
      throw new UserError("packing needs a max_length: without one, all rows would become one.");
    }
    const packed = packExamples(shuffled(documents, shuffleSeed), {
      maxLength,
      ...(options.packingStrategy && { strategy: options.packingStrategy }),
    });
    return { examples: shuffled(packed, shuffleSeed), format, dropped: 0 };
  }
  const kept = maxLength === null ? documents : documents
    .map((document) => truncate(document, maxLength, options.truncationMode ?? "keep_start"))
    .filter(({ labels }) => labels.some((label) => label !== IGNORED));
  if (kept.length === 0) {
    throw new UserError(
      `No row of the data set has a token to learn within max_length = ${maxLength}: the prompts ` +
        `alone fill it. Give a larger --max_length, or --truncation_mode keep_end.`,
    );
  }
  return {
    examples: shuffled(kept, shuffleSeed),
    format,
    dropped: documents.length - kept.length,
  };
}

/** `datasets.Dataset.shuffle(seed)`. */
function shuffled(examples: readonly Example[], seed: number | undefined): readonly Example[] {
  if (seed === undefined) return examples;
  return Array.from(numpyPermutation(examples.length, seed), (index) => examples[index]!);
}

function warnOnce(warn: (message: string) => void): (message: string) => void {
  const said = new Set<string>();
  return (message) => {
    if (!said.has(message)) warn(message);
    said.add(message);
  };
}

function checkOptions(
  rows: readonly DatasetRow[],
  tokenizer: Tokenizer,
  format: SftFormat,
  options: PrepareSftOptions,
  warn: (message: string) => void,
): void {
  const conversational = format.kind === "messages" ||
    format.kind === "conversational prompt-completion";
  if (options.assistantOnlyLoss) {
    if (!conversational) {
      throw new UserError(
        `assistant_only_loss is set, but the rows are ${format.description}, not conversations: it ` +
          `needs "messages", or "prompt" and "completion" as lists of messages.`,
      );
    }
    requireGenerationMarkers(tokenizer, chatTemplateOf(tokenizer));
    if (!isStopTokenTrained(tokenizer)) {
      warn(
        "The chat template leaves the token that ends the assistant's turn outside " +
          "{% generation %}: the model may not learn to stop.",
      );
    }
  }
  if (format.kind === "text" && format.column !== "text") {
    warn(
      `No end-of-sequence token is added to the texts in "${format.column}": as in TRL, that is ` +
        `done only for a column named "text". End the texts with ${tokenizer.eosToken ?? "one"} ` +
        `if the model is to learn to stop.`,
    );
  }
  if (options.completionOnlyLoss && (format.kind === "text" || format.kind === "messages")) {
    warn(
      `completion_only_loss has no effect: the rows are ${format.description}, without a prompt ` +
        `and a completion. The loss is on every token.`,
    );
  }
  if (
    format.kind === "tokenized" && rows[0]!["completion_mask"] !== undefined &&
    rows[0]!["labels"] === undefined && !options.completionOnlyLoss
  ) {
    warn("The completion_mask of the rows is not used: set completion_only_loss to use it.");
  }
  if (format.source === "sharegpt" && plainJson(rows[0]).match(/"from":"(human|gpt)"/)) {
    warn(
      `The conversations call their speakers human and gpt. As in TRL these names reach the chat ` +
        `template unchanged; rename them to user and assistant if the template expects those.`,
    );
  }
}

/** Whether the last token of an answer that the loss sees ends the turn, as TRL probes it. */
function isStopTokenTrained(tokenizer: Tokenizer): boolean {
  const say = (role: string) => ({ role, content: "dummy" });
  try {
    const { inputIds, assistantMask } = tokenizeChatWithMask(
      tokenizer,
      [say("user"), say("assistant"), say("user")],
    );
    const last = inputIds.findLast((id, i) =>
      assistantMask[i] === 1 && tokenizer.decode([id]).trim() !== ""
    );
    return tokenizer.addedTokens.some((token) => token.id === last);
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

function withEndOfSequence(row: SftRow, format: SftFormat, tokenizer: Tokenizer): SftRow {
  const closed = (text: string) => {
    const { eosToken } = tokenizer;
    if (eosToken === undefined) {
      throw new UserError(
        `The tokenizer in ${tokenizer.directory} has no end-of-sequence token to put after texts: ` +
          `name one with --eos_token.`,
      );
    }
    return text.endsWith(eosToken) ? text : text + eosToken;
  };
  if (row.kind === "text" && format.column === "text") return { ...row, text: closed(row.text) };
  if (row.kind === "prompt-completion") return { ...row, completion: closed(row.completion) };
  return row;
}

interface TokenizedRow {
  readonly inputIds: readonly number[];
  readonly labels?: readonly number[];
  readonly completionMask?: ArrayLike<number>;
  readonly assistantMask?: ArrayLike<number>;
  readonly promptMismatch?: boolean;
}

function tokenize(
  row: SftRow,
  tokenizer: Tokenizer,
  assistantOnlyLoss: boolean,
  index: number,
): TokenizedRow {
  switch (row.kind) {
    case "tokenized":
      return { ...row, ...(row.assistantMasks && { assistantMask: row.assistantMasks }) };
    case "text":
      return { inputIds: tokenizer.encode(row.text) };
    case "prompt-completion": {
      const promptIds = tokenizer.encode(row.prompt);
      return afterPrompt(promptIds, { inputIds: tokenizer.encode(row.prompt + row.completion) });
    }
    case "messages":
    case "conversational prompt-completion": {
      const isPair = row.kind !== "messages";
      const messages = isPair ? [...row.prompt, ...row.completion] : row.messages;
      const whole = inRow(index, () => {
        if (!assistantOnlyLoss) return tokenizeChat(tokenizer, messages, row.chat);
        const masked = tokenizeChatWithMask(tokenizer, messages, row.chat);
        if (masked.assistantMask.includes(1)) return masked;
        throw new UserError(
          "assistant_only_loss is set, but the conversation has no token that the assistant says. " +
            "Either nobody in it has the role that the template marks with {% generation %}, or " +
            "the template marks nothing.",
        );
      });
      if (!isPair) return whole;
      const prompt = inRow(
        index,
        () => renderChat(tokenizer, row.prompt, { ...row.chat, addGenerationPrompt: true }),
      );
      return afterPrompt(tokenizer.encode(prompt, { addSpecialTokens: false }), whole);
    }
  }
}

function afterPrompt(promptIds: readonly number[], whole: TokenizedRow): TokenizedRow {
  const { inputIds } = whole;
  return {
    ...whole,
    completionMask: inputIds.map((_, i) => i < promptIds.length ? 0 : 1),
    promptMismatch: promptIds.some((id, i) => id !== inputIds[i]),
  };
}

function inRow<T>(index: number, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`Row ${index + 1} of the data set: ${error.message}`, { cause: error });
  }
}

function buildExample(row: TokenizedRow, completionOnlyLoss: boolean, index: number): Example {
  const { completionMask, assistantMask } = row;
  const inputIds = Int32Array.from(row.inputIds);
  const labels = row.labels !== undefined
    ? Int32Array.from(row.labels)
    : inputIds.map((id, i) =>
      (completionOnlyLoss && completionMask?.[i] === 0) || assistantMask?.[i] === 0 ? IGNORED : id
    );
  return { inputIds, labels, rows: [index] };
}

function truncate(example: Example, maxLength: number, mode: TruncationMode): Example {
  if (mode !== "keep_start" && mode !== "keep_end") {
    throw new UserError(`truncation_mode is "${mode}": expected keep_start or keep_end.`);
  }
  const length = example.inputIds.length;
  if (length <= maxLength) return example;
  const start = mode === "keep_start" ? 0 : length - maxLength;
  return {
    inputIds: example.inputIds.slice(start, start + maxLength),
    labels: example.labels.slice(start, start + maxLength),
    rows: example.rows,
  };
}
