/** DistilBERT (Sanh et al., arXiv:1910.01108) as a classifier of texts. @module */

import { attention, relu, type Tensor } from "../../core/mod.ts";
import { activationOf } from "../activations.ts";
import {
  configDeviation,
  configLayers,
  configSize,
  type HuggingFaceConfig,
  paddingIdOf,
} from "../config.ts";
import type { DecoderParams } from "../decoder.ts";
import { asHeads, headWidth } from "../heads.ts";
import { linear, type LinearParams } from "../linear.ts";
import { layerNorm, type LayerNormParams } from "../norm.ts";
import { embeddingShapes, linearShapes, normShapes } from "../parameter_shapes.ts";
import type { SequenceClassifier } from "../sequence_classifier.ts";
import { embed, type Weight } from "../weight.ts";

/** Parameters, under their Hugging Face names. */
export interface DistilBertParams extends DecoderParams {
  /** The encoder. */
  readonly distilbert: {
    readonly embeddings: {
      readonly word_embeddings: { readonly weight: Weight };
      readonly position_embeddings: { readonly weight: Weight };
      readonly LayerNorm: LayerNormParams;
    };
    readonly transformer: { readonly layer: readonly DistilBertLayerParams[] };
  };
  /** Between the first token's hidden state and the scores. */
  readonly pre_classifier: LinearParams;
  /** The scores of labels. */
  readonly classifier: LinearParams;
}

/** Parameters of one layer. */
export interface DistilBertLayerParams {
  /** Attention's projections. */
  readonly attention: {
    readonly q_lin: LinearParams;
    readonly k_lin: LinearParams;
    readonly v_lin: LinearParams;
    readonly out_lin: LinearParams;
  };
  /** After attention. */
  readonly sa_layer_norm: LayerNormParams;
  /** The feed-forward layer. */
  readonly ffn: { readonly lin1: LinearParams; readonly lin2: LinearParams };
  /** After the feed-forward layer. */
  readonly output_layer_norm: LayerNormParams;
}

/** As transformers has it, whatever the config. */
const epsilon = 1e-12;

/**
 * The classifier: learned positions, attention in both directions, layer normalisation after what it normalises, and
 * scores of the first token's hidden state.
 *
 * @throws UserError if the config lacks a size, or heads do not divide the width.
 */
export function distilbert(
  config: HuggingFaceConfig,
  labels: number,
): SequenceClassifier {
  const [vocabularySize, hiddenSize] = [
    configSize(config, "vocab_size"),
    configSize(config, "dim"),
  ];
  const headDim = headWidth(config, hiddenSize, configSize(config, "n_heads"));
  const inner = configSize(config, "hidden_dim");
  const maxPositions = configSize(config, "max_position_embeddings");
  const activation = activationOf(config, "activation", "gelu");
  // Padding is id 0 where a config does not say what it is.
  const paddingId = paddingIdOf(config, 0);

  const layer = (p: DistilBertLayerParams, x: Tensor, querySegments: Tensor): Tensor => {
    const { q_lin, k_lin, v_lin, out_lin } = p.attention;
    const heads = (projection: LinearParams) => asHeads(linear(projection, x), headDim);
    const seen = attention(heads(q_lin), heads(k_lin), heads(v_lin), {
      querySegments,
      causal: false,
    });
    const attended = linear(out_lin, seen.reshape(x.shape[0]!, -1)).add(x);
    const normed = layerNorm(p.sa_layer_norm, attended, epsilon);
    const fed = linear(p.ffn.lin2, activation(linear(p.ffn.lin1, normed)));
    return layerNorm(p.output_layer_norm, fed.add(normed), epsilon);
  };

  const biased = { bias: true };
  const projection = linearShapes(hiddenSize, hiddenSize, biased);
  const norm = normShapes(hiddenSize, biased);
  const layerShapes = () => ({
    attention: { q_lin: projection, k_lin: projection, v_lin: projection, out_lin: projection },
    sa_layer_norm: norm,
    ffn: {
      lin1: linearShapes(inner, hiddenSize, biased),
      lin2: linearShapes(hiddenSize, inner, biased),
    },
    output_layer_norm: norm,
  });

  return {
    config: {
      vocabularySize,
      hiddenSize,
      maxPositions,
      learnedPositions: true,
      initializerRange: configDeviation(config, "initializer_range", 0.02),
    },
    labels,
    tables: () => [],
    shapes: () => ({
      distilbert: {
        embeddings: {
          word_embeddings: embeddingShapes(vocabularySize, hiddenSize),
          position_embeddings: embeddingShapes(maxPositions, hiddenSize),
          LayerNorm: norm,
        },
        transformer: {
          layer: Array.from({ length: configLayers(config, "n_layers") }, layerShapes),
        },
      },
      pre_classifier: projection,
      classifier: linearShapes(labels, hiddenSize, biased),
    }),
    scores: (params, { ids, segments }, lasts) => {
      const { distilbert, pre_classifier, classifier } = params as DistilBertParams;
      const [positions, firsts] = [2, 3].map((row) =>
        segments.slice(row, row + 1).reshape(segments.shape[1]!)
      );
      const { word_embeddings, position_embeddings, LayerNorm } = distilbert.embeddings;
      const embedded = embed(word_embeddings.weight, ids, paddingId)
        .add(embed(position_embeddings.weight, positions!));
      const encoded = distilbert.transformer.layer.reduce(
        (x, p) => layer(p, x, segments),
        layerNorm(LayerNorm, embedded, epsilon),
      );
      const first = encoded.gather(firsts!.gather(lasts));
      return linear(classifier, relu(linear(pre_classifier, first)));
    },
  };
}
