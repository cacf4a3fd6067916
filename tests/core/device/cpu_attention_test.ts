import assert from "node:assert/strict";
import { emitAttention } from "../../../core/device/cpu/attention.ts";
import { emitAttentionGrad } from "../../../core/device/cpu/attention_grad.ts";
import {
  crossSegments,
  familySegments,
  generator,
  scatteredSegments,
  uniform,
} from "../attention_cases.ts";
import {
  attentionGradOracle,
  type AttentionInputs,
  type AttentionOptions,
  attentionOracle,
} from "../attention_oracle.ts";
import type { AttentionGradKernel, AttentionKernel } from "../../../core/operations/attention.ts";
import { type Bench, bench } from "./cpu_harness.ts";

/** Kernels compiled once per variant. */
const compiled = new Map<
  string,
  { readonly forward: Bench<AttentionKernel>; readonly backward: Bench<AttentionGradKernel> }
>();

function kernelsOf(causal: boolean, softcap: boolean, bias: boolean) {
  const key = JSON.stringify([causal, softcap, bias]);
  let found = compiled.get(key);
  if (!found) {
    const attention = { op: "attention", causal, softcap, bias } as const;
    const gradient = { op: "attentionGrad", causal, softcap, bias } as const;
    compiled.set(
      key,
      found = {
        forward: bench(attention, emitAttention(attention)),
        backward: bench(gradient, emitAttentionGrad(gradient)),
      },
    );
  }
  return found;
}

interface Inputs extends AttentionInputs {
  readonly q: Float32Array<ArrayBuffer>;
  readonly k: Float32Array<ArrayBuffer>;
  readonly v: Float32Array<ArrayBuffer>;
  readonly querySegments: Int32Array<ArrayBuffer>;
  readonly keySegments: Int32Array<ArrayBuffer>;
  readonly bias?: Float32Array<ArrayBuffer>;
}

type Outputs = Readonly<
  Record<"out" | "lse" | "dq" | "dk" | "dv" | "dBias", Float32Array<ArrayBuffer>>
>;

function runKernels(
  inputs: Inputs,
  options: AttentionOptions,
  dOut: Float32Array<ArrayBuffer>,
  threads: number,
  reversed = false,
): Outputs {
  const { queries, keys, queryHeads: H, keyHeads: K, width: D } = options;
  const { q, k, v, querySegments, keySegments, bias } = inputs;
  const { forward, backward } = kernelsOf(
    options.causal,
    options.softcap !== undefined,
    bias !== undefined,
  );
  const sizes = {
    ...{ queries, keys, queryHeads: H, keyHeads: K, width: D, window: options.window },
    ...{ reach: options.reach ?? 0, scale: options.scale, softcap: options.softcap ?? 0 },
  };
  const common = [q, k, v, querySegments, keySegments, ...(bias ? [bias] : [])];
  const n = common.length;
  const out = new Float32Array(queries * H * D);
  const lse = new Float32Array(queries * H);
  const setting = { sizes, threads, reversed };
  forward.run({ args: [...common, out, lse], outputs: [n, n + 1], ...setting });
  const delta = new Float32Array(queries * H);
  for (let row = 0; row < queries * H; row++) {
    for (let d = 0; d < D; d++) delta[row]! += out[row * D + d]! * dOut[row * D + d]!;
  }
  const [dq, dk, dv] = [q.length, k.length, v.length].map((size) => new Float32Array(size)) as [
    Float32Array<ArrayBuffer>,
    Float32Array<ArrayBuffer>,
    Float32Array<ArrayBuffer>,
  ];
  const dBias = new Float32Array(bias?.length ?? 0);
  backward.run({
    args: [...common, lse, delta, dOut, dq, dk, dv, ...(bias ? [dBias] : [])],
    outputs: [n + 3, n + 4, n + 5, ...(bias ? [n + 6] : [])],
    ...setting,
  });
  return { out, lse, dq, dk, dv, dBias };
}

/**
 * Every element within `tolerance` times the largest magnitude of its array, or times 0.1: some
 * arrays are sums that cancel (a bias that all distances share has no gradient at all).
 */
function assertClose(
  name: string,
  found: Float32Array,
  expected: Float64Array,
  tolerance: number,
): void {
  assert.equal(found.length, expected.length);
  let scale = 0.1;
  for (const x of expected) if (Number.isFinite(x)) scale = Math.max(scale, Math.abs(x));
  found.forEach((x, i) => {
    const y = expected[i]!;
    assert.ok(
      x === y || Math.abs(x - y) <= tolerance * scale,
      `${name}[${i}] is ${x}, the reference ${y}`,
    );
  });
}

function check(
  inputs: Inputs,
  options: AttentionOptions,
  threads: number,
  tolerance = 1e-5,
): Outputs {
  const dOut = uniform(generator(7), options.queries * options.queryHeads * options.width);
  const found = runKernels(inputs, options, dOut, threads);
  // The kernel gets its floats in single precision, and so must the reference.
  const exact: AttentionOptions = {
    ...options,
    scale: Math.fround(options.scale),
    ...(options.softcap === undefined ? {} : { softcap: Math.fround(options.softcap) }),
  };
  const expected = {
    ...attentionOracle(inputs, exact),
    ...attentionGradOracle(inputs, exact, dOut),
  };
  for (const name of ["out", "lse", "dq", "dk", "dv", "dBias"] as const) {
    assertClose(name, found[name], expected[name], tolerance);
  }
  return found;
}

function randomInputs(
  random: () => number,
  options: AttentionOptions,
  querySegments: Int32Array<ArrayBuffer>,
  keySegments: Int32Array<ArrayBuffer>,
): Inputs {
  const { queries, keys, queryHeads: H, keyHeads: K, width: D, reach } = options;
  return {
    q: uniform(random, queries * H * D),
    k: uniform(random, keys * K * D),
    v: uniform(random, keys * K * D),
    querySegments,
    keySegments,
    ...(reach === undefined ? {} : { bias: uniform(random, H * (2 * reach + 1)) }),
  };
}

/** Self-attention over a stream of segments. */
function selfCase(
  segments: Int32Array<ArrayBuffer>,
  options: Omit<AttentionOptions, "queries" | "keys">,
  threads: number,
): Outputs {
  const length = segments.length / 5;
  const all = { ...options, queries: length, keys: length };
  return check(randomInputs(generator(length), all, segments, segments), all, threads);
}

const plain = {
  queryHeads: 4,
  keyHeads: 2,
  width: 8,
  causal: true,
  window: 2 ** 31 - 1,
  scale: 0.35,
} as const;

Deno.test("packed rows of any length agree with the reference on one, two and three threads", () => {
  const rows = [1, 70, 5, 64, 130, 2].map((prompt) => ({ prompt, children: [] }));
  for (const threads of [1, 2, 3]) selfCase(familySegments(rows, 0, true), plain, threads);
});

Deno.test("completions see their prompt and not each other, and padding sees nothing", () => {
  const families = [
    { prompt: 90, children: [33, 40, 9, 70] },
    { prompt: 3, children: [1, 1] },
    { prompt: 20, children: [100] },
  ];
  for (const causal of [true, false]) {
    for (const threads of [1, 2, 3]) {
      const segments = familySegments(families, 21, causal);
      const { out, lse, dq, dk } = selfCase(segments, { ...plain, causal }, threads);
      const length = lse.length / 4;
      for (let t = length - 21; t < length; t++) {
        for (let h = 0; h < 4; h++) assert.equal(lse[t * 4 + h], -Infinity);
        assert.ok(out.subarray(t * 32, t * 32 + 32).every((x) => x === 0));
        assert.ok(dq.subarray(t * 32, t * 32 + 32).every((x) => x === 0));
        assert.ok(dk.subarray(t * 16, t * 16 + 16).every((x) => x === 0));
      }
    }
  }
});

Deno.test("every head width and every ratio of query to key heads agrees with the reference", () => {
  const segments = familySegments([{ prompt: 37, children: [30, 11] }], 2, true);
  for (const width of [1, 2, 3, 4, 7, 12, 20, 64, 65]) selfCase(segments, { ...plain, width }, 2);
  for (const [queryHeads, keyHeads] of [[1, 1], [3, 1], [5, 5], [6, 2], [14, 2], [9, 3]] as const) {
    for (const threads of [1, 3]) selfCase(segments, { ...plain, queryHeads, keyHeads }, threads);
  }
});

Deno.test("a window limits how far back queries see, and both ways without causality", () => {
  const segments = (causal: boolean) => familySegments([{ prompt: 300, children: [] }], 3, causal);
  for (const window of [1, 7, 64, 100]) {
    for (const causal of [true, false]) selfCase(segments(causal), { ...plain, causal, window }, 2);
  }
});

Deno.test("a soft cap bends scores and their gradients", () => {
  const segments = familySegments([{ prompt: 50, children: [40, 30] }], 1, true);
  for (const softcap of [0.5, 2, 50]) {
    for (const scale of [0.35, 3]) selfCase(segments, { ...plain, scale, softcap }, 2);
  }
});

Deno.test("a bias by distance is added, and its gradient is the sum over all pairs", () => {
  for (const causal of [true, false]) {
    const segments = familySegments([{ prompt: 50, children: [40, 30] }], 1, causal);
    for (const [reach, softcap] of [[0], [6], [300], [6, 1.5]] as const) {
      const cap = softcap === undefined ? {} : { softcap };
      for (const threads of [1, 3]) {
        selfCase(segments, { ...plain, causal, reach, ...cap }, threads);
      }
    }
  }
});

Deno.test("queries attend to keys of another stream", () => {
  const { query, key } = crossSegments([10, 3, 0, 90], [70, 0, 5, 33]);
  const options = { ...plain, causal: false, queries: 103, keys: 108 };
  for (const threads of [1, 2, 3]) {
    check(randomInputs(generator(3), options, query, key), options, threads);
  }
});

Deno.test("segments in no order are masked key by key", () => {
  for (let seed = 0; seed < 12; seed++) {
    const random = generator(seed);
    const queries = Math.floor(random() * 150);
    const keys = Math.floor(random() * 150);
    const options = {
      ...plain,
      queries,
      keys,
      width: 1 + Math.floor(random() * 20),
      causal: random() < 0.5,
      window: 1 + Math.floor(random() * 40),
      ...(random() < 0.5 ? { softcap: 1 } : {}),
      ...(random() < 0.5 ? { reach: 9 } : {}),
    };
    const segments = scatteredSegments(random, queries, keys);
    const inputs = randomInputs(random, options, segments, scatteredSegments(random, keys, 0));
    check(inputs, options, 1 + seed % 3);
  }
});

/** Segments whose queries have the hints that `hint` gives for them. */
function withHints(
  segments: Int32Array<ArrayBuffer>,
  hint: (i: number) => readonly [number, number],
): Int32Array<ArrayBuffer> {
  const length = segments.length / 5;
  const changed = segments.slice();
  for (let i = 0; i < length; i++) {
    [changed[3 * length + i], changed[4 * length + i]] = hint(i);
  }
  return changed;
}

Deno.test("hints that skip nothing leave the result to segments and positions", () => {
  const families = [{ prompt: 150, children: [80, 70] }, { prompt: 200, children: [] }];
  const segments = familySegments(families, 12, true);
  const loose = withHints(segments, () => [0, segments.length / 5]);
  for (const window of [plain.window, 90]) {
    for (const causal of [true, false]) {
      for (const threads of [1, 2]) selfCase(loose, { ...plain, causal, window }, threads);
    }
  }
});

Deno.test("keys outside a query's hints are not seen", () => {
  const random = generator(2);
  const segments = familySegments([{ prompt: 400, children: [] }], 0, false);
  const ranges = [
    () => [Math.floor(random() * 200), 200 + Math.floor(random() * 200)] as const,
    // Ranges that differ a little within a panel and contain whole chunks.
    (i: number) => [i % 5, 400 - i % 3] as const,
  ];
  for (const hint of ranges) {
    selfCase(withHints(segments, hint), { ...plain, causal: false }, 2);
  }
});

Deno.test("no queries give zero gradients, and no keys give zero outputs", () => {
  const segments = familySegments([{ prompt: 20, children: [] }], 0, false);
  const none = new Int32Array(0);
  for (const threads of [1, 3]) {
    const withoutKeys = { ...plain, causal: false, queries: 20, keys: 0, reach: 2 };
    check(randomInputs(generator(1), withoutKeys, segments, none), withoutKeys, threads);
    const withoutQueries = { ...plain, causal: false, queries: 0, keys: 20, reach: 2 };
    check(randomInputs(generator(1), withoutQueries, none, segments), withoutQueries, threads);
    const nothing = { ...plain, queries: 0, keys: 0 };
    check(randomInputs(generator(1), nothing, none, none), nothing, threads);
  }
});

Deno.test("scores of ten thousand neither overflow nor give NaN", () => {
  const segments = familySegments([{ prompt: 40, children: [30, 30] }], 1, true);
  const options = { ...plain, queries: 101, keys: 101, width: 1, scale: 1e4 };
  const inputs = randomInputs(generator(8), options, segments, segments);
  // A score of 1e4 in single precision is known to 1e4·2⁻²⁴ at each of a few roundings, and its
  // exponential to the same relative error; gradients of q and k carry the scale beside it.
  check(inputs, options, 2, 2e-3);
});

Deno.test("a launch gives the same bits again, whichever thread goes first", () => {
  const families = [{ prompt: 90, children: [33, 40, 9, 70] }, { prompt: 20, children: [100] }];
  const segments = familySegments(families, 5, true);
  const length = segments.length / 5;
  const options = { ...plain, keyHeads: 1, queries: length, keys: length, reach: 4 };
  const inputs = randomInputs(generator(4), options, segments, segments);
  const dOut = uniform(generator(5), length * options.queryHeads * options.width);
  for (const threads of [1, 2, 3, 8]) {
    const once = runKernels(inputs, options, dOut, threads);
    assert.deepEqual(runKernels(inputs, options, dOut, threads, true), once);
  }
});

/** Every `step`-th token of a stream as a query, seeing as much as it does there. */
function someQueries(segments: Int32Array<ArrayBuffer>, step: number): Int32Array<ArrayBuffer> {
  const length = segments.length / 5;
  const count = Math.ceil(length / step);
  return Int32Array.from(
    { length: 5 * count },
    (_, i) => segments[Math.floor(i / count) * length + (i % count) * step]!,
  );
}

Deno.test("few queries over many keys agree with the reference in every shape", () => {
  const families = [
    { prompt: 37, children: [30, 11, 9] },
    { prompt: 1, children: [64, 3] },
    { prompt: 130, children: [] },
  ];
  const shapes = [[4, 2, 8], [3, 1, 4], [5, 5, 12], [14, 2, 64], [9, 3, 20], [4, 2, 7]] as const;
  for (const causal of [true, false]) {
    // Padding is among the queries.
    const keys = familySegments(families, 25, causal);
    const queries = someQueries(keys, 31);
    for (const [queryHeads, keyHeads, width] of shapes) {
      for (const window of [plain.window, 5]) {
        for (const threads of [1, 2, 3, 40]) {
          const options = {
            ...{ ...plain, causal, window, queryHeads, keyHeads, width },
            ...{ queries: queries.length / 5, keys: keys.length / 5 },
          };
          check(randomInputs(generator(width), options, queries, keys), options, threads);
        }
      }
    }
  }
});

Deno.test("few queries read no more than what they see", () => {
  const keys = familySegments([{ prompt: 20, children: [40, 40] }], 4, true);
  const [length, last] = [keys.length / 5, 59];
  const queries = Int32Array.from({ length: 5 }, (_, row) => keys[row * length + last]!);
  const options = { ...plain, queries: 1, keys: length };
  const inputs = randomInputs(generator(3), options, queries, keys);
  const rowSize = options.keyHeads * options.width;
  for (const rows of [inputs.k, inputs.v]) rows.fill(NaN, 60 * rowSize);
  const { forward } = kernelsOf(true, false, false);
  const { q, k, v, querySegments, keySegments } = inputs;
  const [out, lse] = [new Float32Array(4 * 8), new Float32Array(4)];
  forward.run({
    args: [q, k, v, querySegments, keySegments, out, lse],
    outputs: [5, 6],
    sizes: {
      ...{ queries: 1, keys: length, queryHeads: 4, keyHeads: 2, width: 8 },
      ...{ window: options.window, reach: 0, scale: options.scale, softcap: 0 },
    },
    threads: 2,
  });
  const cut = { ...inputs, k: k.slice(0, 60 * rowSize), v: v.slice(0, 60 * rowSize) };
  const shorter = familySegments([{ prompt: 20, children: [40] }], 0, true);
  const exact = { ...options, keys: 60, scale: Math.fround(options.scale) };
  const expected = attentionOracle({ ...cut, keySegments: shorter }, exact);
  assertClose("out", out, expected.out, 1e-5);
  assertClose("lse", lse, expected.lse, 1e-5);
});
