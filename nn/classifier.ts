/** Models that score instead of predicting tokens: a decoder under a linear layer. @module */

import type { Tensor } from "../core/mod.ts";
import type { DecoderParams } from "./decoder.ts";
import { linear, type LinearParams } from "./linear.ts";
import type { ValueHeadOptions } from "./value_head.ts";

/** A decoder with a head over labels, as transformers' sequence and token classification models have it. */
export interface ClassifierParams extends DecoderParams {
  /** [labels, D], with a bias for token classification. */
  readonly score?: LinearParams;
  /** The same under its name in older families' token classification models. */
  readonly classifier?: LinearParams;
}

/** Scores of hidden states: f32 [..., D] → [..., labels]. */
export function classify(params: ClassifierParams, hidden: Tensor): Tensor {
  const head = params.score ?? params.classifier;
  if (head) return linear(head, hidden);
  throw new RangeError(
    "A classifier has parameters named score or classifier; these have neither.",
  );
}

/** What a model's last layer is. */
export type ModelHead =
  /** Logits over the vocabulary; with `values`, a value head beside them. */
  | { readonly kind: "language"; readonly values?: ValueHeadOptions | undefined }
  /** Scores of a sequence, read at its last token. */
  | { readonly kind: "sequence"; readonly labels: number }
  /** Scores of every token, with a bias. */
  | { readonly kind: "token"; readonly labels: number };

/** The end of transformers' class names, as in `architectures` of a config. */
export const headClasses: Readonly<Record<ModelHead["kind"], string>> = {
  language: "ForCausalLM",
  sequence: "ForSequenceClassification",
  token: "ForTokenClassification",
};
