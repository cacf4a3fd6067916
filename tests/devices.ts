/** The devices of this machine, opened once for all tests of a file. @module */

import { setDevice } from "../core/device/current.ts";
import { openCpu } from "../core/device/cpu/device.ts";
import type { Device } from "../core/device/device.ts";
import { openAdapter } from "./adapter.ts";

/** The CPU, and the WebGPU adapter if there is one (a software one will do). */
export const devices: readonly Device[] = await openAll();

async function openAll(): Promise<Device[]> {
  const cpu = await openCpu();
  const gpu = await openAdapter();
  return gpu ? [cpu, gpu] : [cpu];
}

/** The same test on every device: "… (cpu)" and "… (webgpu)". Inside, the device is the current one. */
export function eachDevice(name: string, body: (device: Device) => void | Promise<void>): void {
  for (const device of devices) {
    Deno.test(`${name} (${device.kind})`, async () => {
      setDevice(device);
      await body(device);
    });
  }
}
