/**
 * Conversions between 32-bit floats and the two 16-bit formats checkpoints are stored in:
 * bfloat16 (8 exponent bits, 7 fraction bits) and IEEE 754 binary16 (5 and 10). Sixteen-bit values
 * travel as their bit patterns in a `Uint16Array`.
 *
 * Widening is exact. Narrowing rounds to nearest, ties to even, overflows to infinity and keeps
 * subnormals. A NaN stays a NaN: its sign and the upper fraction bits survive, and the quiet bit is
 * set so that dropping the lower bits cannot turn it into an infinity.
 *
 * @module
 */

/** Widens bfloat16 bit patterns to 32-bit floats, exactly. */
export function bfloat16ToFloat32(source: Uint16Array): Float32Array<ArrayBuffer> {
  const bits = new Uint32Array(source.length);
  for (let i = 0; i < source.length; i++) bits[i] = source[i]! << 16;
  return new Float32Array(bits.buffer);
}

/** Rounds 32-bit floats to bfloat16 bit patterns, to nearest, ties to even. */
export function float32ToBfloat16(source: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  const result = new Uint16Array(source.length);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i]!;
    // Adding half a unit, less one when the kept part is even, carries exactly when rounding up is
    // due; the carry may run into the exponent, which is the right result there too.
    result[i] = (x & 0x7fffffff) > 0x7f800000
      ? (x >>> 16) | 0x0040
      : (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return result;
}

/** The 32-bit pattern equal in value to one binary16 pattern. */
function widenFloat16Bits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13);
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  // A subnormal half, fraction · 2⁻²⁴, is a normal single: shift its leading one to bit 10.
  const shift = Math.clz32(fraction) - 21;
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

let float16Table: Uint32Array | undefined;

/** Widens binary16 bit patterns to 32-bit floats, exactly. */
export function float16ToFloat32(source: Uint16Array): Float32Array<ArrayBuffer> {
  const table = float16Table ??= Uint32Array.from({ length: 65536 }, (_, h) => widenFloat16Bits(h));
  const bits = new Uint32Array(source.length);
  for (let i = 0; i < source.length; i++) bits[i] = table[source[i]!]!;
  return new Float32Array(bits.buffer);
}

/** The binary16 pattern nearest to one 32-bit float pattern. */
function narrowFloat32Bits(x: number): number {
  const sign = (x >>> 16) & 0x8000;
  const magnitude = x & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  // 65520 is halfway between the largest half, 65504, and 65536: from there on, infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    const rebiased = magnitude - (112 << 23);
    return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
  }
  // Below 2⁻¹⁴ a half counts units of 2⁻²⁴; at 2⁻²⁵, half a unit, the tie goes to zero.
  if (magnitude <= 0x33000000) return sign;
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - (magnitude >>> 23);
  const kept = fraction >>> shift;
  const rest = fraction & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0));
}

/** Rounds 32-bit floats to binary16 bit patterns, to nearest, ties to even. */
export function float32ToFloat16(source: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  const result = new Uint16Array(source.length);
  for (let i = 0; i < bits.length; i++) result[i] = narrowFloat32Bits(bits[i]!);
  return result;
}
