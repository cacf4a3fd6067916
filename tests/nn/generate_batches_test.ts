import assert from "node:assert/strict";
import type { Device, Program } from "../../core/device/device.ts";
import { isLaunchOf, type Plan } from "../../core/launch.ts";
import { randomKey, realize, setDevice } from "../../core/mod.ts";
import {
  causalModel,
  type Completion,
  type DecoderParams,
  type GenerateOptions,
  generator,
  initParameters,
} from "../../nn/mod.ts";
import { eachDevice } from "../devices.ts";

const model = causalModel({
  model_type: "llama",
  vocab_size: 97,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  initializer_range: 0.3,
});

/** Fresh parameters on the device at hand. */
function parameters(): Promise<DecoderParams> {
  return realize(initParameters(model, randomKey(1)));
}

/** Tokens that differ from prompt to prompt. */
function promptOf(length: number, seed = 0): number[] {
  return Array.from({ length }, (_, i) => 3 + (7 * i + 5 * length + 11 * seed) % 90);
}

/** The device with an ear for what is compiled, and for the rows of the head's product in each run. */
function listening(device: Device): {
  readonly device: Device;
  readonly compiled: () => number;
  readonly batches: number[];
} {
  let compiled = 0;
  const batches: number[] = [];
  const plans = new Map<Program, Plan>();
  const listener = new Proxy(device, {
    get(target, name): unknown {
      if (name === "compile") {
        return (plan: Plan) => {
          compiled++;
          const program = target.compile(plan);
          plans.set(program, plan);
          return program;
        };
      }
      if (name === "run") {
        return (...args: Parameters<Device["run"]>) => {
          for (const launch of plans.get(args[0])!.launches) {
            if (!isLaunchOf(launch, "matmul")) continue;
            if (launch.sizes.n === 97) batches.push(launch.sizes.m);
          }
          target.run(...args);
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { device: listener, compiled: () => compiled, batches };
}

eachDevice("prompts of many lengths share a few compiled programs", async (real) => {
  const { device, compiled } = listening(real);
  setDevice(device);
  const params = await parameters();
  const generate = generator(model, { maxNewTokens: 3, repetitionPenalty: 1.1, doSample: true });
  const before = compiled();
  await generate(params, [promptOf(20), promptOf(33)]);
  await generate(params, [promptOf(40), promptOf(40)]);
  const first = compiled() - before;
  // 53 to 63 tokens are one bucket of the stream, 59 to 69 rows one or two of the cache.
  for (const [a, b] of [[27, 27], [11, 47], [30, 31], [1, 60], [20, 41], [5, 50]] as const) {
    await generate(params, [promptOf(a), promptOf(b)]);
  }
  const later = compiled() - before - first;
  assert.ok(later <= 2, `${later} programs for lengths in between`);
});

eachDevice("padding changes nothing: prompts of any length continue as they do alone", async () => {
  const params = await parameters();
  const generate = generator(model, { maxNewTokens: 5 });
  const prompts = [1, 15, 16, 17, 31, 64, 65].map((length) => promptOf(length));
  const together = await generate.complete(params, prompts);
  for (const [p, prompt] of prompts.entries()) {
    const [alone] = await generate.complete(params, [prompt]);
    assert.deepEqual(together[p]!.tokens, alone!.tokens, `prompt ${p}`);
    alone!.logProbs.forEach((x, i) =>
      assert.ok(Math.abs(x - together[p]!.logProbs[i]!) < 2e-5, `prompt ${p}, token ${i}`)
    );
  }
});

const sampling: GenerateOptions = {
  maxNewTokens: 18,
  doSample: true,
  temperature: 1.3,
  repetitionPenalty: 1.2,
  noRepeatNgramSize: 3,
};

eachDevice(
  "sequences go on in smaller batches with the tokens they would have had",
  async (real) => {
    const { device, batches } = listening(real);
    setDevice(device);
    const params = await parameters();
    const prompts = [promptOf(9), promptOf(14), promptOf(5), promptOf(11)];
    const call = { completions: 5, seed: 4 };
    for (const stepsPerRead of [1, 3]) {
      const generate = generator(model, { ...sampling, stepsPerRead });
      batches.length = 0;
      const whole = await generate.complete(params, prompts, call);
      // The head is applied once for each prompt, then for all sequences to the end.
      assert.deepEqual(batches, [4, ...Array(17).fill(20)]);
      // Sequences of two prompts end early, some of the third later, one of the fourth at last.
      const tokensOf = (p: number, step: number) =>
        whole.filter(({ prompt }) => prompt === p).map(({ tokens }) => tokens[step]!);
      const ends = [
        tokensOf(0, 2),
        tokensOf(1, 4),
        tokensOf(2, 6).slice(0, 2),
        [tokensOf(3, 11)[1]!],
      ];
      batches.length = 0;
      const found = await generate.complete(params, prompts, { ...call, eosTokenIds: ends });
      const lengths = found.map(({ tokens }) => tokens.length);
      const open = (steps: number) => lengths.filter((length) => length > steps).length;
      let size = 20;
      const expected = [4];
      for (let step = 1; step < 18; step++) {
        if (step % stepsPerRead === 0) {
          const wanted = [4, 8, 16].find((each) => each >= open(step)) ?? size;
          if (2 * wanted <= size) size = wanted;
        }
        expected.push(size);
      }
      assert.deepEqual(batches, expected);
      assert.ok(batches.includes(8) && batches.includes(4));
      found.forEach((completion, b) => check(completion, whole[b]!, ends[completion.prompt]!));
      assert.ok(Math.max(...lengths.slice(0, 5)) <= 3 && Math.max(...lengths) === 18);
    }
  },
);

/** The completion is the beginning of the one without ends, up to the first of them. */
function check(found: Completion, whole: Completion, ends: readonly number[]): void {
  const end = whole.tokens.findIndex((token) => ends.includes(token));
  const length = end < 0 ? whole.tokens.length : end + 1;
  assert.deepEqual(found.tokens, whole.tokens.slice(0, length));
  assert.equal(found.finished, end < 0 ? "length" : "eos");
  for (const name of ["logProbs", "rawLogProbs"] as const) {
    assert.equal(found[name].length, length);
    found[name].forEach((x, i) => assert.ok(Math.abs(x - whole[name][i]!) < 5e-5));
  }
}

eachDevice("what is drawn for a sequence does not depend on its companions", async () => {
  const params = await parameters();
  const generate = generator(model, { maxNewTokens: 10, doSample: true, seed: 6 });
  const own = [promptOf(7), promptOf(12)];
  const few = await generate(params, own);
  const many = await generate(params, [...own, ...[3, 30, 8].map((length) => promptOf(length, 1))]);
  assert.deepEqual(many.slice(0, 2), few);
  assert.notDeepEqual(few[0], few[1]);
  const [same] = await generate.complete(params, [own[0]!], { completions: 3 });
  assert.deepEqual(same!.tokens, few[0]);
});

eachDevice("memory is the same after every call, whatever its lengths", async (device) => {
  const params = await parameters();
  const generate = generator(model, { ...sampling, maxNewTokens: 6 });
  const prompts = [promptOf(9), promptOf(14), promptOf(5)];
  const all = [0, 1, 2].map((p) => p === 0 ? [] : Array.from({ length: 97 }, (_, token) => token));
  const once = () => generate(params, prompts, { completions: 4, eosTokenIds: all });
  await once();
  const { bytes } = device.counters();
  for (let i = 0; i < 4; i++) await once();
  assert.equal(device.counters().bytes, bytes);
});
