/** Models by `model_type`: functions of their parameters, the shapes of parameters, fresh parameters. @module */

import {
  foldKey,
  type Key,
  mapTree,
  ones,
  type OutputHead,
  type Path,
  randomNormal,
  type Tensor,
  UserError,
  zeros,
} from "../core/mod.ts";
import type { Architecture } from "./architecture.ts";
import type { ModelHead } from "./classifier.ts";
import { configPlace, type HuggingFaceConfig } from "./config.ts";
import { checkFields } from "./config_fields.ts";
import {
  type CachePlaces,
  type Decoder,
  type DecoderConfig,
  decoderHidden,
  decoderHiddenCached,
  type DecoderParams,
  type ForwardOptions,
  type KeyValueCache,
  type TokenStream,
} from "./decoder.ts";
import { gemma2 } from "./families/gemma2.ts";
import { gemma3 } from "./families/gemma3.ts";
import { gpt2 } from "./families/gpt2.ts";
import { gptNeoX } from "./families/gpt_neox.ts";
import { gptJ } from "./families/gptj.ts";
import { llama } from "./families/llama.ts";
import { mistral } from "./families/mistral.ts";
import { opt } from "./families/opt.ts";
import { phi3 } from "./families/phi3.ts";
import { qwen2 } from "./families/qwen2.ts";
import { qwen3 } from "./families/qwen3.ts";
import { linearShapes, type ParameterShape, type ParameterShapes } from "./parameter_shapes.ts";
import { rotaryTable, type RotaryTables } from "./rotary.ts";
import { freshValueHead, isValueHeadParameter } from "./value_head.ts";

/** A causal language model without its parameters: pure functions of them. */
export interface CausalModel extends Architecture {
  /** Its sizes. */
  readonly config: DecoderConfig;
  /** Hidden states f32 [T, D] of a token stream. */
  readonly hidden: (params: DecoderParams, stream: TokenStream, options: ForwardOptions) => Tensor;
  /** The same for a stream that continues a cache; also gives the cache with its keys and values. */
  readonly hiddenCached: (
    params: DecoderParams,
    stream: TokenStream,
    options: ForwardOptions,
    cache: KeyValueCache,
    places: CachePlaces,
  ) => [hidden: Tensor, cache: KeyValueCache];
  /** What turns hidden states into logits. */
  readonly head: (params: DecoderParams) => OutputHead;
  /**
   * Rotary tables for so many positions.
   *
   * @throws UserError if the model has parameters for fewer.
   */
  readonly tables: (positions: number) => RotaryTables;
  /** Whether its head over the vocabulary is the embedding matrix. */
  readonly tied: boolean;
  /**
   * Shapes of its parameters, under their Hugging Face names; with a head over the vocabulary by default.
   *
   * @throws UserError for a head over labels of tokens, where transformers has no such class.
   */
  readonly shapes: (head?: ModelHead) => ParameterShapes;
}

/** A model from its decoder. */
export function decoderModel<P extends DecoderParams, L>(decoder: Decoder<P, L>): CausalModel {
  const { config } = decoder;
  return {
    config,
    hidden: (params, stream, options) => decoderHidden(decoder, params as P, stream, options),
    hiddenCached: (params, stream, options, cache, places) =>
      decoderHiddenCached(decoder, params as P, stream, options, cache, places),
    head: (params) => decoder.head(params as P),
    tables: (positions) => {
      if (config.learnedPositions && positions > config.maxPositions) {
        throw new UserError(
          `A row of ${positions} tokens does not fit the model, which has learned ${config.maxPositions} positions. ` +
            `Use shorter rows (max_length ${config.maxPositions}), or shorter prompts and answers.`,
        );
      }
      return decoder.rotary.map((rotary) => rotaryTable(rotary, positions));
    },
    tied: decoder.tied,
    storedNames: decoder.storedNames ?? {},
    shapes: (head = { kind: "language" }) => ({ ...decoder.body, ...headShapes(decoder, head) }),
  };
}

function headShapes<P, L>(
  { config: { hiddenSize }, languageHead, tokenHead = "score" }: Decoder<P, L>,
  head: ModelHead,
): Record<string, ParameterShapes> {
  switch (head.kind) {
    case "sequence":
      return { score: linearShapes(head.labels, hiddenSize) };
    case "token":
      if (tokenHead === null) {
        throw new UserError(
          "transformers has no token classification for models of this type, so that nothing could open one. Use " +
            "another model.",
        );
      }
      return { [tokenHead]: linearShapes(head.labels, hiddenSize, { bias: true }) };
    case "language":
      return {
        ...languageHead,
        ...(head.values
          ? { v_head: { summary: linearShapes(1, hiddenSize, { bias: true }) } }
          : {}),
      };
  }
}

/** Families by the `model_type` of their config. */
export const families: Readonly<Record<string, (config: HuggingFaceConfig) => CausalModel>> = {
  llama: (config) => decoderModel(llama(config)),
  mistral: (config) => decoderModel(mistral(config)),
  qwen2: (config) => decoderModel(qwen2(config)),
  qwen3: (config) => decoderModel(qwen3(config)),
  phi3: (config) => decoderModel(phi3(config)),
  gemma2: (config) => decoderModel(gemma2(config)),
  gemma3_text: (config) => decoderModel(gemma3(config)),
  gpt2: (config) => decoderModel(gpt2(config)),
  gptj: (config) => decoderModel(gptJ(config)),
  gpt_neox: (config) => decoderModel(gptNeoX(config)),
  opt: (config) => decoderModel(opt(config)),
};

/**
 * The model of a parsed `config.json`.
 *
 * @throws UserError if its `model_type` is not supported.
 */
export function causalModel(config: HuggingFaceConfig): CausalModel {
  const type = config["model_type"];
  const family = typeof type === "string" && Object.hasOwn(families, type)
    ? families[type]
    : undefined;
  if (family) {
    checkFields(config);
    return family(config);
  }
  const said = type === undefined ? "no model_type" : `model_type = ${JSON.stringify(type)}`;
  throw new UserError(
    `${configPlace(config)} has ${said}, which is not supported as a language model. ` +
      `Supported: ${Object.keys(families).join(", ")}.`,
  );
}

/** Fresh parameters, each as its shape says. */
export function initParameters(
  model: Architecture,
  key: Key,
  head: ModelHead = { kind: "language" },
): DecoderParams {
  let index = 0;
  return mapTree(model.shapes(head), (leaf, path) => {
    index++;
    return freshParameter(model, path, leaf as ParameterShape, foldKey(key, index), head);
  }) as DecoderParams;
}

/** One fresh parameter. */
export function freshParameter(
  { config }: Pick<Architecture, "config">,
  path: Path,
  { shape, init }: ParameterShape,
  key: Key,
  head: ModelHead = { kind: "language" },
): Tensor {
  if (isValueHeadParameter(path)) {
    const options = head.kind === "language" ? head.values : undefined;
    return freshValueHead(path, { shape, width: config.hiddenSize, key }, options);
  }
  if (init === "ones") return ones(shape);
  if (init === "zeros") return zeros(shape);
  return randomNormal(key, shape).mul(config.initializerRange * init.normal);
}
