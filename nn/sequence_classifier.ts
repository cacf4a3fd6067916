/** Classifiers of whole texts: decoders with a head over labels, and encoders. @module */

import { type Tensor, UserError } from "../core/mod.ts";
import type { Architecture } from "./architecture.ts";
import { type ClassifierParams, classify } from "./classifier.ts";
import { configPlace, type HuggingFaceConfig } from "./config.ts";
import { checkFields } from "./config_fields.ts";
import type { DecoderParams, ForwardOptions, TokenStream } from "./decoder.ts";
import { distilbert } from "./families/distilbert.ts";
import { type CausalModel, causalModel, families } from "./model.ts";
import type { ParameterShapes } from "./parameter_shapes.ts";
import type { RotaryTables } from "./rotary.ts";

/** A classifier of texts without its parameters: pure functions of them. */
export interface SequenceClassifier extends Architecture {
  /** How many labels it scores. */
  readonly labels: number;
  /**
   * Rotary tables for so many positions.
   *
   * @throws UserError if the model has parameters for fewer.
   */
  readonly tables: (positions: number) => RotaryTables;
  /** Shapes of its parameters. */
  readonly shapes: () => ParameterShapes;
  /**
   * Scores of the texts of a stream, before any softmax: `lasts`, i32 [N], says where the last token of each is →
   * f32 [N, labels].
   */
  readonly scores: (
    params: DecoderParams,
    stream: TokenStream,
    lasts: Tensor,
    options: Pick<ForwardOptions, "rotary">,
  ) => Tensor;
}

/** Families of encoders by the `model_type` of their config. */
const encoders: Readonly<
  Record<string, (config: HuggingFaceConfig, labels: number) => SequenceClassifier>
> = { distilbert };

/**
 * The classifier of a parsed `config.json`, of any of the {@link families} of decoders or `distilbert`.
 *
 * @throws UserError if its `model_type` is not supported.
 */
export function sequenceClassifier(config: HuggingFaceConfig, labels: number): SequenceClassifier {
  const type = config["model_type"];
  if (typeof type === "string" && Object.hasOwn(encoders, type)) {
    checkFields(config);
    return encoders[type]!(config, labels);
  }
  if (typeof type === "string" && Object.hasOwn(families, type)) {
    return decoderClassifier(causalModel(config), labels);
  }
  throw new UserError(
    `${configPlace(config)} has model_type = ${JSON.stringify(type)}, which is not supported. ` +
      `Supported: ${[...Object.keys(families), ...Object.keys(encoders)].join(", ")}.`,
  );
}

/** A decoder as a classifier: scores of the last token's hidden state. */
export function decoderClassifier(model: CausalModel, labels: number): SequenceClassifier {
  const { config, tables, hidden } = model;
  return {
    config,
    labels,
    tables,
    shapes: () => model.shapes({ kind: "sequence", labels }),
    scores: (params, stream, lasts, options) =>
      classify(params as ClassifierParams, hidden(params, stream, options).gather(lasts)),
  };
}

/** The names of a classifier's labels, as its config's `id2label` has them; else LABEL_0, LABEL_1, …. */
export function labelNames(config: HuggingFaceConfig, labels: number): readonly string[] {
  const given = config["id2label"];
  const names: Readonly<Record<string, unknown>> = typeof given === "object" && given !== null
    ? { ...given }
    : {};
  return Array.from({ length: labels }, (_, i) => {
    const name = names[String(i)];
    return typeof name === "string" ? name : `LABEL_${i}`;
  });
}
