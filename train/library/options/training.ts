/** Options that recipes share. Written by `deno task options` from the declarations of the settings. @module */

import type { DeviceName } from "../../../core/mod.ts";
import type { RewardArguments, Rewards } from "../../../rl/mod.ts";
import type { ScriptOptions } from "../recipes.ts";

/** An adapter of low rank. */
export interface LoraOptions {
  /** LoRA rank. Default: `16`. */
  readonly r?: number | undefined;
  /** LoRA α: updates are scaled by α/r. Default: `32`. */
  readonly alpha?: number | undefined;
  /** LoRA dropout. Default: `0.05`. */
  readonly dropout?: number | undefined;
  /** Layers that get LoRA: all-linear, names, or a regular expression. Unset: the family's. */
  readonly targetModules?: string | readonly string[] | undefined;
  /** Layers trained whole beside the adapter. */
  readonly modulesToSave?: string | readonly string[] | undefined;
  /** Layers that get no LoRA: names, or a regular expression. Not in TRL. */
  readonly excludeModules?: string | readonly string[] | undefined;
  /** Biases that are trained along: all, or those of the layers with LoRA. Not in TRL. Default: `"none"`. */
  readonly bias?: "none" | "all" | "lora_only" | undefined;
  /** How LoRA begins; all but false and the last four leave the model as it is. Not in TRL. Default: `"true"`. */
  readonly initLoraWeights?:
    | "true"
    | "false"
    | "gaussian"
    | "pissa"
    | "pissa_niter_4"
    | "pissa_niter_16"
    | "olora"
    | undefined;
  /** Scale by α/√r. Default: `false`. */
  readonly useRslora?: boolean | undefined;
  /** DoRA: magnitudes and directions apart. Default: `false`. */
  readonly useDora?: boolean | undefined;
}

/** Options of all recipes. */
export interface TrainingOptions extends ScriptOptions {
  /** An adapter: its settings, or true for the defaults. */
  readonly lora?: boolean | LoraOptions | undefined;
  /** Train from scratch: a config.json whose model is initialised at random. Not in TRL. */
  readonly initFromConfig?: string | undefined;
  /** Branch, tag or commit of model_name_or_path, where that is a name. Default: `"main"`. */
  readonly modelRevision?: string | undefined;
  /** Type of frozen weights under an adapter. What is trained is held in float32. Default: `"float32"`. */
  readonly dtype?: "float32" | "auto" | "bfloat16" | "float16" | undefined;
  /** Type of the weights saved at the end; auto: the checkpoint's. Steps' checkpoints are in float32. Not in TRL. Default: `"float32"`. */
  readonly saveDtype?: "float32" | "auto" | "bfloat16" | "float16" | undefined;
  /** Model whose tokenizer is taken; unset: the model's, or the config's with init_from_config. */
  readonly tokenizer?: string | undefined;
  /** Train a LoRA adapter over frozen weights. Default: `false`. */
  readonly usePeft?: boolean | undefined;
  /** An adapter whose weights the fresh one takes; the reference stays the base. Not in TRL. */
  readonly initialAdapter?: string | undefined;
  /** Keep the frozen weights in 8 bit. Default: `false`. */
  readonly loadIn8bit?: boolean | undefined;
  /** Keep the frozen weights in 4 bit (QLoRA). Default: `false`. */
  readonly loadIn4bit?: boolean | undefined;
  /** 4-bit code. Default: `"nf4"`. */
  readonly bnb4bitQuantType?: "nf4" | "fp4" | undefined;
  /** Quantise the 4-bit code's scales too. Default: `false`. */
  readonly useBnbNestedQuant?: boolean | undefined;
  /** Which of the configs that the README.md of the dataset declares. */
  readonly datasetConfig?: string | undefined;
  /** Split (file name) to train on, where dataset_name is a directory. Default: `"train"`. */
  readonly datasetTrainSplit?: string | undefined;
  /** Split (file name) to evaluate on; read only if eval_strategy is not no. Default: `"test"`. */
  readonly datasetTestSplit?: string | undefined;
  /** A .jinja chat template, or a model whose template is taken. */
  readonly chatTemplatePath?: string | undefined;
  /** End-of-sequence token, instead of the tokenizer's. */
  readonly eosToken?: string | undefined;
  /** Padding token, instead of the tokenizer's. */
  readonly padToken?: string | undefined;
  /** Where checkpoints, logs and the final model go. Default: `"trainer_output"`. */
  readonly outputDir?: string | undefined;
  /** Passes over the rows. Default: `3`. */
  readonly numTrainEpochs?: number | undefined;
  /** Optimiser steps; -1: by num_train_epochs. Default: `-1`. */
  readonly maxSteps?: number | undefined;
  /** Rows (or packs) of one forward and backward pass. Default: `8`. */
  readonly perDeviceTrainBatchSize?: number | undefined;
  /** Passes whose gradients make one optimiser step. Default: `1`. */
  readonly gradientAccumulationSteps?: number | undefined;
  /** Seed of the order of rows, noise and initial weights. Default: `42`. */
  readonly seed?: number | undefined;
  /** Seed of the order of rows; unset: seed. */
  readonly dataSeed?: number | undefined;
  /** NEFTune: uniform noise on the embeddings, of scale alpha / sqrt(tokens * width). */
  readonly neftuneNoiseAlpha?: number | undefined;
  /** Go on from a checkpoint directory, or, as a bare flag, from the newest in output_dir. */
  readonly resumeFromCheckpoint?: string | true | undefined;
  /** On resuming, start the rows from the beginning instead of where they stopped. Default: `false`. */
  readonly ignoreDataSkip?: boolean | undefined;
  /** Course of the learning rate. Default: `"linear"`. */
  readonly lrSchedulerType?:
    | "linear"
    | "cosine"
    | "cosine_with_restarts"
    | "polynomial"
    | "constant"
    | "constant_with_warmup"
    | "inverse_sqrt"
    | "reduce_lr_on_plateau"
    | "cosine_with_min_lr"
    | "cosine_warmup_with_min_lr"
    | "warmup_stable_decay"
    | "greedy"
    | undefined;
  /** Settings of the schedule, such as '{"min_lr_rate": 0.1}'. */
  readonly lrSchedulerKwargs?: Readonly<Record<string, unknown>> | undefined;
  /** Steps over which the rate rises; below 1 a share of all steps. Default: `0`. */
  readonly warmupSteps?: number | undefined;
  /** Optimiser, by its name in transformers; muon too. Default: `"adamw_torch_fused"`. */
  readonly optim?:
    | "adamw_torch"
    | "adamw_torch_fused"
    | "adamw_hf"
    | "adamw_torch_xla"
    | "adamw_torch_npu_fused"
    | "paged_adamw_32bit"
    | "adamw_8bit"
    | "adamw_bnb_8bit"
    | "paged_adamw_8bit"
    | "adamw_torch_8bit"
    | "adafactor"
    | "lion"
    | "lion_32bit"
    | "paged_lion_32bit"
    | "sgd"
    | "rmsprop"
    | "adagrad"
    | "muon"
    | undefined;
  /** Settings of the optimiser that have no flag, such as momentum=0.9. */
  readonly optimArgs?: string | undefined;
  /** Decoupled weight decay; biases and norms are spared. Default: `0`. */
  readonly weightDecay?: number | undefined;
  /** Decay of the first moment. Default: `0.9`. */
  readonly adamBeta1?: number | undefined;
  /** Decay of the second moment. Default: `0.999`. */
  readonly adamBeta2?: number | undefined;
  /** Added to the root of the second moment. Default: `1e-8`. */
  readonly adamEpsilon?: number | undefined;
  /** Gradients are scaled down to this global L2 norm; 0: never. Default: `1`. */
  readonly maxGradNorm?: number | undefined;
  /** When to evaluate on dataset_test_split. Default: `"no"`. */
  readonly evalStrategy?: "no" | "steps" | "epoch" | undefined;
  /** Steps between evaluations, below 1 a share of all steps; unset or 0: logging_steps. */
  readonly evalSteps?: number | undefined;
  /** Steps (or epochs, as eval_strategy) before the first evaluation. Default: `0`. */
  readonly evalDelay?: number | undefined;
  /** Evaluate before the first step. Default: `false`. */
  readonly evalOnStart?: boolean | undefined;
  /** Rows (or packs) of one evaluation pass. Default: `8`. */
  readonly perDeviceEvalBatchSize?: number | undefined;
  /** When to log. Default: `"steps"`. */
  readonly loggingStrategy?: "no" | "steps" | "epoch" | undefined;
  /** Steps between logged rows, below 1 a share of all steps. Default: `10`. */
  readonly loggingSteps?: number | undefined;
  /** Log the first step too. Default: `false`. */
  readonly loggingFirstStep?: boolean | undefined;
  /** Where rows go beside the console: jsonl is log.jsonl in output_dir; all is jsonl. Default: `["none"]`. */
  readonly reportTo?:
    | "none"
    | "console"
    | "jsonl"
    | "all"
    | readonly ("none" | "console" | "jsonl" | "all")[]
    | undefined;
  /** Name of the run in the logs. */
  readonly runName?: string | undefined;
  /** Plain lines instead of a bar, also on a terminal. */
  readonly disableTqdm?: boolean | undefined;
  /** Show where the time of steps goes, kernel by kernel and beside what the machine can do, for all but the first two; writes trace.json into output_dir. Not in TRL. Default: `false`. */
  readonly profile?: boolean | undefined;
  /** error and critical hide notices; the others show them. Default: `"passive"`. */
  readonly logLevel?: "debug" | "info" | "warning" | "error" | "critical" | "passive" | undefined;
  /** When to write a checkpoint; best: when an evaluation is the best so far. Default: `"steps"`. */
  readonly saveStrategy?: "no" | "steps" | "epoch" | "best" | undefined;
  /** Steps between checkpoints, below 1 a share of all steps. Default: `500`. */
  readonly saveSteps?: number | undefined;
  /** Checkpoints kept; the oldest go, the best one stays. Unset: all. */
  readonly saveTotalLimit?: number | undefined;
  /** Leave the optimiser out of checkpoints; they cannot be resumed from. Default: `false`. */
  readonly saveOnlyModel?: boolean | undefined;
  /** End with the weights of the best evaluation. Default: `false`. */
  readonly loadBestModelAtEnd?: boolean | undefined;
  /** Metric that decides which is best, with or without eval_; unset: loss. */
  readonly metricForBestModel?: string | undefined;
  /** Whether more of it is better; unset: unless its name ends in loss. */
  readonly greaterIsBetter?: boolean | undefined;
  /** Recompute each layer in the backward pass instead of keeping its activations. Default: `true`. */
  readonly gradientCheckpointing?: boolean | undefined;
  /** TRL computes under bf16 autocast unless this is false. Here unset and true alike compute in float32, which is at least as precise and the same on every device. */
  readonly bf16?: boolean | undefined;
  /** Half precision; computed in float32 all the same. Default: `false`. */
  readonly fp16?: boolean | undefined;
  /** Where to compute; auto is a hardware GPU if there is one, else the CPU. Behind webgpu: may stand high-performance, low-power or a part of the adapter's name. Not in TRL. Default: `"auto"`. */
  readonly device?: DeviceName | undefined;
  /** The same as --device cpu. Default: `false`. */
  readonly useCpu?: boolean | undefined;
  /** Threads of the CPU device; unset means one per core. Not in TRL. */
  readonly threads?: number | undefined;
  /** Print this many prepared rows with the tokens that carry loss. Not in TRL. Default: `0`. */
  readonly showData?: number | undefined;
  /** Say how much memory a step takes, and stop before the first. Not in TRL. Default: `false`. */
  readonly dryRun?: boolean | undefined;
}

/** Options of the recipes that learn from sampled answers. */
export interface OnlineOptions extends TrainingOptions {
  /** Variables of the chat template. */
  readonly chatTemplateKwargs?: Readonly<Record<string, unknown>> | undefined;
  /** Draw from the likeliest tokens up to this. Default: `1`. */
  readonly topP?: number | undefined;
  /** Draw from so many of the likeliest tokens; 0: all. Default: `0`. */
  readonly topK?: number | undefined;
  /** Least share of the likeliest token's probability. */
  readonly minP?: number | undefined;
  /** Penalty of tokens that occurred. Default: `1`. */
  readonly repetitionPenalty?: number | undefined;
  /** Texts with which an answer ends; they stay in it. */
  readonly stopStrings?: string | readonly string[] | undefined;
  /** No end before so many new tokens. */
  readonly minNewTokens?: number | undefined;
  /** No end before so many tokens, the prompt's included. */
  readonly minLength?: number | undefined;
  /** Runs of tokens that do not come: lists of ids, as JSON. */
  readonly badWordsIds?: unknown | undefined;
  /** What runs of tokens gain or lose: [[[ids], bias], …], as JSON. */
  readonly sequenceBias?: unknown | undefined;
  /** Ids of tokens that never come. */
  readonly suppressTokens?: number | readonly number[] | undefined;
  /** Ids of tokens that do not come first. */
  readonly beginSuppressTokens?: number | readonly number[] | undefined;
  /** The token after a prompt of a single token. */
  readonly forcedBosTokenId?: number | undefined;
  /** The last token of an answer that comes to its greatest length. */
  readonly forcedEosTokenId?: number | readonly number[] | undefined;
  /** Further settings of sampling, by the names of generation_config.json. */
  readonly generationKwargs?: Readonly<Record<string, unknown>> | undefined;
  /** What judges answers. Built-in names: accuracy_reward, reasoning_accuracy_reward, think_format_reward, get_soft_overlong_punishment, get_repetition_penalty_reward, get_cosine_scaled_reward. Also functions of modules (./file.ts:function) and directories of reward models, whose one score is the reward; of a classifier with several labels, DIR:LABEL, the score of this label with the special tokens its tokenizer adds. */
  readonly rewards?:
    | readonly (string | ((args: RewardArguments) => Rewards | Promise<Rewards>))[]
    | string
    | ((args: RewardArguments) => Rewards | Promise<Rewards>)
    | undefined;
  /** A factor for each reward; 1 by default. */
  readonly rewardWeights?: number | readonly number[] | undefined;
  /** Show answers with their rewards when logging, and write them to completions.jsonl. Default: `false`. */
  readonly logCompletions?: boolean | undefined;
  /** The most answers shown; unset: all. */
  readonly numCompletionsToPrint?: number | undefined;
  /** Show one answer of each prompt. Default: `false`. */
  readonly logUniquePrompts?: boolean | undefined;
  /** Answers and rewards to take in place of sampled ones: JSON, by generation and row. Not in TRL's command. */
  readonly rollouts?: string | undefined;
  /** The reference; unset: the policy as it begins. Not in TRL's command. */
  readonly refModel?: string | undefined;
}
