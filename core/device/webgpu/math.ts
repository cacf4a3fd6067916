/**
 * Functions of WGSL text: what the language lacks (`log1p`, `expm1`, `erf`), leaves imprecise
 * (`exp`, `log`, `sin`, `pow`) or does not define for NaN (`max`, `min`), and the conversions of
 * narrow element types.
 *
 * @module
 */

interface MathFunction {
  readonly needs: readonly string[];
  readonly text: string;
}

// A private variable keeps compilers of WGSL from refusing infinities they can evaluate early.
const infinity = `var<private> infinityBits: u32 = 0x7f800000u;`;
const nan = `var<private> nanBits: u32 = 0x7fc00000u;`;

/** Polynomials: Cephes (Moshier) unless said otherwise; all within 3 units in the last place. */
const functions: Readonly<Record<string, MathFunction>> = {
  infinity: { needs: [], text: infinity },
  nan: { needs: [], text: nan },
  // Compilers may assume that there is no NaN, so `x != x` would be folded away.
  isNan: {
    needs: [],
    text: `fn isNan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }`,
  },
  exp: {
    needs: ["isNan"],
    text: `fn exp_(x: f32) -> f32 {
  let c = clamp(x, -104.0, 89.0);
  let n = round(c * 1.44269504088896341);
  let r = (c - n * 0.693359375) + n * 2.12194440e-4;
  var p = 1.9875691500e-4 * r + 1.3981999507e-3;
  p = p * r + 8.3334519073e-3;
  p = p * r + 4.1665795894e-2;
  p = p * r + 1.6666665459e-1;
  p = p * r + 5.0000001201e-1;
  p = p * (r * r) + r + 1.0;
  let i = i32(n);
  let h = i >> 1u;
  let y = p * bitcast<f32>((h + 127) << 23u) * bitcast<f32>((i - h + 127) << 23u);
  return select(y, x, isNan(x));
}`,
  },
  // log(1 + m) − m + m²/2 on √½ − 1 ≤ m ≤ √2 − 1.
  logTail: {
    needs: [],
    text: `fn logTail(m: f32) -> f32 {
  var p = 7.0376836292e-2 * m - 1.1514610310e-1;
  p = p * m + 1.1676998740e-1;
  p = p * m - 1.2420140846e-1;
  p = p * m + 1.4249322787e-1;
  p = p * m - 1.6668057665e-1;
  p = p * m + 2.0000714765e-1;
  p = p * m - 2.4999993993e-1;
  p = p * m + 3.3333331174e-1;
  return p * m * (m * m);
}`,
  },
  log: {
    needs: ["isNan", "infinity", "nan", "logTail"],
    text: `fn log_(x: f32) -> f32 {
  let tiny = x < 1.17549435e-38;
  let b = bitcast<u32>(select(x, x * 8388608.0, tiny));
  var e = f32(i32(b >> 23u) - 126) - select(0.0, 23.0, tiny);
  var m = bitcast<f32>((b & 0x007fffffu) | 0x3f000000u);
  let low = m < 0.707106781186547524;
  e = select(e, e - 1.0, low);
  m = select(m, m + m, low) - 1.0;
  var y = logTail(m) - 2.12194440e-4 * e - 0.5 * (m * m);
  y = (m + y) + 0.693359375 * e;
  y = select(y, bitcast<f32>(nanBits), x < 0.0);
  y = select(y, -bitcast<f32>(infinityBits), x == 0.0);
  let keep = (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u || bitcast<u32>(x) == 0x7f800000u;
  return select(y, x, keep);
}`,
  },
  log1p: {
    needs: ["log", "logTail"],
    text: `fn log1p_(x: f32) -> f32 {
  if (x > -0.2928 && x < 0.4142) { return x + (logTail(x) - 0.5 * (x * x)); }
  return log_(1.0 + x);
}`,
  },
  expm1: {
    needs: ["exp"],
    text: `fn expm1_(x: f32) -> f32 {
  if (abs(x) < 0.3466) {
    var p = 1.9875691500e-4 * x + 1.3981999507e-3;
    p = p * x + 8.3334519073e-3;
    p = p * x + 4.1665795894e-2;
    p = p * x + 1.6666665459e-1;
    p = p * x + 5.0000001201e-1;
    return p * (x * x) + x;
  }
  return exp_(x) - 1.0;
}`,
  },
  tanh: {
    needs: ["exp", "isNan"],
    text: `fn tanh_(x: f32) -> f32 {
  let a = min(abs(x), 10.0);
  let z = x * x;
  var p = -5.70498872745e-3 * z + 2.06390887954e-2;
  p = p * z - 5.37397155531e-2;
  p = p * z + 1.33314422036e-1;
  p = p * z - 3.33332819422e-1;
  let big = 1.0 - 2.0 / (exp_(a + a) + 1.0);
  let y = select(select(big, -big, x < 0.0), p * z * x + x, a < 0.625);
  return select(y, x, isNan(x));
}`,
  },
  sigmoid: {
    needs: ["exp"],
    text: `fn sigmoid_(x: f32) -> f32 {
  let e = exp_(-abs(x));
  return select(1.0, e, x < 0.0) / (1.0 + e);
}`,
  },
  // Coefficients: N. Juffa, maximum error 0.99 ulp given an exact exp.
  erf: {
    needs: ["exp", "isNan"],
    text: `fn erf_(x: f32) -> f32 {
  let t = min(abs(x), 4.0);
  let s = t * t;
  var y: f32;
  if (t > 0.927734375) {
    var r = -1.72853470e-5 * t + 3.83197126e-4;
    let u = -3.88396438e-3 * t + 2.42546219e-2;
    r = r * s + u;
    r = r * t - 1.06777877e-1;
    r = r * t - 6.34846687e-1;
    r = r * t - 1.28717512e-1;
    r = r * t - t;
    y = 1.0 - exp_(r);
    y = select(y, -y, x < 0.0);
  } else {
    var r = -5.96761703e-4 * s + 4.99119423e-3;
    r = r * s - 2.67681349e-2;
    r = r * s + 1.12819925e-1;
    r = r * s - 3.76125336e-1;
    r = r * s + 1.28379166e-1;
    y = r * x + x;
  }
  return select(y, x, isNan(x));
}`,
  },
  // Reduction by multiples of π/2 in three parts: exact enough for |x| below about 10⁴.
  sinCos: {
    needs: [],
    text: `fn sinCos(x: f32, shift: i32) -> f32 {
  let n = round(x * 0.636619772367581343);
  let r = ((x - n * 1.5703125) - n * 4.837512969970703125e-4) - n * 7.54978995489188216e-8;
  let z = r * r;
  let s = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * r + r;
  let c = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * (z * z) -
    0.5 * z + 1.0;
  let q = (i32(n) + shift) & 3;
  let y = select(s, c, (q & 1) == 1);
  return select(y, -y, q >= 2);
}`,
  },
  sin: { needs: ["sinCos"], text: `fn sin_(x: f32) -> f32 { return sinCos(x, 0); }` },
  cos: { needs: ["sinCos"], text: `fn cos_(x: f32) -> f32 { return sinCos(x, 1); }` },
  sign: {
    needs: ["isNan"],
    text: `fn sign_(x: f32) -> f32 { return select(sign(x), x, isNan(x)); }`,
  },
  // xʸ = ±2^(y·e)·2^(y·log2 m): the exponent's part stays exact; whole small y by squaring.
  pow: {
    needs: ["exp", "log", "isNan", "infinity", "nan"],
    text: `fn pow_(x: f32, y: f32) -> f32 {
  if (y == 0.0 || x == 1.0) { return 1.0; }
  if (isNan(x) || isNan(y)) { return bitcast<f32>(nanBits); }
  let a = abs(x);
  let whole = floor(y) == y;
  let odd = whole && abs(y) < 16777216.0 && (i32(clamp(y, -16777216.0, 16777216.0)) & 1) == 1;
  if (whole && abs(y) <= 64.0) {
    var n = u32(abs(y));
    var square = x;
    var r = 1.0;
    loop {
      if ((n & 1u) == 1u) { r = r * square; }
      n = n >> 1u;
      if (n == 0u) { break; }
      square = square * square;
    }
    return select(r, 1.0 / r, y < 0.0);
  }
  if (x < 0.0 && !whole && bitcast<u32>(a) != 0x7f800000u) { return bitcast<f32>(nanBits); }
  var r: f32;
  let aBits = bitcast<u32>(a);
  let yInfinite = (bitcast<u32>(y) & 0x7fffffffu) == 0x7f800000u;
  if (a == 0.0 || aBits == 0x7f800000u || (yInfinite && a != 1.0)) {
    r = select(bitcast<f32>(infinityBits), 0.0, (a < 1.0) == (y > 0.0));
  } else if (a == 1.0) {
    r = 1.0;
  } else {
    let tiny = a < 1.17549435e-38;
    let b = bitcast<u32>(select(a, a * 8388608.0, tiny));
    var e = i32(b >> 23u) - 126 - select(0, 23, tiny);
    var m = bitcast<f32>((b & 0x007fffffu) | 0x3f000000u);
    if (m < 0.707106781186547524) { m = m + m; e = e - 1; }
    let bounded = clamp(y, -1e6, 1e6);
    let yWhole = round(bounded);
    let yPart = bounded - yWhole;
    let scaled = f32(e) * yPart;
    let n = round(scaled);
    let shift = clamp(e * i32(yWhole) + i32(n), -4000, 4000);
    let f = (scaled - n) * 0.693147180559945309 + bounded * log_(m);
    let k = round(f * 1.44269504088896341);
    let total = clamp(shift + i32(k), -300, 300);
    r = exp_((f - k * 0.693359375) + k * 2.12194440e-4);
    let third = total / 3;
    let scale = bitcast<f32>((third + 127) << 23u);
    r = r * scale * scale * bitcast<f32>((total - 2 * third + 127) << 23u);
  }
  return select(r, -r, x < 0.0 && odd);
}`,
  },
  max: {
    needs: ["isNan"],
    text: `fn max_(x: f32, y: f32) -> f32 {
  return select(select(max(x, y), y, isNan(y)), x, isNan(x));
}`,
  },
  min: {
    needs: ["isNan"],
    text: `fn min_(x: f32, y: f32) -> f32 {
  return select(select(min(x, y), y, isNan(y)), x, isNan(x));
}`,
  },
  toI32: {
    needs: ["isNan"],
    text: `fn toI32(x: f32) -> i32 {
  if (isNan(x)) { return 0; }
  if (x >= 2147483648.0) { return 2147483647; }
  if (x <= -2147483648.0) { return bitcast<i32>(0x80000000u); }
  return i32(x);
}`,
  },
  toU32: {
    needs: ["isNan"],
    text: `fn toU32(x: f32) -> u32 {
  if (isNan(x) || x <= 0.0) { return 0u; }
  if (x >= 4294967296.0) { return 4294967295u; }
  return u32(x);
}`,
  },
  fromF16: {
    needs: [],
    text: `fn fromF16(h: u32) -> f32 {
  let sign = (h & 0x8000u) << 16u;
  let exponent = (h >> 10u) & 31u;
  let mantissa = h & 1023u;
  let subnormal = bitcast<u32>(f32(mantissa) * 5.9604644775390625e-8);
  let normal = ((exponent + 112u) << 23u) | (mantissa << 13u);
  let special = 0x7f800000u | (mantissa << 13u);
  return bitcast<f32>(sign | select(select(normal, special, exponent == 31u), subnormal, exponent == 0u));
}`,
  },
  // Round to nearest even by hand: pack2x16float may round either way and need not keep infinities.
  toF16: {
    needs: [],
    text: `fn toF16(x: f32) -> u32 {
  let b = bitcast<u32>(x);
  let sign = (b >> 16u) & 0x8000u;
  let a = b & 0x7fffffffu;
  if (a > 0x7f800000u) { return sign | 0x7e00u; }
  if (a >= 0x477ff000u) { return sign | 0x7c00u; }
  if (a >= 0x38800000u) {
    return sign | ((a - 0x38000000u + 0xfffu + ((a >> 13u) & 1u)) >> 13u);
  }
  if (a < 0x33000000u) { return sign; }
  let shift = 126u - (a >> 23u);
  let mantissa = (a & 0x7fffffu) | 0x800000u;
  let kept = mantissa >> shift;
  let rest = mantissa & ((1u << shift) - 1u);
  let half = 1u << (shift - 1u);
  return sign | (kept + select(0u, 1u, rest > half || (rest == half && (kept & 1u) == 1u)));
}`,
  },
  toBf16: {
    needs: [],
    text: `fn toBf16(x: f32) -> u32 {
  let b = bitcast<u32>(x);
  if ((b & 0x7fffffffu) > 0x7f800000u) { return (b >> 16u) | 0x40u; }
  return (b + 0x7fffu + ((b >> 16u) & 1u)) >> 16u;
}`,
  },
};

/** The text of the named functions and of all they call, each once, callees first. */
export function mathText(names: Iterable<string>): string {
  const done = new Set<string>();
  const parts: string[] = [];
  const add = (name: string): void => {
    if (done.has(name)) return;
    done.add(name);
    const found = functions[name];
    if (found === undefined) throw new Error(`There is no WGSL function ${name}.`);
    found.needs.forEach(add);
    parts.push(found.text);
  };
  for (const name of names) add(name);
  return parts.join("\n");
}

/** A literal of an f32 constant, which may be infinite or NaN; `use` is told what it needs. */
export function floatLiteral(value: number, use: (name: string) => void): string {
  if (Number.isNaN(value)) {
    use("nan");
    return "bitcast<f32>(nanBits)";
  }
  const rounded = Math.fround(value);
  if (!Number.isFinite(rounded)) {
    use("infinity");
    return rounded > 0 ? "bitcast<f32>(infinityBits)" : "(-bitcast<f32>(infinityBits))";
  }
  const magnitude = Math.abs(rounded);
  if (Object.is(rounded, -0) || (magnitude !== 0 && magnitude < 1.2e-38)) {
    const bits = new Uint32Array(new Float32Array([rounded]).buffer)[0]!;
    return `bitcast<f32>(0x${bits.toString(16)}u)`;
  }
  return rounded < 0 ? `(${rounded}f)` : `${rounded}f`;
}
