/** Names of devices. @module */

import assert from "node:assert/strict";
import { missingAdapterError, parseDeviceName } from "../../../core/device/choice.ts";
import { openDevice } from "../../../core/device/current.ts";
import { UserError } from "../../../core/errors.ts";
import { gpu } from "./webgpu.ts";

Deno.test("a device's name says which adapter is looked for, and whether the CPU will do", () => {
  assert.deepEqual(parseDeviceName("cpu"), { orCpu: true });
  assert.deepEqual(parseDeviceName("auto"), { adapter: { class: "hardware" }, orCpu: true });
  assert.deepEqual(parseDeviceName("webgpu"), { adapter: {}, orCpu: false });
  assert.deepEqual(parseDeviceName("webgpu:low-power"), {
    adapter: { power: "low-power" },
    orCpu: false,
  });
  assert.deepEqual(parseDeviceName("webgpu:RTX 4090"), {
    adapter: { name: "RTX 4090" },
    orCpu: false,
  });
  for (const wrong of ["gpu", "cuda:0", "webgpu:", "cpu:1", "auto:nvidia", ""]) {
    assert.throws(() => parseDeviceName(wrong), UserError, wrong);
  }
});

Deno.test("a name that matches no adapter lists those there are", async () => {
  assert.match(
    missingAdapterError("webgpu:4090", ["Intel Xe", "llvmpipe"]).message,
    /No WebGPU adapter is "4090"\. There are: Intel Xe, llvmpipe\./,
  );
  assert.match(missingAdapterError("webgpu", []).message, /`plumb env` says what is in the way/);
  if (!gpu) return;
  await assert.rejects(openDevice("webgpu:no such card"), (error: Error) => {
    assert.match(error.message, /No WebGPU adapter is "no such card"/);
    assert.ok(error.message.includes(gpu!.description.split(", ")[0]!), error.message);
    return true;
  });
});

Deno.test("an adapter is opened by a part of its name", async () => {
  if (!gpu) return;
  const part = gpu.description.split(" ")[0]!.toUpperCase();
  const device = await openDevice(`webgpu:${part}`);
  assert.equal(device.description, gpu.description);
  device.destroy();
});
