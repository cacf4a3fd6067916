/** Options of generating. Written by `deno task options` from the declarations of the settings. @module */

/** How answers are generated. */
export interface GenerationOptions {
  /** A .jinja file, or a model whose chat template is taken. Unset: the model's own. */
  readonly chatTemplatePath?: string | undefined;
  /** Type the weights are held in; auto is that of the files. Sums are always in float32. Default: `"auto"`. */
  readonly dtype?: "auto" | "float32" | "bfloat16" | "float16" | undefined;
  /** Hold the weights of linear layers in 8 bit. Default: `false`. */
  readonly loadIn8bit?: boolean | undefined;
  /** Hold the weights of linear layers in 4 bit. Default: `false`. */
  readonly loadIn4bit?: boolean | undefined;
  /** 4-bit code. Default: `"nf4"`. */
  readonly bnb4bitQuantType?: "nf4" | "fp4" | undefined;
  /** Quantise the 4-bit code's scales too. Default: `false`. */
  readonly useBnbNestedQuant?: boolean | undefined;
  /** Branch, tag or commit of model_name_or_path, where that is a name. Default: `"main"`. */
  readonly modelRevision?: string | undefined;
  /** The most tokens of an answer. Default: `256`. */
  readonly maxNewTokens?: number | undefined;
  /** Draw tokens; --no_do_sample takes the most probable one at each step. Default: `true`. */
  readonly doSample?: boolean | undefined;
  /** Beams of a search for likely answers, which draws no tokens; 1: no search. Default: `1`. */
  readonly numBeams?: number | undefined;
  /** Divisor of the logits: below 1 for likelier answers. Default: `1`. */
  readonly temperature?: number | undefined;
  /** Draw among the k likeliest tokens; 0: among all. Default: `50`. */
  readonly topK?: number | undefined;
  /** Draw among the fewest likely tokens with this probability together. Default: `1`. */
  readonly topP?: number | undefined;
  /** Draw among tokens with this share of the likeliest one's probability. Default: `0`. */
  readonly minP?: number | undefined;
  /** Locally typical sampling. Default: `1`. */
  readonly typicalP?: number | undefined;
  /** Draw among tokens of this probability. Default: `0`. */
  readonly epsilonCutoff?: number | undefined;
  /** Above 1, tokens that occurred before are less likely. Default: `1`. */
  readonly repetitionPenalty?: number | undefined;
  /** No run of so many tokens comes twice; 0 for no limit. Default: `0`. */
  readonly noRepeatNgramSize?: number | undefined;
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
  /** Tokens that end an answer, separated by commas. Unset: the checkpoint's. */
  readonly eosTokens?: string | undefined;
  /** The same by their ids, such as 2,151645. Both flags may be given. */
  readonly eosTokenIds?: string | undefined;
  /** Exponent of the length that a beam's log-prob is divided by: above 0 for longer answers. Default: `1`. */
  readonly lengthPenalty?: number | undefined;
  /** When a search ends: true with as many answers as beams, never where no better one can come, false in between. Default: `"false"`. */
  readonly earlyStopping?: "true" | "false" | "never" | undefined;
  /** Completions of each prompt. Default: `1`. */
  readonly numReturnSequences?: number | undefined;
  /** Prompts that are completed together. Default: `8`. */
  readonly batchSize?: number | undefined;
  /** Seed of the draws. Default: `42`. */
  readonly seed?: number | undefined;
}
