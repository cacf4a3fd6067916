/** From flags to how prompts are answered: what all online commands share. @module */

import { UserError } from "../../../core/mod.ts";
import { preparePrompts, type PromptExample } from "../../../data/prepare/prepare_prompts.ts";
import { type ConfiguredGeneration, generationOptions, readGeneration } from "../../../nn/mod.ts";
import type { AnsweringOptions } from "../../sampling/answers.ts";
import { copied } from "../../tasks/following.ts";
import { type OpenModel, openModel, trainableOf } from "../../files/model_directory.ts";
import type { OnlineReference } from "../../tasks/online.ts";
import type { PreparedExamples } from "../recipe_spec.ts";
import type { PrepareContext } from "../preparing.ts";
import type { Row } from "../../../data/readers/dataset.ts";
import { constraintsOf } from "../../generation/settings.ts";
import { stopStrings } from "../../generation/stop_strings.ts";
import type { ConstraintValues } from "../../settings/constraints.ts";
import { type JudgeValues, openJudges } from "./judges.ts";

/** Flags of sampling. */
export interface SamplingValues extends ConstraintValues {
  readonly temperature: number;
  readonly top_p: number;
  readonly top_k: number;
  readonly min_p: number | undefined;
  readonly repetition_penalty: number;
  readonly generation_kwargs: Readonly<Record<string, unknown>> | undefined;
}

/** How tokens are drawn; `generation_kwargs` count before flags, as in TRL. */
export function samplingOf(values: SamplingValues): ConfiguredGeneration {
  const further = furtherSettings(values);
  return {
    doSample: true,
    temperature: values.temperature,
    topP: values.top_p,
    topK: values.top_k,
    ...(values.min_p === undefined ? {} : { minP: values.min_p }),
    repetitionPenalty: values.repetition_penalty,
    ...constraintsOf(values),
    ...further,
  };
}

/**
 * The settings of `generation_kwargs`.
 *
 * @throws {UserError} naming a key that answers to be compared cannot have, or that is not known.
 */
function furtherSettings({ generation_kwargs, temperature }: SamplingValues): ConfiguredGeneration {
  const { options, unavailable } = readGeneration(generation_kwargs ?? {}, "--generation_kwargs");
  const refuse = (name: string, because: string): never => {
    throw new UserError(`--generation_kwargs has ${name}: ${because}. Leave it out.`);
  };
  for (const { name, because } of unavailable) refuse(name, because);
  if (options.doSample === false) {
    refuse("do_sample", "without it all answers to a prompt would be the same");
  }
  if ((options.numBeams ?? 1) !== 1) {
    refuse("num_beams", "answers to be compared are drawn, and not searched for with beams");
  }
  if (options.temperature !== undefined && options.temperature !== temperature) {
    refuse(
      "temperature",
      "log-probs would be taken at another temperature than answers are drawn at; give --temperature, which is for both",
    );
  }
  if (options.numReturnSequences !== undefined) {
    refuse("num_return_sequences", "how many answers a prompt has is an option of the command");
  }
  return options;
}

/** Lines about settings that change nothing, and about ends that TRL's trainer does not know. */
export function settingNotices({ generation_kwargs, stop_strings }: SamplingValues): string[] {
  const { options, idle } = readGeneration(generation_kwargs ?? {}, "--generation_kwargs");
  const stops = options.stopStrings ?? stop_strings;
  const ofBeams = ["lengthPenalty", "earlyStopping"] as const;
  return [
    ...(stops
      ? [
        `Answers end with stop_strings too (${
          JSON.stringify(stops)
        }), and then count as ended, not as cut off.`,
      ]
      : []),
    ...idle.map(({ name, because }) => `${name} in --generation_kwargs has no effect: ${because}.`),
    ...ofBeams.filter((name) => options[name] !== undefined).map((name) =>
      `${
        name === "lengthPenalty" ? "length_penalty" : "early_stopping"
      } in --generation_kwargs has no effect: it is for beam search.`
    ),
  ];
}

/** The most tokens of an answer. @throws {UserError} if `generation_kwargs` ask for more than there is room for. */
function longestAnswer({ maxNewTokens }: ConfiguredGeneration, room: number): number {
  if (maxNewTokens === undefined || maxNewTokens <= room) return maxNewTokens ?? room;
  throw new UserError(
    `--generation_kwargs has max_new_tokens ${maxNewTokens}, but answers have ${room} tokens at most. Raise the flag ` +
      "that says so instead.",
  );
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
    {
      readonly chat_template_kwargs: Readonly<Record<string, unknown>> | undefined;
      readonly max_prompt_length?: number | undefined;
    }
  >,
  maxCompletionLength: number,
): PreparedExamples<PromptExample> {
  return preparePrompts(rows, tokenizer, {
    ...(values.chat_template_kwargs ? { templateVariables: values.chat_template_kwargs } : {}),
    maxPromptLength: values.max_prompt_length ?? null,
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
  const { stopStrings: stops, eosTokenIds, ...sampling } = samplingOf(values);
  return {
    model: opened.model,
    tokenizer: opened.tokenizer,
    examples,
    rewards: await openJudges(values, { maxCompletionLength, notice }),
    rewardWeights: values.reward_weights,
    sampling: { ...sampling, maxNewTokens: longestAnswer(sampling, maxCompletionLength) },
    ...(stops ? { stop: stopStrings(opened.tokenizer, stops) } : {}),
    maxCompletionLength,
    eosTokenIds: eosTokenIds ?? endingTokens(opened),
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
