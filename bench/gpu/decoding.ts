/** Sampling: tokens a second for one, eight and many sequences. @module */

import { leavesOf, randomKey, realize, type Tensor } from "../../core/mod.ts";
import { causalModel, generator, initParameters } from "../../nn/mod.ts";
import type { SectionContext } from "./section.ts";
import { configOf, type ModelName } from "./shapes.ts";

/** Measures decoding of a model beside what reading its weights would allow. */
export function measureDecoding(name: ModelName): (context: SectionContext) => Promise<void> {
  return async ({ small, device: open, keep }) => {
    const device = await open();
    const config = configOf(name, small);
    const model = causalModel(config);
    const params = await realize(initParameters(model, randomKey(0)));
    const weights = leavesOf(params).reduce((sum, [, leaf]) => sum + (leaf as Tensor).size, 0);
    const newTokens = small ? 4 : 64;
    for (const sequences of small ? [1, 2] : [1, 8, 64]) {
      const prompts = Array.from(
        { length: sequences },
        (_, s) =>
          Array.from({ length: small ? 4 : 64 }, (_, i) => (i * 31 + s * 7) % config.vocab_size),
      );
      const generate = generator(model, { maxNewTokens: newTokens, doSample: true });
      const once = async () => {
        const began = performance.now();
        let tokens = 0;
        for await (const block of generate.stream(params, prompts, { seed: 1 })) {
          tokens += block.tokens.length;
        }
        return { seconds: (performance.now() - began) / 1000, tokens };
      };
      await once();
      const { seconds, tokens } = await once();
      keep({
        model: name,
        sequences,
        "tokens/s": tokens / seconds,
        "ms a step": 1000 * seconds / newTokens,
        "weights GB/s": 4 * weights * newTokens / seconds / 1e9,
        "device GB": device.counters().peakBytes / 1e9,
      });
    }
  };
}
