/** Attention, forward and backward. @module */

import { attention, jit, realize, setDevice, type Tensor, tensor, vjp } from "../core/mod.ts";
import { buildStream } from "../data/batches/token_stream.ts";
import type { Backend } from "./backend.ts";
import { pseudoRandom, timeSteady } from "./measure.ts";
import type { Piece, PieceOptions, Row } from "./piece.ts";

const heads = 8;
const keyHeads = 4;
const width = 64;

/** Milliseconds of attention over one stream, of one segment and of many. */
export const attentionPiece: Piece = {
  name: "attention",
  title: `Causal attention, f32, ${heads} query and ${keyHeads} key/value heads of width ${width}`,
  casesAre: "rows",
  run: async (backend, options) => {
    setDevice(backend.device);
    // A software adapter takes a second for 512 tokens where a processor's own code takes milliseconds.
    const tokens = options.quick ? 128 : backend.software ? 512 : 2048;
    const rows: Row[] = [];
    for (const segments of options.quick ? [2] : [1, 16]) {
      rows.push(await measure(tokens, segments, backend, options));
    }
    return rows;
  },
};

async function measure(
  tokens: number,
  segments: number,
  { device, software }: Backend,
  { quick }: PieceOptions,
): Promise<Row> {
  const length = tokens / segments;
  const layout = buildStream(
    Array.from({ length: segments }, () => ({ ids: new Int32Array(length) })),
  );
  const random = (h: number, seed: number) =>
    tensor(pseudoRandom(tokens * h * width, seed), { shape: [tokens, h, width] });
  const inputs = { q: random(heads, 1), k: random(keyHeads, 2), v: random(keyHeads, 3) };
  const [cotangent, querySegments] = [
    random(heads, 4),
    tensor(layout.segments, { shape: [5, tokens] }),
  ];
  await realize([inputs, cotangent, querySegments]);
  const attend = ({ q, k, v }: typeof inputs, at: Tensor) =>
    attention(q, k, v, { querySegments: at });
  const forward = jit(attend);
  const both = jit((x: typeof inputs, at: Tensor, g: Tensor) => {
    const [out, pull] = vjp((y: typeof inputs) => attend(y, at), x);
    return { out, ...pull(g) };
  });
  await check(forward(inputs, querySegments), inputs.v, length);
  const options = {
    samples: quick ? 3 : software ? 3 : 9,
    budgetMs: quick ? 500 : 5000,
    sampleMs: device.kind === "webgpu" ? 100 : 5,
  };
  const forwardMs = await timeSteady(
    device,
    () => forward(inputs, querySegments).dispose(),
    options,
  );
  const bothMs = await timeSteady(device, () => {
    for (const t of Object.values(both(inputs, querySegments, cotangent))) t.dispose();
  }, options);
  for (const t of [...Object.values(inputs), cotangent, querySegments]) t.dispose();
  // Two products forward and five backward, each over the half of the square that is visible.
  const product = 2 * segments * (length * (length + 1) / 2) * heads * width;
  return {
    case: `${segments} × ${length} tokens`,
    "forward ms": forwardMs,
    "forward GFLOP/s": 2 * product / forwardMs / 1e6,
    "forward + backward ms": bothMs,
    "forward + backward GFLOP/s": 7 * product / bothMs / 1e6,
    ...(software && !quick ? { note: "fewer tokens: software adapter" } : {}),
  };
}

/** The first token of a segment sees itself alone, so it gets its own value. */
async function check(out: Tensor, v: Tensor, length: number): Promise<void> {
  const [found, values] = [await out.data(), await v.data()];
  out.dispose();
  for (let token = 0; token < out.shape[0]!; token += length) {
    for (let h = 0; h < heads; h++) {
      const keyHead = Math.floor(h * keyHeads / heads);
      const got = found[(token * heads + h) * width]!;
      const expected = values[(token * keyHeads + keyHead) * width]!;
      if (!(Math.abs(got - expected) < 1e-5)) {
        throw new Error(`Attention of token ${token}, head ${h} is ${got}, not ${expected}`);
      }
    }
  }
}
