/** What all kinds of models have. @module */

import type { ModelHead } from "./classifier.ts";
import type { DecoderConfig } from "./decoder.ts";
import type { ParameterShapes } from "./parameter_shapes.ts";

/** Sizes that every model has. */
export type ModelSizes = Pick<
  DecoderConfig,
  "vocabularySize" | "hiddenSize" | "maxPositions" | "learnedPositions" | "initializerRange"
>;

/** What it takes to read a model's files, or to begin one. */
export interface Architecture {
  /** Its sizes. */
  readonly config: ModelSizes;
  /** Shapes of its parameters, under their Hugging Face names. */
  readonly shapes: (head?: ModelHead) => ParameterShapes;
  /** Names of the root's children in files, where they are others than in the tree. */
  readonly storedNames?: Readonly<Record<string, string>>;
}
