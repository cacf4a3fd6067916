/**
 * An algorithm of one's own: REINFORCE (Williams, 1992) with a moving average of the reward as its baseline, from the
 * library's parts alone. A model with random weights learns to answer with ascending digits, in ten seconds.
 *
 *     deno run -A examples/own_algorithm.ts
 *
 * @module
 */

// deno-lint-ignore-file no-console -- what a script prints

import { core, data, nn, train } from "@plumb/plumb";

await core.openDevice();
const folder = `${import.meta.dirname}/arithmetic`;
const model = nn.causalModel(JSON.parse(await Deno.readTextFile(`${folder}/config.json`)));
const tokenizer = await data.loadTokenizer(folder);
const prompts = Array.from({ length: 16 }, (_, i) => tokenizer.encode(`${i}+${i}=`));
const [answers, length, steps] = [8, 8, Number(Deno.args[0] ?? 60)];
const sample = nn.generator(model, { maxNewTokens: length, doSample: true, eosTokenIds: [] });

/** The share of digits that are not below the one before. */
function reward(answer: string): number {
  const ascending = [...answer].filter((digit, i, all) =>
    /\d/.test(digit) && digit >= (all[i - 1] ?? "0")
  );
  return ascending.length / length;
}

/** −(R − b) · log π(answer | prompt), the mean over the batch's answers. */
function reinforce(
  params: nn.DecoderParams,
  batch: train.CompletionInputs,
  advantages: core.Tensor,
) {
  const rotary = model.tables(32);
  const { logProbs, mask, segments } =
    train.scoreCompletions(model, params, batch, { rotary }).tokens;
  return logProbs.mul(mask).mul(advantages.gather(segments)).sum().div(-advantages.shape[0]!);
}

type State = { readonly params: nn.DecoderParams; readonly moments: nn.OptimizerState };
const adamW = nn.adamWOptimizer({ beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0 });
const learn = core.jit(
  (
    { params, moments }: State,
    batch: train.CompletionInputs,
    advantages: core.Tensor,
    rates: nn.OptimizerScalars,
  ) => {
    const gradients = core.grad(reinforce)(params, batch, advantages);
    const [next, nextMoments] = adamW.update(params, gradients, moments, rates);
    return { params: next, moments: nextMoments };
  },
  { donate: [0] },
);

const params = nn.initParameters(model, core.randomKey(0));
let state: State = await core.realize({ params, moments: adamW.init(params) });
let baseline = 0;
for (let step = 1; step <= steps; step++) {
  const sampled = await sample(state.params, prompts, { completions: answers, seed: step });
  const rewards = sampled.map((tokens) => reward(tokenizer.decode(tokens)));
  const mean = rewards.reduce((sum, r) => sum + r) / rewards.length;
  const families = prompts.map((promptIds, p) => ({
    promptIds: Int32Array.from(promptIds),
    completions: sampled.slice(p * answers, (p + 1) * answers)
      .map((ids, i) => ({ ids: Int32Array.from(ids), number: p * answers + i })),
  }));
  state = await core.scope(() => {
    const { inputs } = train.completionBatch(families);
    const advantages = core.tensor(rewards.map((r) => r - baseline));
    return learn(state, inputs, advantages, adamW.scalars(1e-3, step));
  });
  baseline += 0.1 * (mean - baseline);
  if (step % 10 === 0) {
    console.log(`step ${step}: reward ${mean.toFixed(3)}, as ${tokenizer.decode(sampled[0]!)}`);
  }
}
