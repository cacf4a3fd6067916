import assert from "node:assert/strict";
import { jit, type Operand, setDevice, softmax, type Tensor, tensor, vjp } from "../../core/mod.ts";
import { printKernel, printPlan } from "../../core/print.ts";
import { adamW, rmsNorm } from "./decoder.ts";
import { referenceDevice } from "./reference_device.ts";

setDevice(referenceDevice(32));

const zeros = (...shape: number[]) =>
  tensor(new Float32Array(shape.reduce((a, n) => a * n, 1)), { shape });

/** The text of the plan, which must be the expected one but for its indentation. */
function assertPlan<A extends readonly unknown[]>(
  expected: string,
  f: (...args: A) => unknown,
  args: A,
  donate: readonly number[] = [],
): void {
  const lines = expected.split("\n").filter((line) => line.trim() !== "");
  const margin = lines[0]!.length - lines[0]!.trimStart().length;
  const text = lines.map((line) => line.slice(margin)).join("\n");
  assert.equal(printPlan(jit(f, { donate }).plan(...args).plan), text);
}

Deno.test("softmax is one row kernel", () => {
  assertPlan(
    `
    1 launches, 2 externals, arena 0
    row [5, 7] (a0: read f32, a1: write f32) <- a0=external 0 a1=external 1
      %0 = a0[7·i + j]
      %1 = reduce max %0
      %2 = f32 -Infinity
      %3 = eq %1 %2
      %4 = f32 0
      %5 = where %3 %4 %1
      %6 = sub %0 %5
      %7 = exp %6
      %8 = reduce sum %7
      %9 = eq %8 %4
      %10 = f32 1
      %11 = where %9 %10 %8
      %12 = div %7 %11
      a1[7·i + j] = %12
    `,
    (x: Tensor) => softmax(x),
    [zeros(5, 7)],
  );
});

Deno.test("softmax and its gradient are one row kernel", () => {
  const { plan } = jit((x: Tensor, g: Tensor) => vjp((x: Tensor) => softmax(x), x)[1](g))
    .plan(zeros(5, 7), zeros(5, 7));
  assert.equal(plan.launches.length, 1);
  const { kernel } = plan.launches[0]!;
  assert.ok(kernel.op === "fused" && kernel.kind === "row");
  assert.deepEqual(kernel.args.map(({ access }) => access), ["read", "read", "write"]);
});

Deno.test("LayerNorm is one row kernel with two sums", () => {
  assertPlan(
    `
    1 launches, 2 externals, arena 0
    row [6, 8] (a0: read f32, a1: write f32) <- a0=external 0 a1=external 1
      %0 = a0[8·i + j]
      %1 = reduce sum %0
      %2 = f32 0.125
      %3 = mul %1 %2
      %4 = sub %0 %3
      %5 = mul %4 %4
      %6 = reduce sum %5
      %7 = mul %6 %2
      %8 = f32 0.00001
      %9 = add %7 %8
      %10 = sqrt %9
      %11 = div %4 %10
      a1[8·i + j] = %11
    `,
    (x: Tensor) => {
      const centred = x.sub(x.mean(-1, { keepDims: true }));
      const variance = centred.square().mean(-1, { keepDims: true });
      return centred.div(variance.add(1e-5).sqrt());
    },
    [zeros(6, 8)],
  );
});

Deno.test("RMSNorm is one row kernel forward and one backward; its gain's gradient is a column kernel", () => {
  assertPlan(
    `
    1 launches, 3 externals, arena 0
    row [5, 8] (a0: read f32, a1: read f32, a2: write f32) <- a0=external 0 a1=external 1 a2=external 2
      %0 = a0[8·i + j]
      %1 = mul %0 %0
      %2 = reduce sum %1
      %3 = f32 0.125
      %4 = mul %2 %3
      %5 = f32 0.000001
      %6 = add %4 %5
      %7 = rsqrt %6
      %8 = mul %0 %7
      %9 = a1[j]
      %10 = mul %8 %9
      a2[8·i + j] = %10
    `,
    rmsNorm,
    [zeros(5, 8), zeros(8)],
  );
  assertPlan(
    `
    3 launches, 5 externals, arena 512
    row [5, 8] (a0: read f32, a1: write f32, a2: write f32) <- a0=external 0 a1=arena 0+20 a2=arena 256+20
      %0 = a0[8·i + j]
      %1 = mul %0 %0
      %2 = reduce sum %1
      %3 = f32 0.125
      %4 = mul %2 %3
      %5 = f32 0.000001
      %6 = add %4 %5
      %7 = rsqrt %6
      a1[i] = %6
      a2[i] = %7
    column [5, 8] (a0: read f32, a1: read f32, a2: read f32, a3: write f32) <- a0=external 0 a1=arena 256+20 a2=external 1 a3=external 2
      %0 = a0[8·i + j]
      %1 = a1[i]
      %2 = mul %0 %1
      %3 = a2[8·i + j]
      %4 = mul %3 %2
      %5 = reduce sum %4
      a3[j] = %5
    row [5, 8] (a0: read f32, a1: read f32, a2: read f32, a3: read f32, a4: read f32, a5: write f32) <- a0=external 1 a1=external 3 a2=external 0 a3=arena 256+20 a4=arena 0+20 a5=external 4
      %0 = a0[8·i + j]
      %1 = a1[j]
      %2 = mul %0 %1
      %3 = a2[8·i + j]
      %4 = mul %2 %3
      %5 = reduce sum %4
      %6 = a3[i]
      %7 = mul %5 %6
      %8 = a4[i]
      %9 = f32 -2
      %10 = mul %8 %9
      %11 = div %7 %10
      %12 = f32 0.125
      %13 = mul %11 %12
      %14 = mul %13 %3
      %15 = mul %2 %6
      %16 = add %15 %14
      %17 = add %16 %14
      a5[8·i + j] = %17
    `,
    (x: Tensor, gain: Tensor, g: Tensor) =>
      vjp((p: { x: Tensor; gain: Tensor }) => rmsNorm(p.x, p.gain), { x, gain })[1](g),
    [zeros(5, 8), zeros(8), zeros(5, 8)],
  );
});

Deno.test("a gain's gradient over many rows is summed in two stages, products inside the first", () => {
  assertPlan(
    `
    2 launches, 3 externals, arena 1024
    column [32, 32, 8] (a0: read f32, a1: read f32, a2: write f32) <- a0=external 0 a1=external 1 a2=arena 0+1024
      %0 = a0[256·i + 8·j + k]
      %1 = a1[256·i + 8·j + k]
      %2 = mul %0 %1
      %3 = reduce sum %2
      a2[8·i + k] = %3
    column [32, 8] (a0: read f32, a1: write f32) <- a0=arena 0+1024 a1=external 2
      %0 = a0[8·i + j]
      %1 = reduce sum %0
      a1[j] = %1
    `,
    (g: Tensor, x: Tensor) => vjp((gain: Tensor) => x.mul(gain), tensor(new Float32Array(8)))[1](g),
    [zeros(1024, 8), zeros(1024, 8)],
  );
});

Deno.test("AdamW of one parameter is one map kernel with three results in place", () => {
  assertPlan(
    `
    1 launches, 4 externals, arena 0
    map [42] (a0: readwrite f32, a1: read f32, a2: readwrite f32, a3: readwrite f32) <- a0=external 0 a1=external 1 a2=external 2 a3=external 3
      %0 = a0[i]
      %1 = f32 0.9
      %2 = mul %0 %1
      %3 = a1[i]
      %4 = f32 0.1
      %5 = mul %3 %4
      %6 = add %2 %5
      %7 = a2[i]
      %8 = f32 0.999
      %9 = mul %7 %8
      %10 = mul %3 %3
      %11 = f32 0.001
      %12 = mul %10 %11
      %13 = add %9 %12
      %14 = scalar 1
      %15 = div %6 %14
      %16 = scalar 2
      %17 = div %13 %16
      %18 = sqrt %17
      %19 = f32 1e-8
      %20 = add %18 %19
      %21 = div %15 %20
      %22 = a3[i]
      %23 = f32 0.01
      %24 = mul %22 %23
      %25 = add %24 %21
      %26 = scalar 0
      %27 = mul %25 %26
      %28 = sub %22 %27
      a0[i] = %6
      a2[i] = %13
      a3[i] = %28
    `,
    (
      state: { readonly p: Tensor; readonly m: Tensor; readonly v: Tensor },
      g: Tensor,
      rate: Operand,
      correction1: Operand,
      correction2: Operand,
    ) => adamW([state.p, g, state.m, state.v], rate, correction1, correction2),
    [{ p: zeros(6, 7), m: zeros(6, 7), v: zeros(6, 7) }, zeros(6, 7), 1, 1, 1],
    [0],
  );
});

Deno.test("an elementwise chain with several results is one kernel", () => {
  assertPlan(
    `
    1 launches, 5 externals, arena 0
    map [6, 7] (a0: read f32, a1: read f32, a2: write f32, a3: write f32, a4: write f32) <- a0=external 0 a1=external 1 a2=external 2 a3=external 3 a4=external 4
      %0 = a0[7·i + j]
      %1 = a1[j]
      %2 = mul %0 %1
      %3 = exp %2
      %4 = add %3 %0
      %5 = sub %3 %1
      %6 = tanh %5
      a2[7·i + j] = %3
      a3[7·i + j] = %4
      a4[7·i + j] = %6
    `,
    (x: Tensor, y: Tensor) => {
      const e = x.mul(y).exp();
      return [e, e.add(x), e.sub(y).tanh()];
    },
    [zeros(6, 7), zeros(7)],
  );
});

Deno.test("a rotary embedding is one kernel that reads the halves where they are", () => {
  assertPlan(
    `
    1 launches, 4 externals, arena 0
    map [6, 4] (a0: read f32, a1: read f32, a2: read f32, a3: write f32) <- a0=external 0 a1=external 1 a2=external 2 a3=external 3
      %0 = a0[2 + 4·i + j] if 0 ≤ j < 2
      %1 = neg %0
      %2 = a0[-2 + 4·i + j] if 2 ≤ j < 4
      %3 = add %1 %2
      %4 = a0[4·i + j]
      %5 = a1[j]
      %6 = mul %4 %5
      %7 = a2[j]
      %8 = mul %3 %7
      %9 = add %6 %8
      a3[4·i + j] = %9
    `,
    (x: Tensor, cos: Tensor, sin: Tensor) => {
      const turned = x.slice(2, 4, 1).neg().pad(0, 2, 1).add(x.slice(0, 2, 1).pad(2, 0, 1));
      return x.mul(cos).add(turned.mul(sin));
    },
    [zeros(6, 4), zeros(4), zeros(4)],
  );
});

Deno.test("a mask that several kernels need is made in each, not stored", () => {
  const { plan } = jit((labels: Tensor, x: Tensor, w: Tensor) => {
    const ids = tensor(Int32Array.from([0, 1, 2, 3, 4, 5, 6, 7]));
    const hit = labels.unsqueeze(1).eq(ids);
    const picked = hit.cast("f32").mul(x);
    return picked.matmul(w).add(hit.cast("f32"));
  }).plan(tensor(new Int32Array(6)), zeros(6, 8), zeros(8, 8));
  for (const { kernel } of plan.launches) {
    if (kernel.op !== "fused") continue;
    assert.ok(kernel.args.every(({ dtype }) => dtype !== "bool"), printKernel(kernel));
  }
});

Deno.test("kernels without their numbers are printed with slots", () => {
  const { plan } = jit((x: Tensor) => x.slice(1, 3).mul(2)).plan(zeros(5, 7));
  assert.equal(
    printKernel(plan.launches[0]!.kernel),
    [
      "map [n0] (a0: read f32, a1: write f32)",
      "  %0 = a0[n1 + i]",
      "  %1 = f32 2",
      "  %2 = mul %0 %1",
      "  a1[i] = %2",
    ].join("\n"),
  );
  const product = jit((x: Tensor) => x.matmul(x)).plan(zeros(2, 2)).plan.launches[0]!;
  assert.equal(printKernel(product.kernel), "matmul a=f32 b=f32");
});
