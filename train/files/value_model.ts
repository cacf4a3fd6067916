/**
 * A value model beside the policy: a sequence classifier with one label that is trained along, under `value_model` in
 * the tree of parameters and in a directory of this name in checkpoints.
 *
 * @module
 */

import { type Path, UserError } from "../../core/mod.ts";
import { joinPath } from "../../data/files/local_paths.ts";
import type { ClassifierParams, DecoderParams } from "../../nn/mod.ts";
import type { OpenModel } from "./model_directory.ts";

const name = "value_model";

/** A language model with a value model of its own beside it. */
export interface ValueModelParams extends DecoderParams {
  /** The value model. */
  readonly value_model: ClassifierParams;
}

/**
 * The policy with a value model.
 *
 * @param values Opened with a head of one label.
 * @throws UserError if they have different vocabularies.
 */
export function withValueModel(opened: OpenModel, values: OpenModel): OpenModel {
  const [own, other] = [opened, values].map(({ model }) => model.config.vocabularySize);
  if (own !== other) {
    throw new UserError(
      `The value model has a vocabulary of ${other} tokens, the policy one of ${own}. They have to be the same: the ` +
        "value model reads the policy's tokens.",
    );
  }
  return {
    ...opened,
    params: joinValueModel(opened.params, values.params),
    valueModel: values,
  };
}

/** The policy of {@link withValueModel} alone. */
export function policyOf({ valueModel: _, ...opened }: OpenModel): OpenModel {
  return { ...opened, params: splitValueModel(opened.params).policy };
}

/** One tree of both. */
export function joinValueModel(policy: DecoderParams, values: DecoderParams): ValueModelParams {
  return { ...policy, [name]: values as ClassifierParams };
}

/** The trees that {@link joinValueModel} has joined. */
export function splitValueModel(
  params: unknown,
): { readonly policy: DecoderParams; readonly values: DecoderParams } {
  const { [name]: values, ...policy } = params as ValueModelParams;
  return { policy, values };
}

/** What holds of a leaf of either model, by its path in the tree of both. */
export function eitherModel(
  ofPolicy: (path: Path, leaf: unknown) => boolean,
  ofValues: (path: Path, leaf: unknown) => boolean,
): (path: Path, leaf: unknown) => boolean {
  const prefix = `${name}.`;
  return (path, leaf) =>
    path.startsWith(prefix) ? ofValues(path.slice(prefix.length), leaf) : ofPolicy(path, leaf);
}

/** Where the value model is in a model's directory. */
export function valueModelDirectory(directory: string): string {
  return joinPath(directory, name);
}
