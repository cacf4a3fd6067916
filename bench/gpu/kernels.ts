/** Products and attention as shares of the card's roofs. @module */

import {
  attention,
  type Device,
  jit,
  matmul,
  randomKey,
  randomNormal,
  realize,
  type Tensor,
  tensor,
  vjp,
} from "../../core/mod.ts";
import { buildStream } from "../../data/batches/token_stream.ts";
import { timeSteady } from "../measure.ts";
import { measureCard } from "./roofs.ts";
import type { SectionContext } from "./section.ts";

const timing = (small: boolean) => ({
  samples: small ? 1 : 5,
  budgetMs: small ? 1 : 1500,
  sampleMs: small ? 1 : 150,
});

/** Shapes of products, [m, k] · [n, k]ᵀ as layers have them, and what has them. */
const products = [
  [512, 896, 4864, "0.5B, feed-forward"],
  [512, 4864, 896, "0.5B, down"],
  [512, 896, 151936, "0.5B, output head"],
  [2048, 4096, 4096, "8B, attention"],
  [2048, 4096, 14336, "8B, feed-forward"],
  [8192, 4096, 14336, "8B, 4 × 2,048 tokens"],
  [4096, 4096, 4096, "square"],
  [1, 4096, 14336, "8B, one token"],
  [8, 896, 4864, "0.5B, eight tokens"],
  [64, 4096, 4096, "8B, 64 tokens"],
] as const;

/** f32 products by shape. */
export async function measureProducts(
  { small, device: open, keep }: SectionContext,
): Promise<void> {
  const roofs = await measureCard(small);
  keep({
    shape: "roofs",
    "GFLOP/s": roofs.flops / 1e9,
    "GB/s": roofs.bytes / 1e9,
  });
  const device = await open();
  for (const [m, k, n, of] of some(products, small)) {
    const size = small ? (x: number) => Math.min(x, 64) : (x: number) => x;
    const shape = [size(m), size(k), size(n)] as const;
    keep({ shape: shape.join(" × "), of, ...await product(device, shape, small, roofs) });
  }
}

async function product(
  device: Device,
  [m, k, n]: readonly [number, number, number],
  small: boolean,
  roofs: { readonly flops: number; readonly bytes: number },
) {
  const [a, b] = [random([m, k], 1), random([n, k], 2)];
  await realize([a, b]);
  const multiply = jit((x: Tensor, y: Tensor) => matmul(x, y, { transposeB: true }));
  const ms = await timeSteady(device, () => multiply(a, b).dispose(), timing(small));
  a.dispose();
  b.dispose();
  const [flops, bytes] = [2 * m * k * n, 4 * (m * k + k * n + m * n)];
  const least = Math.max(flops / roofs.flops, bytes / roofs.bytes) * 1000;
  return {
    ms,
    "GFLOP/s": flops / ms / 1e6,
    "GB/s": bytes / ms / 1e6,
    "% of the roof": 100 * least / ms,
    "bound by": flops / roofs.flops > bytes / roofs.bytes ? "arithmetic" : "memory",
  };
}

/** Heads, key heads, width and tokens of attention. */
const attentions = [
  [14, 2, 64, 512, "0.5B"],
  [14, 2, 64, 4096, "0.5B"],
  [32, 8, 128, 512, "8B"],
  [32, 8, 128, 2048, "8B"],
  [32, 8, 128, 8192, "8B"],
] as const;

/** Causal attention, forward and backward. */
export async function measureAttention(
  { small, device: open, keep }: SectionContext,
): Promise<void> {
  const roofs = await measureCard(small);
  const device = await open();
  for (const [heads, keyHeads, width, tokens, of] of small ? attentions.slice(1, 3) : attentions) {
    const t = small ? 64 : tokens;
    const { segments } = buildStream([{ ids: new Int32Array(t) }]);
    const at = tensor(segments, { shape: [5, t] });
    const inputs = {
      q: random([t, heads, width], 1),
      k: random([t, keyHeads, width], 2),
      v: random([t, keyHeads, width], 3),
    };
    const cotangent = random([t, heads, width], 4);
    await realize([inputs, cotangent, at]);
    const attend = ({ q, k, v }: typeof inputs) => attention(q, k, v, { querySegments: at });
    const forward = jit(attend);
    const both = jit((x: typeof inputs, g: Tensor) => {
      const [out, pull] = vjp(attend, x);
      return { out, ...pull(g) };
    });
    const forwardMs = await timeSteady(device, () => forward(inputs).dispose(), timing(small));
    const bothMs = await timeSteady(device, () => {
      for (const result of Object.values(both(inputs, cotangent))) result.dispose();
    }, timing(small));
    for (const x of [...Object.values(inputs), cotangent, at]) x.dispose();
    // Two products forward and five backward, over the visible half of the square.
    const one = 2 * (t * (t + 1) / 2) * heads * width;
    const share = (flops: number, ms: number) => 100 * flops / roofs.flops * 1000 / ms;
    keep({
      tokens: t,
      heads: `${heads} of ${width}, ${keyHeads} keys`,
      of,
      "forward ms": forwardMs,
      "% of the roof": share(2 * one, forwardMs),
      "forward + backward ms": bothMs,
      "both, % of the roof": share(7 * one, bothMs),
    });
  }
}

function random(shape: readonly number[], seed: number): Tensor {
  return randomNormal(randomKey(seed), shape);
}

/** In miniature all shapes are cut to the same few numbers: the first and the last stand for all. */
function some<T>(all: readonly T[], small: boolean): readonly T[] {
  return small ? [all[0]!, all.at(-1)!] : all;
}
