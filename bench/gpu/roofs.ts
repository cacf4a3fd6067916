/** What a card can do at its best, by kernels of their own: fused multiply-adds in registers, and copies. @module */

import { listAdapters } from "../../core/device/webgpu/adapter.ts";

/** The roofs of a card. */
export interface CardRoofs {
  /** Fused multiply-adds in f32, as two operations each, per second. */
  readonly flops: number;
  /** Bytes read and written per second. */
  readonly bytes: number;
}

/**
 * Sixteen independent chains of multiply-adds: more than the latency of any card's pipeline. They tend to a number
 * near one: arithmetic on infinities may cost a card other power than a model's does.
 */
const multiplyAdds = (rounds: number) => `
@group(0) @binding(0) var<storage, read_write> out: array<vec4f>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let x = vec4f(0.99) - vec4f(f32(id.x)) * 1e-9;
  let y = vec4f(0.01, 0.011, 0.012, 0.013);
  var a = x; var b = x * 0.9; var c = x * 0.8; var d = x * 0.7;
  for (var i = 0u; i < ${rounds}u; i++) {
    a = fma(a, x, y); b = fma(b, x, y); c = fma(c, x, y); d = fma(d, x, y);
    a = fma(a, x, y); b = fma(b, x, y); c = fma(c, x, y); d = fma(d, x, y);
  }
  out[id.x] = a + b + c + d;
}`;
/** Operations of one round of one invocation. */
const perRound = 8 * 4 * 2;

const copy = `
@group(0) @binding(0) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(1) var<storage, read> from: array<vec4f>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = (id.y * groups.x * 256u) + id.x;
  if (i < arrayLength(&out)) { out[i] = from[i]; }
}`;

/** Measures both roofs of the most powerful adapter; a second or two. */
export async function measureCard(small: boolean): Promise<CardRoofs> {
  const [adapter] = await listAdapters();
  if (!adapter) throw new Error("There is no WebGPU adapter.");
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({
    requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
  });
  try {
    const run = async (code: string, buffers: readonly GPUBuffer[], x: number, y: number) => {
      const module = device.createShaderModule({ code });
      const pipeline = device.createComputePipeline({
        layout: "auto",
        compute: { module, entryPoint: "main" },
      });
      const group = device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
      });
      const once = async (times: number) => {
        const began = performance.now();
        const encoder = device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        for (let i = 0; i < times; i++) pass.dispatchWorkgroups(x, y);
        pass.end();
        device.queue.submit([encoder.finish()]);
        await device.queue.onSubmittedWorkDone();
        return (performance.now() - began) / 1000;
      };
      // Waiting for a card takes up to some 10 ms: work grows until it drowns that.
      let times = 1;
      await once(1);
      while (times < 4096 && await once(times) < (small ? 0.05 : 0.3)) times *= 2;
      const seconds: number[] = [];
      for (let i = 0; i < (small ? 1 : 4); i++) seconds.push(await once(times) / times);
      return Math.min(...seconds);
    };
    const invocations = small ? 2 ** 12 : 2 ** 20;
    const rounds = small ? 16 : 512;
    const buffer = (size: number) => device.createBuffer({ size, usage: GPUBufferUsage.STORAGE });
    const fmaSeconds = await run(
      multiplyAdds(rounds),
      [buffer(16 * invocations)],
      invocations / 256,
      1,
    );
    // More than any card's cache, and no more than a binding holds.
    const bytes = Math.min(small ? 2 ** 20 : 2 ** 30, maxStorageBufferBindingSize, maxBufferSize) &
      ~4095;
    const groups = Math.ceil(bytes / 16 / 256);
    const x = Math.min(groups, 32768);
    const copySeconds = await run(copy, [buffer(bytes), buffer(bytes)], x, Math.ceil(groups / x));
    return {
      flops: perRound * rounds * invocations / fmaSeconds,
      bytes: 2 * bytes / copySeconds,
    };
  } finally {
    device.destroy();
  }
}
