import assert from "node:assert/strict";
import {
  type Device,
  type DeviceObserver,
  jit,
  type ProfileReport,
  type Roofline,
  setDevice,
  showProfile,
  softmax,
  startProfile,
  type Tensor,
  tensor,
} from "../../../core/mod.ts";
import { openWebGpu } from "../../../core/device/webgpu/device.ts";
import { launchTimes } from "../../../core/device/webgpu/timestamps.ts";
import { devices, eachDevice } from "../../devices.ts";

function matrix(side: number): Tensor {
  const data = Float32Array.from({ length: side * side }, (_, i) => Math.sin(i) / side);
  return tensor(data, { shape: [side, side] });
}

/** A step of products and rows. */
function stepOf() {
  return jit((x: Tensor) => softmax(x.matmul(x).matmul(x.transpose())).mul(2));
}

/** Measured by the first profile of each device. */
const rooflines = new Map<string, Roofline>();

/** A step, with its result given back. */
async function runOnce(step: (x: Tensor) => Tensor, x: Tensor): Promise<void> {
  const y = step(x);
  await y.data();
  y.dispose();
}

async function profileOf(device: Device, side: number, steps: number): Promise<ProfileReport> {
  const [step, x] = [stepOf(), matrix(side)];
  await step(x).data();
  const roofline = rooflines.get(device.kind);
  const profile = await startProfile(device, { tracedSteps: 2, ...(roofline && { roofline }) });
  for (let i = 0; i < steps; i++) {
    profile.step();
    await step(x).data();
  }
  const report = await profile.stop();
  rooflines.set(device.kind, report.roofline);
  return report;
}

eachDevice("a profile counts the launches of steps, and what they cost", async (device) => {
  const report = await profileOf(device, 64, 3);
  assert.deepEqual([report.steps, report.runs], [3, 3]);
  const products = report.kernels.filter(({ family }) => family === "matmul f32");
  assert.deepEqual(products.map(({ name }) => name).toSorted(), [
    "matmul 64x64x64 f32",
    "matmul 64x64x64 f32, Bᵀ",
  ]);
  for (const { launches, cost } of products) {
    assert.equal(launches, 3);
    assert.deepEqual(cost, { flops: 2 * 64 ** 3, bytes: 3 * 4 * 64 ** 2 });
  }
  const [rows] = report.kernels.filter(({ name }) => name.startsWith("fused rows 64x64 softmax"));
  assert.ok(rows);
  assert.equal(rows.cost.bytes, 2 * 4 * 64 ** 2);
  for (const { ms, boundMs } of report.kernels) assert.ok(ms > 0 && boundMs > 0);
  assert.ok(report.roofline.flopsPerMs > 1e5 && report.roofline.bytesPerMs > 1e4);
});

eachDevice("kernel times of a profile fit into the time of its steps", async (device) => {
  const { wallMs, deviceMs } = await profileOf(device, 384, 4);
  assert.ok(deviceMs < wallMs, `${deviceMs} of ${wallMs} ms`);
  // A GPU is waited for; the CPU does nothing but run these kernels.
  if (device.kind === "cpu") assert.ok(deviceMs > 0.6 * wallMs, `${deviceMs} of ${wallMs} ms`);
});

eachDevice("a profile's table names the kernels and the roofs", async (device) => {
  const text = showProfile(await profileOf(device, 64, 2));
  assert.match(text, /^Profile of 2 steps on /);
  assert.match(text, /Roof: products \d+ GFLOP\/s \(f32, \d+ cubed\), memory [\d.]+ GB\/s/);
  assert.match(text, /matmul 64x64x64 f32, Bᵀ +[\d.]+ +[\d.]+ % +1 /);
  assert.doesNotMatch(text, /NaN|undefined|Infinity/);
});

interface Event {
  readonly name: string;
  readonly ph: string;
  readonly tid: number;
  readonly ts: number;
  readonly dur: number;
}

eachDevice("a profile's trace is JSON whose spans nest on each track", async (device) => {
  const { trace, kernels } = await profileOf(device, 64, 4);
  const events: Event[] = JSON.parse(trace).traceEvents;
  const spans = events.filter(({ ph }) => ph === "X");
  const names = spans.map(({ name }) => name);
  assert.ok(names.includes("step 1") && names.includes("step 2"));
  assert.ok(!names.includes("step 3"), "only the first steps are traced");
  for (const { name } of kernels) assert.equal(names.filter((each) => each === name).length, 2);
  for (const tid of [1, 2]) {
    const track = spans.filter((event) => event.tid === tid).sort((a, b) =>
      a.ts - b.ts || b.dur - a.dur
    );
    assert.ok(track.length >= 4);
    const open: number[] = [];
    for (const { ts, dur, name } of track) {
      // Times are rounded to nanoseconds.
      while (open.length > 0 && open.at(-1)! <= ts + 0.002) open.pop();
      assert.ok(open.every((end) => ts + dur <= end + 0.002), `${name} crosses another span`);
      open.push(ts + dur);
    }
  }
});

eachDevice("a run gives the same bits whether it is observed or not", async (device) => {
  const [step, x] = [stepOf(), matrix(96)];
  const plain = await step(x).data();
  let runs = 0;
  device.observe({ ran: () => runs++, waited: () => {} });
  const observed = await step(x).data();
  device.observe(null);
  assert.deepEqual(observed, plain);
  assert.equal(runs, 1);
});

eachDevice(
  "once nobody observes, a device makes no objects and tells nobody",
  async (device) => {
    const [step, x] = [stepOf(), matrix(32)];
    // Results take turns in several buffers at first.
    for (let i = 0; i < 3; i++) await runOnce(step, x);
    let calls = 0;
    device.observe({ ran: () => calls++, waited: () => calls++ });
    await runOnce(step, x);
    device.observe(null);
    const before = [calls, device.counters().objects];
    assert.ok(calls > 0);
    for (let i = 0; i < 3; i++) await runOnce(step, x);
    assert.deepEqual([calls, device.counters().objects], before);
  },
);

Deno.test("the GPU makes what it times with when somebody observes, and not before", async () => {
  const gpu = devices.find(({ kind }) => kind === "webgpu");
  if (!gpu) return;
  const fresh = await openWebGpu();
  assert.ok(fresh);
  setDevice(fresh);
  try {
    const [step, x] = [stepOf(), matrix(32)];
    for (let i = 0; i < 3; i++) await runOnce(step, x);
    const { objects } = fresh.counters();
    await runOnce(step, x);
    assert.equal(fresh.counters().objects, objects);
    fresh.observe({ ran: () => {}, waited: () => {} });
    assert.equal(fresh.counters().objects, objects);
    await runOnce(step, x);
    assert.ok(fresh.counters().objects > objects);
  } finally {
    fresh.destroy();
  }
});

/** The device as it would be on an adapter without timestamps. */
function withoutTimes(device: Device): Device {
  const blind = (observer: DeviceObserver): DeviceObserver => ({
    ran: (run) => observer.ran({ ...run, times: Promise.resolve(null) }),
    waited: (what, began, ended) => observer.waited(what, began, ended),
  });
  return new Proxy(device, {
    get: (target, property) => {
      if (property === "observe") {
        return (observer: DeviceObserver | null) => target.observe(observer && blind(observer));
      }
      const value = Reflect.get(target, property, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

Deno.test("where the adapter cannot tell times, a profile counts and says so", async () => {
  const device = withoutTimes(devices[0]!);
  setDevice(device);
  const report = await profileOf(device, 64, 2);
  assert.ok(Number.isNaN(report.deviceMs));
  assert.ok(report.kernels.some(({ name, launches }) => name.startsWith("matmul") && launches > 0));
  const text = showProfile(report);
  assert.match(text, /has no timestamps/);
  assert.doesNotMatch(text, /NaN/);
});

Deno.test("a profile of no steps is refused", async () => {
  const roofline = { flopsPerMs: 1e8, bytesPerMs: 1e7, productSide: 1024 };
  const profile = await startProfile(devices[0]!, { roofline });
  await assert.rejects(profile.stop(), /No step was begun/);
});

Deno.test("a launch lasts from its first dispatch to its last, and takes no time without any", () => {
  const spans = Float64Array.of(1, 2, 3, 4, 6, 7);
  const steps = [{ launch: 0 }, { launch: 2 }, { launch: 2 }];
  assert.deepEqual([...launchTimes(spans, steps, 4)], [1, 2, 2, 2, 3, 7, 7, 7]);
});
