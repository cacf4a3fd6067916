/** From flags to how prompts are answered: what all online commands share. @module */

import { UserError } from "../../core/mod.ts";
import { preparePrompts, type PromptExample } from "../../data/prepare_prompts.ts";
import {
  type ConfiguredGeneration,
  generationOptions,
  type SamplingOptions,
} from "../../nn/mod.ts";
import type { AnsweringOptions } from "../../train/answers.ts";
import { copied } from "../../train/following.ts";
import { type OpenModel, openModel, trainableOf } from "../../train/model_directory.ts";
import type { OnlineReference } from "../../train/online.ts";
import type { PreparedExamples } from "../finetune.ts";
import type { PrepareContext } from "../preparing.ts";
import type { Row } from "../../data/readers.ts";
import { type JudgeValues, openJudges } from "./judges.ts";

/** Flags of sampling. */
export interface SamplingValues {
  readonly temperature: number;
  readonly top_p: number;
  readonly top_k: number;
  readonly min_p: number | undefined;
  readonly repetition_penalty: number;
  readonly generation_kwargs: Readonly<Record<string, unknown>> | undefined;
}

/** How tokens are drawn. */
export function samplingOf(values: SamplingValues): SamplingOptions {
  const further: ConfiguredGeneration = generationOptions(values.generation_kwargs ?? {});
  if (further.doSample === false) {
    throw new UserError(
      "--generation_kwargs turns do_sample off, but all answers to a prompt would then be the same. Leave it out.",
    );
  }
  return {
    doSample: true,
    temperature: values.temperature,
    topP: values.top_p,
    topK: values.top_k,
    ...(values.min_p === undefined ? {} : { minP: values.min_p }),
    repetitionPenalty: values.repetition_penalty,
    ...further,
  };
}

/** Tokens that end an answer: the tokenizer's, and those of `generation_config.json`. */
export function endingTokens({ tokenizer, generationConfig }: OpenModel): number[] {
  const configured = generationOptions(generationConfig ?? {}).eosTokenIds ?? [];
  const own = tokenizer.eosTokenId;
  const all = [...new Set([...(own === undefined ? [] : [own]), ...configured])];
  if (all.length > 0) return all;
  throw new UserError(
    `The tokenizer in ${tokenizer.directory} has no end-of-sequence token, so no answer would ever end: name one ` +
      "with --eos_token.",
  );
}

/** Prompts that leave room for an answer. */
export function promptsOf(
  rows: readonly Row[],
  { tokenizer, positions, values, progress }: PrepareContext<
    { readonly chat_template_kwargs: Readonly<Record<string, unknown>> | undefined }
  >,
  maxCompletionLength: number,
): PreparedExamples<PromptExample> {
  return preparePrompts(rows, tokenizer, {
    ...(values.chat_template_kwargs ? { templateVariables: values.chat_template_kwargs } : {}),
    room: { positions, answer: maxCompletionLength },
    progress,
  });
}

/** A prompt for people. */
export function describePrompt(
  { promptIds }: PromptExample,
  tokenizer: OpenModel["tokenizer"],
): string {
  return `${promptIds.length} tokens: ${tokenizer.decode(promptIds)}`;
}

type Notice = (text: string) => void;

/** How prompts are answered, and what judges the answers. */
export async function answeringOf(
  values: SamplingValues & JudgeValues & { readonly reward_weights: readonly number[] | undefined },
  { opened, examples, maxCompletionLength, evaluation, notice }: {
    readonly opened: OpenModel;
    readonly examples: readonly PromptExample[];
    readonly maxCompletionLength: number;
    readonly evaluation: boolean;
    /** Told what a user should know of the judges' files. */
    readonly notice?: Notice | undefined;
  },
): Promise<AnsweringOptions> {
  return {
    model: opened.model,
    tokenizer: opened.tokenizer,
    examples,
    rewards: await openJudges(values, { maxCompletionLength, notice }),
    rewardWeights: values.reward_weights,
    sampling: samplingOf(values),
    maxCompletionLength,
    eosTokenIds: endingTokens(opened),
    // Evaluation draws other numbers than training.
    seed: evaluation ? values.seed + 1 : values.seed,
  };
}

/** Flags of the reference. */
export interface ReferenceValues {
  readonly ref_model_name_or_path?: string | undefined;
  readonly sync_ref_model?: boolean;
  readonly ref_model_mixup_alpha?: number;
  readonly ref_model_sync_steps?: number;
  readonly use_peft: boolean;
  readonly seed: number;
}

/** The reference model: another checkpoint, one that follows the policy, or the policy as it begins. */
export async function onlineReference(
  opened: OpenModel,
  values: ReferenceValues,
  notice?: Notice,
): Promise<OnlineReference> {
  const { ref_model_name_or_path: directory, sync_ref_model: follows = false } = values;
  if (follows && (directory !== undefined || values.use_peft)) {
    throw new UserError(
      "--sync_ref_model lets the reference follow the policy's weights: it goes neither with --ref_model_name_or_path, " +
        "another model, nor with --use_peft, where the reference is the model without its adapter.",
    );
  }
  if (directory !== undefined) {
    const other = await openModel({ directory, seed: values.seed, notice });
    if (other.model.config.vocabularySize !== opened.model.config.vocabularySize) {
      throw new UserError(
        `The reference in ${directory} has a vocabulary of ${other.model.config.vocabularySize} tokens, the policy ` +
          `one of ${opened.model.config.vocabularySize}. They have to be the same.`,
      );
    }
    return { kind: "fixed", params: other.params, model: other.model };
  }
  if (follows) {
    return {
      kind: "following",
      following: {
        params: await copied(opened.reference, trainableOf(opened)),
        every: values.ref_model_sync_steps ?? 512,
        mixup: values.ref_model_mixup_alpha ?? 0.6,
      },
    };
  }
  return { kind: "fixed", params: await copied(opened.reference, trainableOf(opened)) };
}
