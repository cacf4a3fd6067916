/** A language model in memory, and what a script does with it. @module */

import { leavesOf, realize, Tensor, UserError } from "../../core/mod.ts";
import { writeFilesAtomically } from "../../data/files/atomic.ts";
import type { Message } from "../../data/chat/chat_template.ts";
import { tokenizePrompted } from "../../data/prepare/preference_tokens.ts";
import type { Row } from "../../data/readers/dataset.ts";
import { mergeAdapters } from "../../nn/mod.ts";
import type { OpenModel } from "../files/model_directory.ts";
import type { SavedDtype } from "../files/model_files.ts";
import type { ModelInMemory } from "../files/take_over.ts";
import type { TrainerState } from "../files/trainer_state.ts";
import { writeModel } from "../files/write_model.ts";
import { completeInBatches } from "../generation/completions.ts";
import { promptsOf } from "../generation/prompts.ts";
import { resolveSettings } from "../generation/settings.ts";
import { generateOptions } from "../settings/generate.ts";
import { referenceFor } from "../tasks/completion_task.ts";
import type { GenerationOptions } from "./options/generation.ts";
import { settingsOf } from "./settings_of.ts";

/** A prompt: a text, or a conversation to go on with. */
export type Prompt = string | readonly Message[];

/** A prompt and an answer to it, both texts or both conversations. */
export interface PromptedText {
  /** The prompt. */
  readonly prompt: Prompt;
  /** The answer, in the form the prompt has: a text, or the messages of it. */
  readonly completion: Prompt;
}

/** An answer in tokens. */
export interface ScoredCompletion {
  /** Token ids, as the recipes for preferences take them. */
  readonly ids: Int32Array;
  /** The log-prob of each, in nats. */
  readonly logProbs: Float32Array;
}

/** What a model comes from. */
export interface ModelOrigin extends ModelInMemory {
  /** The history of the run that trained it. */
  readonly state?: TrainerState | undefined;
  /** Whether that run was stopped before its last step. */
  readonly interrupted?: boolean;
  /** Told what a user should know. */
  readonly notice?: ((text: string) => void) | undefined;
}

/**
 * A language model in memory. Its weights are freed by `dispose` or `using`, or pass to the run that it is given to.
 */
export class LanguageModel implements Disposable {
  /** Where it was read from, or written to. */
  readonly directory: string;
  /** The history of the run that trained it, as `trainer_state.json` has it; undefined for one that was opened. */
  readonly state: TrainerState | undefined;
  /** Whether the run that trained it was stopped before its last step. */
  readonly interrupted: boolean;
  /** What is in memory, or why it is there no longer. */
  #weights: ModelInMemory | string;
  readonly #notice: (text: string) => void;

  /** Takes what was opened or trained; {@linkcode loadModel} and the recipes call it. */
  constructor(origin: ModelOrigin) {
    this.directory = origin.directory;
    this.state = origin.state;
    this.interrupted = origin.interrupted ?? false;
    this.#weights = origin;
    this.#notice = origin.notice ?? (() => {});
  }

  /**
   * What the layers below work with: architecture, tokenizer, config, parameters.
   *
   * @throws {UserError} if the weights are in memory no longer
   */
  get opened(): OpenModel {
    const { opened, params } = this.#inMemory();
    return { ...opened, params };
  }

  /**
   * Completes prompts; what no option says, the checkpoint's `generation_config.json` does.
   *
   * @returns One text for each prompt, or `numReturnSequences` of them one after the other.
   * @throws {UserError} on a bad option, or a prompt that is empty or too long
   */
  async generate(
    prompts: Prompt | readonly Prompt[],
    options: GenerationOptions = {},
  ): Promise<string[]> {
    const rows = listed(prompts).map((prompt): Row => ({ prompt }));
    if (rows.length === 0) return [];
    const { opened, params } = this.#inMemory();
    const { values, given, notices } = settingsOf(
      { ...options, prompts: "a script's", model: this.directory },
      generateOptions,
    );
    const settings = resolveSettings(values, given, opened);
    for (const text of [...notices, ...settings.notices]) this.#notice(text);
    const { tokenizer, model } = opened;
    const batches = completeInBatches(
      { ...opened, params },
      promptsOf(rows, tokenizer, model.config.maxPositions),
      {
        settings,
        batchSize: values.batch_size,
        seed: values.seed,
      },
    );
    const texts: string[] = [];
    for await (const batch of batches) {
      texts.push(...batch.rows.map(({ completion }) => textOf(completion)));
    }
    return texts;
  }

  /** The assistant's answer to a conversation. @throws {UserError} as {@linkcode generate} */
  async chat(messages: readonly Message[], options: GenerationOptions = {}): Promise<Message> {
    const [content] = await this.generate([messages], options);
    return { role: "assistant", content: content! };
  }

  /**
   * Log-probs of answers, token by token.
   *
   * @throws {UserError} if the tokenizer lacks an end-of-sequence token or a template
   */
  async logProbs(
    rows: readonly PromptedText[],
    { batchSize = 8 }: { readonly batchSize?: number } = {},
  ): Promise<ScoredCompletion[]> {
    const { opened, params } = this.#inMemory();
    const examples = rows.map(({ prompt, completion }) => {
      const { promptIds, completions: [ids] } = tokenizePrompted(
        opened.tokenizer,
        prompt,
        [completion],
        { tools: null, variables: {} },
      );
      return { promptIds: Int32Array.from(promptIds), completionIds: Int32Array.from(ids!) };
    });
    const scored = await referenceFor({
      model: opened.model,
      examples,
      answers: (example) => [example],
      row: (example) => examples.indexOf(example),
    }, { params, batchSize });
    return examples.map(({ completionIds }, i) => ({
      ids: completionIds,
      logProbs: scored.get(i)![0]!,
    }));
  }

  /** Writes the model as transformers would, or its adapter as PEFT would. */
  async save(
    directory: string,
    { dtype }: { readonly dtype?: SavedDtype | "auto" } = {},
  ): Promise<void> {
    const { opened, params } = this.#inMemory();
    await Deno.mkdir(directory, { recursive: true });
    await writeFilesAtomically(
      directory,
      (temporary) => writeModel(temporary, opened, params, { dtype, notice: this.#notice }),
    );
  }

  /**
   * A model without adapter, into whose weights it is folded. This one's weights pass to it.
   *
   * @throws {UserError} if there is no adapter
   */
  async merge(): Promise<LanguageModel> {
    const { opened, params } = this.#inMemory();
    if (!opened.adapter) {
      throw new UserError(`The model in ${this.directory} has no adapter to be merged.`);
    }
    const merged = await realize(mergeAdapters(params));
    this.#weights = "its adapter was merged, into a model of its own";
    return new LanguageModel({
      opened: { ...opened, adapter: null, params: merged, reference: merged },
      params: merged,
      directory: this.directory,
      state: this.state,
      notice: this.#notice,
    });
  }

  /**
   * Hands the weights over to a run, which will change them.
   *
   * @throws {UserError} if they are in memory no longer
   */
  handOver(to: string): ModelInMemory {
    const weights = this.#inMemory();
    this.#weights = `a run of ${to} went on with its weights`;
    return weights;
  }

  /** Frees the weights. */
  dispose(): void {
    if (typeof this.#weights === "string") return;
    const { params } = this.#weights;
    this.#weights = "it was disposed of";
    for (const [, leaf] of leavesOf(params)) if (leaf instanceof Tensor) leaf.dispose();
  }

  /** Frees the weights. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  #inMemory(): ModelInMemory {
    if (typeof this.#weights !== "string") return this.#weights;
    throw new UserError(
      `The model of ${this.directory} is in memory no longer: ${this.#weights}. Its files are there: ` +
        `loadModel(${JSON.stringify(this.directory)}) opens them.`,
    );
  }
}

function listed(prompts: Prompt | readonly Prompt[]): readonly Prompt[] {
  if (typeof prompts === "string") return [prompts];
  const isConversation = prompts.length > 0 &&
    prompts.every((item) => typeof item === "object" && !Array.isArray(item));
  // A list of messages is one conversation, and a list of anything else is one of prompts.
  return isConversation ? [prompts as readonly Message[]] : prompts as readonly Prompt[];
}

function textOf(completion: unknown): string {
  if (typeof completion === "string") return completion;
  return (completion as readonly Message[]).map(({ content }) => String(content)).join("");
}
