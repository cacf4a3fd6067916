/** Generation from two models at once. @module */

import { logSoftmax, type Tensor } from "../core/mod.ts";
import { UserError } from "../core/errors.ts";
import { type CachedLogits, modelLogits } from "./cached_logits.ts";
import type { DecoderParams } from "./decoder.ts";
import { type GenerateOptions, type Generator, generatorOf } from "./generate.ts";
import type { CausalModel } from "./model.ts";

/** Two models' parameters. */
export interface MixtureParams {
  /** Of the first model. */
  readonly policy: DecoderParams;
  /** Of the second. */
  readonly reference: DecoderParams;
  /** f32 []: the second's share μ, from 0 to 1. */
  readonly share: Tensor;
}

/**
 * A generator of the geometric mixture of two models over one vocabulary: tokens come from the logits
 * log softmax(μ·reference + (1 − μ)·policy), as in TRL's `GeometricMixtureWrapper` (Munos et al., "Nash Learning from
 * Human Feedback", 2023, section 7), here with a key/value cache for each.
 *
 * @throws UserError if an option is out of range, or the vocabularies differ in size.
 */
export function mixtureGenerator(
  models: { readonly policy: CausalModel; readonly reference: CausalModel },
  options: GenerateOptions,
): Generator<MixtureParams> {
  return generatorOf(mixtureLogits(models), options);
}

function mixtureLogits(
  { policy, reference }: { readonly policy: CausalModel; readonly reference: CausalModel },
): CachedLogits<MixtureParams> {
  const sizes = [policy, reference].map(({ config }) => config.vocabularySize);
  if (sizes[0] !== sizes[1]) {
    throw new UserError(
      `Models of ${
        sizes.join(" and ")
      } tokens cannot be mixed: the vocabularies have to be the same.`,
    );
  }
  const [first, second] = [modelLogits(policy), modelLogits(reference)];
  const limits = [first.maxPositions, second.maxPositions].filter((limit) => limit !== null);
  return {
    maxPositions: limits.length === 0 ? null : Math.min(...limits),
    emptyCaches: (rows) => [...first.emptyCaches(rows), ...second.emptyCaches(rows)],
    tables: (positions) => [...first.tables(positions), ...second.tables(positions)],
    next: (params, stream, { rotary, caches, ...context }) => {
      const of = (k: number) => ({ ...context, rotary: [rotary[k]!], caches: [caches[k]!] });
      const own = first.next(params.policy, stream, of(0));
      const other = second.next(params.reference, stream, of(1));
      const { share } = params;
      const mixed = other.logits.mul(share).add(own.logits.mul(share.neg().add(1)));
      return { logits: logSoftmax(mixed), caches: [...own.caches, ...other.caches] };
    },
  };
}
