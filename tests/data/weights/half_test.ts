import assert from "node:assert/strict";
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
} from "../../../data/weights/half.ts";

const everyPattern = Uint16Array.from({ length: 65536 }, (_, i) => i);

function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

function fromBits(bits: readonly number[]): Float32Array {
  return new Float32Array(Uint32Array.from(bits).buffer);
}

/** Patterns spread over all exponents, with the neighbourhoods of every rounding boundary. */
function probes(): Float32Array {
  const bits: number[] = [];
  let state = 1;
  for (let i = 0; i < 20000; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bits.push(state, state & 0xffff8000, state & 0xfffff000, (state & 0xffff8000) | 1);
  }
  for (let exponent = 0; exponent < 255; exponent++) {
    for (const low of [0, 1, 0xfff, 0x1000, 0x1001, 0x3000, 0x7fff, 0x8000, 0x8001, 0x18000]) {
      bits.push((exponent << 23) | low, ((exponent << 23) | low | 0x80000000) >>> 0);
      bits.push((exponent << 23) | (0x7fffff - low));
    }
  }
  return fromBits(bits);
}

Deno.test("float16ToFloat32() agrees with the platform's half floats on every pattern", () => {
  const ours = float16ToFloat32(everyPattern);
  const platform = new Float16Array(everyPattern.buffer);
  for (let i = 0; i < 65536; i++) assert.ok(Object.is(ours[i], platform[i]), `pattern ${i}`);
});

Deno.test("float32ToFloat16() agrees with the platform's rounding, ties and subnormals included", () => {
  const source = probes();
  const ours = float32ToFloat16(source);
  for (const [i, x] of source.entries()) {
    if (Number.isNaN(x)) continue;
    const expected = new Uint16Array(Float16Array.of(x).buffer)[0];
    assert.equal(ours[i], expected, `${x} (${bitsOf(source)[i]!.toString(16)})`);
  }
});

Deno.test("both half formats survive widening and narrowing bit for bit", () => {
  const quiet = (pattern: number, exponent: number, bit: number) =>
    (pattern & exponent) === exponent && (pattern & (2 * bit - 1)) !== 0 ? pattern | bit : pattern;
  assert.deepEqual(
    float32ToFloat16(float16ToFloat32(everyPattern)),
    everyPattern.map((p) => quiet(p, 0x7c00, 0x200)),
  );
  assert.deepEqual(
    float32ToBfloat16(bfloat16ToFloat32(everyPattern)),
    everyPattern.map((p) => quiet(p, 0x7f80, 0x40)),
  );
});

Deno.test("float32ToBfloat16() gives the nearest value and the even one on a tie", () => {
  const source = probes();
  const narrowed = float32ToBfloat16(source);
  const back = bfloat16ToFloat32(narrowed);
  for (const [i, x] of source.entries()) {
    if (!Number.isFinite(x)) continue;
    const pattern = narrowed[i]!;
    // 2¹²⁸ stands for infinity, as the value that would follow the largest finite one.
    const valueOf = (p: number) => {
      const value = bfloat16ToFloat32(Uint16Array.of(p))[0]!;
      return Number.isFinite(value) ? value : Math.sign(value) * 2 ** 128;
    };
    const error = Math.abs(valueOf(pattern) - x);
    for (const neighbour of [pattern - 1, pattern + 1]) {
      if (neighbour < 0 || (neighbour & 0x7fff) > 0x7f80 || (neighbour ^ pattern) > 0x7fff) {
        continue;
      }
      const other = Math.abs(valueOf(neighbour) - x);
      assert.ok(error < other || (error === other && pattern % 2 === 0), `${x} gave ${back[i]}`);
    }
  }
});

Deno.test("narrowing keeps infinities, signed zeros and NaNs, whatever the NaN's payload", () => {
  const source = fromBits([
    0x7f800000,
    0xff800000,
    0,
    0x80000000,
    0x7fc00000,
    0x7f800001,
    0xff800001,
  ]);
  assert.deepEqual(
    [...float32ToBfloat16(source)],
    [0x7f80, 0xff80, 0, 0x8000, 0x7fc0, 0x7fc0, 0xffc0],
  );
  assert.deepEqual(
    [...float32ToFloat16(source)],
    [0x7c00, 0xfc00, 0, 0x8000, 0x7e00, 0x7e00, 0xfe00],
  );
});

Deno.test("narrowing reads a view from its own offset", () => {
  const view = Float32Array.of(9, 1, 2).subarray(1);
  assert.deepEqual([...float32ToBfloat16(view)], [0x3f80, 0x4000]);
  assert.deepEqual([...float32ToFloat16(view)], [0x3c00, 0x4000]);
});
