import assert from "node:assert/strict";
import { tensor, UserError } from "../../core/mod.ts";
import { applyRotary, rotaryConfig, rotaryFrequencies, rotaryTable } from "../../nn/mod.ts";
import { assertClose } from "../core/compare.ts";
import { readFixture } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";

/** What transformers computes from a config. */
interface RotaryCase {
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly head_dim: number;
  readonly frequencies: readonly number[];
  readonly positions: readonly number[];
  readonly cos: readonly (readonly number[])[];
  readonly sin: readonly (readonly number[])[];
}

const { cases } = await readFixture<{ readonly cases: readonly RotaryCase[] }>("rotary.json");

function configOf(name: string): RotaryCase {
  return cases.find((c) => c.name === name)!;
}

for (const { name, config, head_dim, frequencies } of cases) {
  Deno.test(`rotary frequencies are those of transformers: ${name}`, () => {
    const found = rotaryFrequencies(rotaryConfig(config, head_dim));
    assert.equal(found.length, head_dim / 2);
    frequencies.forEach((expected, i) => {
      // Two roundings to f32 apart at most.
      const error = Math.abs(found[i]! / expected - 1);
      assert.ok(error <= 2 ** -22, `frequency ${i} is ${found[i]}, not ${expected}`);
    });
  });
}

eachDevice("rotary tables are those of transformers", async () => {
  for (const { name, config, head_dim, positions, cos, sin } of cases) {
    const tables = rotaryTable(rotaryConfig(config, head_dim), 301);
    assert.deepEqual(tables.cos.shape, [301, head_dim / 2]);
    const [c, s] = [await tables.cos.data(), await tables.sin.data()];
    positions.forEach((position, row) => {
      const from = (x: ArrayLike<number>) =>
        Array.from({ length: head_dim / 2 }, (_, i) => x[position * head_dim / 2 + i]!);
      // An angle of 300 radians is rounded to 2⁻¹⁶; the frequency may be 2 roundings off.
      assertClose(from(c), cos[row]!, 1e-4, `${name}: cosines of ${position}`);
      assertClose(from(s), sin[row]!, 1e-4, `${name}: sines of ${position}`);
    });
  }
});

eachDevice("applyRotary() turns the pairs (i, i + D/2) by position", async () => {
  const { config, head_dim, positions, cos, sin } = configOf("default");
  const tables = rotaryTable(rotaryConfig(config, head_dim), 301);
  const [heads, half] = [3, head_dim / 2];
  const values = Float32Array.from(
    { length: positions.length * heads * head_dim },
    (_, i) => Math.sin(i * 1.7),
  );
  const expected = positions.flatMap((_, t) =>
    Array.from({ length: heads * head_dim }, (_, j) => {
      const i = j % head_dim;
      const pair = i % half;
      const base = t * heads * head_dim + j - i;
      const [a, b] = [values[base + pair]!, values[base + pair + half]!];
      const [x, y] = [cos[t]![pair]!, sin[t]![pair]!];
      return i < half ? a * x - b * y : b * x + a * y;
    })
  );
  const rotated = applyRotary(
    tensor(values, { shape: [positions.length, heads, head_dim] }),
    tensor(Int32Array.from(positions)),
    tables,
  );
  assert.deepEqual(rotated.shape, [positions.length, heads, head_dim]);
  assertClose(await rotated.data(), expected, 1e-4, "rotated");
});

Deno.test("rotaryConfig() reads the keys of transformers 4 and 5 alike", () => {
  const scaling = {
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 64,
  };
  const expected = {
    width: 16,
    theta: 5000,
    scaling: {
      type: "llama3",
      factor: 8,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
      originalMaxPositions: 64,
    },
  };
  for (
    const config of [
      { rope_parameters: { rope_type: "llama3", rope_theta: 5000, ...scaling } },
      { rope_theta: 5000, rope_scaling: { rope_type: "llama3", ...scaling } },
      { rope_theta: 5000, rope_scaling: { type: "llama3", ...scaling } },
    ]
  ) {
    assert.deepEqual(rotaryConfig(config, 16), expected);
  }
  const plain = { width: 16, theta: 10000, scaling: { type: "default" } };
  assert.deepEqual(rotaryConfig({}, 16), plain);
  assert.deepEqual(rotaryConfig({ rope_scaling: null }, 16), plain);
});

Deno.test("rotaryConfig() refuses scalings it does not know, and lists those it does", () => {
  assert.throws(
    () => rotaryConfig({ rope_scaling: { type: "su", factor: 4 } }, 16),
    (error: Error) =>
      error instanceof UserError && /rope_scaling\.type = "su"/.test(error.message) &&
      /default, linear, dynamic, llama3/.test(error.message),
  );
});

Deno.test("rotaryConfig() names the number that a scaling lacks", () => {
  assert.throws(
    () => rotaryConfig({ rope_scaling: { type: "linear" } }, 16),
    (error: Error) =>
      error instanceof UserError &&
      /rope_scaling\.factor = undefined, but a number above 0/.test(error.message),
  );
});

Deno.test("rotaryConfig() refuses a base that is not a positive number", () => {
  for (const rope_theta of ["many", 0, -1]) {
    assert.throws(
      () => rotaryConfig({ rope_theta }, 16),
      (error: Error) => error instanceof UserError && /rope_theta/.test(error.message),
    );
  }
});
