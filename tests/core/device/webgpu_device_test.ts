import assert from "node:assert/strict";
import { UserError } from "../../../core/errors.ts";
import type { Access, FusedKernel } from "../../../core/kernel.ts";
import type { Launch, Plan } from "../../../core/launch.ts";
import { openWebGpu } from "../../../core/device/webgpu/device.ts";
import { foldWorkgroups } from "../../../core/device/webgpu/program.ts";
import { asFloats, gpu, gpuTest, upload } from "./webgpu.ts";

const flat: Access = { offset: null, terms: [{ dim: 0, stride: 1 }], masks: [], gather: null };

/** out = x·scalar + 1. */
const scale: FusedKernel = {
  op: "fused",
  kind: "map",
  rank: 1,
  args: [{ dtype: "f32", access: "read" }, { dtype: "f32", access: "write" }],
  body: [
    { op: "load", arg: 0, access: flat, type: "f32" },
    { op: "scalar", index: 0, type: "f32" },
    { op: "binary", fn: "mul", x: 0, y: 1, type: "f32" },
    { op: "const", value: 1, type: "f32" },
    { op: "binary", fn: "add", x: 2, y: 3, type: "f32" },
    { op: "store", arg: 1, access: flat, x: 4 },
  ],
};

function launch(count: number, args: Launch["args"], kernel = scale): Launch {
  return { kernel, ints: [count], args };
}

/** Three launches through two ranges of the arena: x ↦ ((x·s + 1)·s + 1)·s + 1. */
const chain: Plan = {
  launches: [
    launch(50, [{ external: 0 }, { arena: 0, bytes: 200 }]),
    launch(50, [{ arena: 0, bytes: 200 }, { arena: 256, bytes: 200 }]),
    launch(50, [{ arena: 256, bytes: 200 }, { external: 1 }]),
  ],
  externals: 2,
  arenaBytes: 512,
};

gpuTest("programs run in order over one arena, with new scalars each run", async (device) => {
  const x = upload(device, Float32Array.from({ length: 50 }, (_, i) => i));
  const y = device.allocate(200);
  const z = device.allocate(200);
  const program = device.compile(chain);
  device.run(program, [x, y], Float32Array.of(2));
  device.run(program, [y, z], Float32Array.of(3));
  device.write(y, new Uint8Array(200));
  const after = asFloats(await device.read(z, 200));
  const once = (value: number, s: number) => ((value * s + 1) * s + 1) * s + 1;
  after.forEach((value, i) => assert.equal(value, once(once(i, 2), 3)));
  assert.deepEqual(await device.read(y, 200), new Uint8Array(200));
  program.dispose();
  assert.throws(() => device.run(program, [x, y], Float32Array.of(1)), /disposed/);
  [x, y, z].forEach((allocation) => device.free(allocation));
  assert.throws(() => device.free(x), /not live/);
});

gpuTest("a steady loop creates no device objects and keeps its memory", async (device) => {
  const program = device.compile(chain);
  const step = async () => {
    const x = upload(device, new Float32Array(50));
    const y = device.allocate(200);
    device.run(program, [x, y], Float32Array.of(1));
    device.free(x);
    const bytes = await device.read(y, 4);
    device.free(y);
    return bytes;
  };
  for (let i = 0; i < 3; i++) await step();
  const before = device.counters();
  for (let i = 0; i < 20; i++) await step();
  const after = device.counters();
  assert.equal(after.objects, before.objects);
  assert.equal(after.bytes, before.bytes);
  assert.equal(after.peakBytes, before.peakBytes);
  assert.equal(after.runs - before.runs, 20);
  assert.equal(after.launches - before.launches, 60);
  program.dispose();
});

gpuTest("programs with a larger arena do not disturb the smaller ones", async (device) => {
  const small = device.compile(chain);
  const x = upload(device, new Float32Array(50));
  const y = device.allocate(200);
  device.run(small, [x, y], Float32Array.of(1));
  const large = device.compile({ ...chain, arenaBytes: 2 ** 22 });
  device.run(large, [x, y], Float32Array.of(2));
  device.run(small, [x, y], Float32Array.of(1));
  assert.equal(asFloats(await device.read(y, 4))[0], 3);
  small.dispose();
  large.dispose();
});

gpuTest(
  "allocations and bindings beyond the adapter's limits are refused with their size",
  (device) => {
    assert.throws(() => device.allocate(2 ** 50), (error: Error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /1125899906842624 bytes/);
      return true;
    });
    const wide = { ...chain, launches: [launch(2 ** 31, [{ external: 0 }, { external: 1 }])] };
    assert.throws(() => device.compile(wide), /2147483648 elements/);
    const outside = launch(1, [{ external: 0 }, { arena: 256, bytes: 512 }]);
    assert.throws(() => device.compile({ ...chain, launches: [outside] }), /arena of 512 bytes/);
    return Promise.resolve();
  },
);

gpuTest("an error of the GPU rejects the next read and names the kernel", async () => {
  const device = (await openWebGpu())!;
  const broken: FusedKernel = {
    ...scale,
    body: [
      { op: "load", arg: 0, access: flat, type: "f32" },
      { op: "binary", fn: "and", x: 0, y: 0, type: "f32" },
      { op: "store", arg: 1, access: flat, x: 1 },
    ],
  };
  const x = upload(device, new Float32Array(50));
  const y = device.allocate(200);
  const plan = {
    ...chain,
    launches: [launch(50, [{ external: 0 }, { external: 1 }], broken)],
  };
  device.run(device.compile(plan), [x, y], new Float32Array());
  await assert.rejects(device.read(y, 200), /fused map of f32, f32 \(and\)/);
  device.run(device.compile(chain), [x, y], Float32Array.of(1));
  assert.equal(asFloats(await device.read(y, 4))[0], 3, "the device goes on");
  device.destroy();
  await assert.rejects(device.synchronize());
});

gpuTest("reading many buffers at once gives each its own bytes", async (device) => {
  const sizes = [4, 100_000, 20, 8];
  const buffers = sizes.map((size, i) => upload(device, new Uint8Array(size).fill(i + 1)));
  const results = await Promise.all(buffers.map((buffer, i) => device.read(buffer, sizes[i]!)));
  results.forEach((bytes, i) => {
    assert.equal(bytes.length, sizes[i]);
    assert.ok(bytes.every((byte) => byte === i + 1));
  });
  buffers.forEach((buffer) => device.free(buffer));
});

Deno.test("workgroups fold over two dimensions within the limit", () => {
  assert.deepEqual(foldWorkgroups(7, 65535), { x: 7, y: 1 });
  for (const count of [65536, 1_000_003, 65535 ** 2]) {
    const { x, y } = foldWorkgroups(count, 65535);
    assert.ok(x <= 65535 && y <= 65535 && x * y >= count && (x - 1) * y < count);
  }
  assert.throws(() => foldWorkgroups(65535 ** 2 + 1, 65535), UserError);
});

for (const ending of ["device.destroy();", ""]) {
  const name = `a process ends by itself ${ending ? "after" : "without"} destroy()`;
  Deno.test({
    name: `webgpu: ${name}`,
    ignore: gpu === undefined,
    fn: async () => {
      const module = new URL("../../../core/device/webgpu/device.ts", import.meta.url).href;
      const code = `
        const { openWebGpu } = await import(${JSON.stringify(module)});
        const device = await openWebGpu();
        const x = device.allocate(64);
        device.write(x, new Uint8Array(64).fill(3));
        console.log((await device.read(x, 4)).join());
        ${ending}`;
      const output = await new Deno.Command(Deno.execPath(), {
        args: ["eval", "--no-check", code],
        signal: AbortSignal.timeout(20_000),
      }).output();
      assert.equal(output.code, 0, new TextDecoder().decode(output.stderr));
      assert.equal(new TextDecoder().decode(output.stdout).trim(), "3,3,3,3");
    },
  });
}
