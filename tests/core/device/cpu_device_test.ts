import assert from "node:assert/strict";
import { type CpuOptions, openCpu } from "../../../core/device/cpu/device.ts";
import type { Allocation, Device, Program } from "../../../core/device/device.ts";
import { UserError } from "../../../core/errors.ts";
import type { FusedKernel } from "../../../core/kernel.ts";
import type { BufferRef } from "../../../core/launch.ts";
import type { MatmulKernel, MatmulSizes } from "../../../core/operations/matmul.ts";

const matmul: MatmulKernel = {
  ...{ op: "matmul", a: "f32", b: "f32" },
  ...{ transposeA: false, transposeB: false, accumulate: false },
};

/** y[i] ← x[i] · scalar 1 + scalar 0 */
const scaleAndShift: FusedKernel = {
  ...{ op: "fused", kind: "map", rank: 1 },
  args: [{ dtype: "f32", access: "read" }, { dtype: "f32", access: "write" }],
  body: [
    {
      ...{ op: "load", arg: 0, type: "f32" },
      access: { offset: null, terms: [{ dim: 0, stride: 1 }], masks: [], gather: null },
    },
    { op: "scalar", index: 1, type: "f32" },
    { op: "binary", fn: "mul", x: 0, y: 1, type: "f32" },
    { op: "scalar", index: 0, type: "f32" },
    { op: "binary", fn: "add", x: 2, y: 3, type: "f32" },
    {
      ...{ op: "store", arg: 1, x: 4 },
      access: { offset: null, terms: [{ dim: 0, stride: 1 }], masks: [], gather: null },
    },
  ],
};

/** Sizes of square products, the first factor and the second being any of the arguments. */
const square = (n: number, batch = 1): MatmulSizes => ({
  ...{ batch, m: n, n, k: n, aOffset: 0, aBatch: 0, aRow: n },
  ...{ bOffset: 0, bBatch: 0, bRow: n, cOffset: 0, cBatch: 0, cRow: n },
});

/** c ← a·b·b, with the intermediate result at `offset` in the arena. */
function compileChain(device: Device, n: number, offset: number): Program {
  const [a, b, c] = [0, 1, 2].map((external): BufferRef => ({ external })) as [
    ...[BufferRef, BufferRef, BufferRef],
  ];
  const middle = { arena: offset, bytes: 4 * n * n };
  return device.compile({
    launches: [
      { kernel: matmul, sizes: square(n), args: [a, b, middle] },
      { kernel: matmul, sizes: square(n), args: [middle, b, c] },
    ],
    externals: 3,
    arenaBytes: offset + 4 * n * n,
  });
}

/** A permutation matrix that moves rows by `shift`, times `scale`. */
function shifted(n: number, shift: number, scale = 1): Float32Array<ArrayBuffer> {
  const values = new Float32Array(n * n);
  for (let i = 0; i < n; i++) values[i * n + (i + shift) % n] = scale;
  return values;
}

function upload(device: Device, values: Float32Array<ArrayBuffer>): Allocation {
  const allocation = device.allocate(values.byteLength);
  device.write(allocation, new Uint8Array(values.buffer));
  return allocation;
}

async function download(device: Device, allocation: Allocation): Promise<Float32Array> {
  return new Float32Array((await device.read(allocation, allocation.bytes)).slice().buffer);
}

const noScalars = new Float32Array();

async function withCpu(
  options: CpuOptions,
  body: (device: Device) => Promise<void>,
): Promise<void> {
  const device = await openCpu(options);
  try {
    await body(device);
  } finally {
    device.destroy();
  }
}

for (const threads of [1, 2, 3]) {
  const title = `on ${threads} thread(s)`;

  Deno.test(`the CPU device runs a chain of launches through its arena ${title}`, () =>
    withCpu({ threads }, async (device) => {
      const n = 20;
      const [a, b] = [upload(device, shifted(n, 1, 2)), upload(device, shifted(n, 3, 5))];
      const c = device.allocate(4 * n * n);
      const [near, far] = [compileChain(device, n, 0), compileChain(device, n, 1 << 25)];
      // The second program makes the arena grow and move; the first must follow.
      for (const program of [near, far, near, far]) {
        device.write(c, new Uint8Array(4 * n * n));
        device.run(program, [a, b, c], noScalars);
        assert.deepEqual(await download(device, c), shifted(n, 7, 50));
      }
      await device.synchronize();
    }));

  Deno.test(`the CPU device sees memory that was added after its threads started ${title}`, () =>
    withCpu({ threads, blas: false }, async (device) => {
      const n = 32;
      const program = compileChain(device, n, 0);
      let grown = 0;
      for (let round = 0; round < 12; round++) {
        const before = device.counters().bytes;
        const filler = device.allocate(40 << 20);
        if (device.counters().bytes > before) grown++;
        const a = upload(device, shifted(n, round));
        const b = upload(device, shifted(n, 1));
        const c = device.allocate(4 * n * n);
        device.run(program, [a, b, c], noScalars);
        assert.deepEqual(await download(device, c), shifted(n, round + 2));
        assert.notEqual(filler.id, c.id);
      }
      assert.ok(grown >= 6, `the memory grew in ${grown} rounds`);
    }));

  Deno.test(`a steady loop makes no objects and takes no memory ${title}`, () =>
    withCpu({ threads }, async (device) => {
      const n = 16;
      const program = compileChain(device, n, 256);
      const [a, b] = [shifted(n, 1), shifted(n, 2)];
      const step = async () => {
        const [pa, pb] = [upload(device, a), upload(device, b)];
        const pc = device.allocate(4 * n * n);
        device.run(program, [pa, pb, pc], noScalars);
        device.free(pa);
        const got = await download(device, pc);
        for (const allocation of [pb, pc]) device.free(allocation);
        return got;
      };
      const want = await step();
      const before = device.counters();
      for (let i = 0; i < 1000; i++) {
        const got = await step();
        if (i % 100 === 0) assert.deepEqual(got, want);
      }
      const after = device.counters();
      assert.equal(after.objects, before.objects);
      assert.equal(after.bytes, before.bytes);
      assert.equal(after.peakBytes, before.peakBytes);
      assert.equal(after.runs, before.runs + 1000);
      assert.equal(after.launches, before.launches + 2000);
    }));

  Deno.test(`a run reads its own scalars and numbers of elements ${title}`, () =>
    withCpu({ threads }, async (device) => {
      for (const length of [1, 7, 1000]) {
        const program = device.compile({
          launches: [{
            ...{ kernel: scaleAndShift, ints: [length] },
            args: [{ external: 0 }, { external: 1 }],
          }],
          externals: 2,
          arenaBytes: 0,
        });
        const x = upload(device, Float32Array.from({ length }, (_, i) => i));
        const y = device.allocate(4 * length);
        for (const [shift, scale] of [[1, 2], [-3, 0.5]] as const) {
          device.run(program, [x, y], new Float32Array([shift, scale]));
          const want = Float32Array.from({ length }, (_, i) => i * scale + shift);
          assert.deepEqual(await download(device, y), want);
        }
        assert.throws(() => device.run(program, [x, y], new Float32Array(1)), /reads 2 scalars/);
      }
    }));

  // The second product of the batch is the last thread's, or else follows the first.
  for (const [item, offset, stride] of [[0, 2 ** 40, -(2 ** 40)], [1, 0, 2 ** 40]] as const) {
    Deno.test(`a trap in item ${item} names the kernel and ends the device ${title}`, () =>
      withCpu({ threads, blas: false }, async (device) => {
        const n = 16;
        const sizes = { ...square(n, 2), aOffset: offset, aBatch: stride };
        const program = device.compile({
          launches: [
            {
              kernel: matmul,
              sizes: square(n),
              args: [0, 1, 2].map((external) => ({ external })),
            },
            { kernel: matmul, sizes, args: [0, 1, 2].map((external) => ({ external })) },
          ],
          externals: 3,
          arenaBytes: 0,
        });
        const buffers = [0, 1, 2].map(() => device.allocate(4 * n * n));
        const expected = /failed in launch 1 of a program \(matmul kernel.*out of bounds/;
        assert.throws(() => device.run(program, buffers, noScalars), expected);
        assert.throws(() => device.run(program, buffers, noScalars), /cannot be used any more/);
        await assert.rejects(device.synchronize(), /cannot be used any more/);
        await assert.rejects(device.read(buffers[0]!, 4), /cannot be used any more/);
      }));
  }
}

Deno.test("memory of the CPU device is reused, joined with its neighbours and never overlaps", () =>
  withCpu({ threads: 1 }, async (device) => {
    const start = device.counters().bytes;
    const held: { readonly allocation: Allocation; readonly mark: number }[] = [];
    let state = 1;
    const random = (below: number) => {
      state = Math.imul(state, 1103515245) + 12345 & 0x7fffffff;
      return (state >>> 8) % below;
    };
    for (let round = 0; round < 3000; round++) {
      if (held.length > 40 || (held.length > 0 && random(2) === 0)) {
        const [{ allocation, mark }] = held.splice(random(held.length), 1) as [typeof held[0]];
        const bytes = await device.read(allocation, allocation.bytes);
        assert.ok(bytes.every((byte) => byte === mark), "another allocation wrote here");
        device.free(allocation);
      } else {
        const allocation = device.allocate(1 + random(20000));
        const mark = random(256);
        device.write(allocation, new Uint8Array(allocation.bytes).fill(mark));
        held.push({ allocation, mark });
      }
    }
    for (const { allocation } of held) device.free(allocation);
    // All of it is one piece again.
    device.free(device.allocate(start - 65536));
    assert.equal(device.counters().bytes, start);
    assert.equal(device.counters().objects, 0);
  }));

Deno.test("the CPU device refuses what it cannot hold, and what is no longer there", async () => {
  await assert.rejects(openCpu({ threads: 0 }), UserError);
  await assert.rejects(openCpu({ threads: 1.5 }), /integer from 1 to/);
  const device = await openCpu({ threads: 2 });
  assert.throws(() => device.allocate(2 ** 40), (error) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /Cannot allocate 1048576 MiB .* limited to \d+ MiB/);
    return true;
  });
  const allocation = device.allocate(10);
  assert.equal(allocation.bytes, 12);
  assert.throws(() => device.write(allocation, new Uint8Array(16)), /Cannot write 16 bytes/);
  await assert.rejects(device.read(allocation, 16), /Cannot read 16 bytes/);
  const copy = await device.read(allocation, 12);
  assert.ok(copy.buffer instanceof ArrayBuffer, "what is read is not shared memory");
  device.free(allocation);
  assert.throws(() => device.free(allocation), /was freed/);
  await assert.rejects(device.read(allocation, 4), /was freed/);
  const program = compileChain(device, 4, 0);
  const buffers = [0, 1, 2].map(() => device.allocate(64));
  assert.throws(() => device.run(program, buffers.slice(1), noScalars), /3 externals, not 2/);
  program.dispose();
  assert.throws(() => device.run(program, buffers, noScalars), /disposed/);
  device.destroy();
  device.destroy();
  assert.throws(() => device.allocate(4), /was destroyed/);
});

const device = JSON.stringify(new URL("../../../core/device/cpu/device.ts", import.meta.url));

/** Runs a script in a process of its own. */
async function script(
  text: string,
  permissions: readonly string[],
  interrupt = false,
): Promise<{ code: number; signal: string | null; output: string }> {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, text);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "--no-prompt", ...permissions, file],
      stdout: "piped",
      stderr: "piped",
      env: { NO_COLOR: "1" },
    }).spawn();
    const limit = setTimeout(() => child.kill("SIGKILL"), 20000);
    const reader = child.stdout.getReader();
    let output = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      output += new TextDecoder().decode(value);
      if (interrupt && output.includes("\n")) child.kill("SIGINT");
    }
    const errors = await new Response(child.stderr).text();
    const { code, signal } = await child.status;
    clearTimeout(limit);
    return { code, signal, output: output + errors };
  } finally {
    await Deno.remove(file);
  }
}

/** A product on a device that nobody destroys. */
const useDevice = `
import { openCpu } from ${device};
const device = await openCpu({ threads: 2 });
const buffers = [0, 1, 2].map(() => device.allocate(4 * 32 * 32));
for (const buffer of buffers) device.write(buffer, new Uint8Array(4 * 32 * 32));
const program = device.compile({
  launches: [{
    kernel: ${JSON.stringify(matmul)},
    sizes: ${JSON.stringify(square(32))},
    args: [{ external: 0 }, { external: 1 }, { external: 2 }],
  }],
  externals: 3,
  arenaBytes: 0,
});
device.run(program, buffers, new Float32Array());
console.log(device.description, (await device.read(buffers[2], 8)).length);
`;

Deno.test("a process that forgets to destroy the CPU device still ends", async () => {
  for (const end of ["", "await new Promise((done) => setTimeout(done, 50));", "Deno.exit(0);"]) {
    const { code, output } = await script(useDevice + end, ["-A"]);
    assert.equal(code, 0, output);
    assert.match(output, /^CPU, 2 threads, .* 8\n$/);
  }
});

Deno.test("a process that uses the CPU device can be interrupted", async () => {
  const forever = "for (;;) await new Promise((done) => setTimeout(done, 1000));";
  const { signal, output } = await script(useDevice + forever, ["-A"], true);
  assert.equal(signal, "SIGINT", output);
});

Deno.test("the CPU device needs no permission; without any it has one thread and no BLAS", async () => {
  const { code, output } = await script(useDevice, []);
  assert.equal(code, 0, output);
  assert.match(output, /^CPU, 1 thread, built-in matrix products, workers could not be started: /);
});

Deno.test("environment variables set threads and switch the BLAS off", async () => {
  const text = useDevice.replace("{ threads: 2 }", "{}");
  const set = `Deno.env.set("PLUMB_THREADS", "3"); Deno.env.set("PLUMB_BLAS", "0");\n`;
  const { code, output } = await script(
    text.replace("const device", set + "const device"),
    ["-A"],
  );
  assert.equal(code, 0, output);
  assert.equal(output, "CPU, 3 threads, built-in matrix products 8\n");
});
