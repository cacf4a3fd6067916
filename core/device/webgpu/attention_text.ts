/**
 * WGSL shared by attention and its gradient. Work is in blocks of 32 queries by 32 keys; 64
 * invocations in an 8×8 square hold 4×4 scores each. Every product runs through two 32×32 tiles of
 * workgroup memory, `left` and `right`, both with the summed index outermost:
 * result[4·y + i][4·x + j] += Σ_d left[d][4·y + i]·right[d][4·x + j].
 *
 * @module
 */

import {
  attention,
  type AttentionSizes,
  type AttentionVariant,
} from "../../operations/attention.ts";
import { sizeText } from "./shader.ts";

/** What the texts call the numbers of a launch. */
const numberNames: Readonly<Record<keyof AttentionSizes, string>> = {
  queries: "T",
  keys: "S",
  queryHeads: "H",
  keyHeads: "K",
  width: "D",
  window: "window",
  reach: "R",
  scale: "scale",
  softcap: "cap",
};

/** Queries and keys of a block, and features of a chunk. */
export const block = 32;

/**
 * Loop iterations of an invocation per block of queries and keys, at most: `fills` tiles filled and
 * `products` multiplied for each chunk of features.
 */
export function iterations(chunks: number, fills: number, products: number): number {
  return 24 + chunks * (2 + 4 * fills + 8 * products);
}

/** Invocations of a workgroup. */
export const attentionSize = 64;

/** Small loops are written out: the software adapter counts iterations of all loops together. */
const four = [0, 1, 2, 3] as const;

/** Declares the launch's numbers as `T`, `S`, …, and the square's coordinates `x` and `y`. */
export function attentionPreamble(): string {
  const lines = Object.entries(numberNames).map(([name, text]) =>
    `  let ${text} = ${sizeText(attention, name)};`
  );
  return [...lines, `  let x = lane % 8u;`, `  let y = lane / 8u;`].join("\n");
}

/** Workgroup variables of the tiles and of what is known of a block's queries and keys. */
export const attentionShared = `
var<workgroup> left: array<vec4<f32>, 256>;
var<workgroup> right: array<vec4<f32>, 256>;
var<workgroup> querySegment: array<vec4<i32>, 32>;
var<workgroup> queryRange: array<vec2<i32>, 32>;
var<workgroup> keyRange: vec2<i32>;
var<workgroup> keySegment: array<vec2<i32>, 32>;
var<workgroup> anyVisible: atomic<u32>;
var<workgroup> anyVisibleAll: u32;`;

/** Fills `querySegment` (segment, parent, position) and `queryRange` for queries from `t0`. */
export function loadQueries(buffer: string): string {
  return `if (lane < 32u) {
    let t = t0 + i32(lane);
    var info = vec4<i32>(-1, -1, 0, 0);
    var range = vec2<i32>(0, 0);
    if (t < T) {
      info = vec4<i32>(${buffer}[t], ${buffer}[T + t], ${buffer}[2 * T + t], 0);
      range = vec2<i32>(max(${buffer}[3 * T + t], 0), min(${buffer}[4 * T + t], S));
    }
    if (info.x < 0) { range = vec2<i32>(0, 0); }
    querySegment[lane] = info;
    queryRange[lane] = range;
  }`;
}

/** Defines `keys`: from the first block of keys that a loaded query may see to past the last key. */
export const joinRanges = `if (lane == 0u) {
    var range = vec2<i32>(S, 0);
    for (var i = 0; i < 32; i++) {
      let other = queryRange[i];
      if (other.x < other.y) { range = vec2<i32>(min(range.x, other.x), max(range.y, other.y)); }
    }
    keyRange = vec2<i32>(range.x / 32 * 32, range.y);
  }
  let keys = workgroupUniformLoad(&keyRange);`;

/** Fills `keySegment` (segment, position) for keys from `s0`. */
export function loadKeys(buffer: string): string {
  return `if (lane < 32u) {
    let s = s0 + i32(lane);
    var info = vec2<i32>(-1, 0);
    if (s < S) { info = vec2<i32>(${buffer}[s], ${buffer}[2 * S + s]); }
    keySegment[lane] = info;
  }`;
}

/**
 * Defines `visible`, 16 bits for this invocation's pairs (bit 4·i + j: query 4·y + i, key 4·x + j),
 * and skips the block (`continue`) when no invocation sees a pair. `extra` may restrict further.
 */
export function visibility(kernel: AttentionVariant, extra = ""): string {
  const distance = kernel.causal ? "away >= 0 && away < window" : "abs(away) < window";
  const pairs = four.flatMap((i) => [
    `{
      let query = querySegment[4u * y + ${i}u];
      let range = queryRange[4u * y + ${i}u];`,
    ...four.map((j) =>
      `{
      let key = keySegment[4u * x + ${j}u];
      let s = s0 + i32(4u * x) + ${j};
      let away = query.z - key.y;
      let seen = s >= range.x && s < range.y && key.x >= 0 &&
        (key.x == query.x || key.x == query.y) && ${distance}${extra};
      visible |= select(0u, ${1 << (4 * i + j)}u, seen);
      }`
    ),
    "}",
  ]);
  return `var visible = 0u;
    ${pairs.join("\n    ")}
    if (lane == 0u) { atomicStore(&anyVisible, 0u); }
    workgroupBarrier();
    if (visible != 0u) { atomicOr(&anyVisible, 1u); }
    workgroupBarrier();
    if (lane == 0u) { anyVisibleAll = atomicLoad(&anyVisible); }
    if (workgroupUniformLoad(&anyVisibleAll) == 0u) { continue; }`;
}

/** Rows of features: row number `first + i` of `limit` begins at `base` + row·`stride` in a buffer. */
interface Rows {
  readonly buffer: string;
  readonly base: string;
  readonly first: string;
  readonly limit: string;
  readonly stride: string;
}

/** The rows of a block of queries, for query head h, in a [T, H, D] buffer. */
export function queryRows(buffer: string): Rows {
  return { buffer, base: "h * D", first: "t0", limit: "T", stride: "H * D" };
}

/** The rows of a block of keys, for head `keyHead`, in an [S, K, D] buffer. */
export function keyRows(buffer: string): Rows {
  return { buffer, base: "keyHead * D", first: "s0", limit: "S", stride: "K * D" };
}

/**
 * Fills a tile so that the row is innermost: tile[d][row], with features from `chunk` on. Consecutive
 * invocations read consecutive features.
 */
function fillTransposed(tile: string, rows: Rows, chunk: string): string {
  const { buffer, base, first, limit, stride } = rows;
  const parts = four.map((i) =>
    `        if (row + ${i} < ${limit}) { ` +
    `value[${i}] = ${buffer}[${base} + (row + ${i}) * ${stride} + d]; }`
  );
  return `for (var v = lane; v < 256u; v += ${attentionSize}u) {
      let d = ${chunk} + i32(v % 32u);
      let row = ${first} + i32(v / 32u) * 4;
      var value = vec4<f32>();
      if (d < D) {
${parts.join("\n")}
      }
      ${tile}[(v % 32u) * 8u + v / 32u] = value;
    }`;
}

/** Fills a tile so that the feature is innermost: tile[row][d]. */
function fillStraight(tile: string, rows: Rows, chunk: string): string {
  const { buffer, base, first, limit, stride } = rows;
  const parts = four.map((i) =>
    `        if (d + ${i} < D) { value[${i}] = ${buffer}[at + ${i}]; }`
  );
  return `for (var v = lane; v < 256u; v += ${attentionSize}u) {
      let d = ${chunk} + i32(v % 8u) * 4;
      let row = ${first} + i32(v / 8u);
      var value = vec4<f32>();
      if (row < ${limit}) {
        let at = ${base} + row * ${stride} + d;
${parts.join("\n")}
      }
      ${tile}[v] = value;
    }`;
}

/** Adds the product of two tiles to `{acc}0 … {acc}3`, one vector per row of this invocation. */
function multiplyTiles(acc: string, leftTile: string, rightTile: string): string {
  const step = four.map((k) =>
    `{
      let l = ${leftTile}[(d + ${k}u) * 8u + y];
      let r = ${rightTile}[(d + ${k}u) * 8u + x];
      ${four.map((i) => `${acc}${i} += l[${i}] * r;`).join(" ")}
      }`
  );
  return `for (var d = 0u; d < 32u; d += 4u) {
      ${step.join("\n      ")}
    }`;
}

/** Declares `{acc}0 … {acc}3` as zeros. */
export function zeros(acc: string): string {
  return four.map((i) => `var ${acc}${i} = vec4<f32>();`).join(" ");
}

/** `{acc}0…3 = Σ_d` left row · right row, over all chunks of features. */
export function rowProducts(acc: string, left: Rows, right: Rows): string {
  return `${zeros(acc)}
    for (var d0 = 0; d0 < D; d0 += 32) {
      workgroupBarrier();
      ${fillTransposed("left", left, "d0")}
      ${fillTransposed("right", right, "d0")}
      workgroupBarrier();
      ${multiplyTiles(acc, "left", "right")}
    }`;
}

/** Adds rows, weighted by a tile, to the accumulators of all chunks of features: `{acc}{chunk}_0 … 3`. */
export function addWeighted(acc: string, chunks: number, tile: string, rows: Rows): string {
  return each(chunks, (c) =>
    `workgroupBarrier();
    ${fillStraight("right", rows, String(c * block))}
    workgroupBarrier();
    ${multiplyTiles(`${acc}${c}_`, tile, "right")}`);
}

/** The texts of all chunks. */
export function each(chunks: number, text: (chunk: number) => string): string {
  return Array.from({ length: chunks }, (_, c) => text(c)).join("\n    ");
}

/**
 * WGSL of a function `score(raw, away, h, R, scale, cap)`: the score of a pair from q·k. With a
 * bias the buffer is `@bias`. The second component is the derivative of the score by scale·q·k.
 */
export function scoreFunction(kernel: AttentionVariant): string {
  const capped = kernel.softcap
    ? `let t = tanh_(raw * scale / cap); var s = vec2<f32>(cap * t, 1.0 - t * t);`
    : `var s = vec2<f32>(raw * scale, 1.0);`;
  const biased = kernel.bias ? `s.x += @bias[h * (2 * R + 1) + clamp(away, -R, R) + R];` : "";
  return `fn score(raw: f32, away: i32, h: i32, R: i32, scale: f32, cap: f32) -> vec2<f32> {
  ${capped}
  ${biased}
  return s;
}`;
}
