/** Which device computes. @module */

import { UserError } from "../errors.ts";
import type { Device } from "./device.ts";

/** Names of devices: `auto` is a hardware WebGPU adapter if there is one, else the CPU. */
export type DeviceName = "auto" | "cpu" | "webgpu";

/** Names accepted by {@link openDevice}. */
export const deviceNames: readonly DeviceName[] = ["auto", "cpu", "webgpu"];

/** Options of {@link openDevice}. */
export interface OpenDeviceOptions {
  /** CPU threads; all cores by default. */
  readonly threads?: number;
  /** Whether the CPU device may use a BLAS of the system; by default it does if there is one. */
  readonly blas?: boolean;
}

let current: Device | null = null;

/**
 * Opens a device and makes it the one that computes from now on.
 *
 * A software WebGPU adapter is used only when `webgpu` is asked for by name.
 *
 * @throws UserError if `webgpu` is asked for and there is no adapter.
 */
export async function openDevice(
  name: DeviceName = "auto",
  options: OpenDeviceOptions = {},
): Promise<Device> {
  current = await open(name, options);
  return current;
}

async function open(name: DeviceName, options: OpenDeviceOptions): Promise<Device> {
  if (name !== "cpu") {
    const { openWebGpu } = await import("./webgpu/device.ts");
    const device = await openWebGpu({ adapter: name === "auto" ? "hardware" : "any" });
    if (device) return device;
    if (name === "webgpu") {
      throw new UserError(
        "There is no WebGPU adapter here: no GPU driver was found. Use --device cpu, or install a Vulkan driver " +
          "(Debian: mesa-vulkan-drivers).",
      );
    }
  }
  const { openCpu } = await import("./cpu/device.ts");
  return await openCpu(options);
}

/** Makes an open device the one that computes; null forgets it. */
export function setDevice(device: Device | null): void {
  current = device;
}

/**
 * The device that computes.
 *
 * @throws Error if none is open.
 */
export function currentDevice(): Device {
  if (current === null) throw new Error("No device is open: call `await openDevice()` first");
  return current;
}

/** The device that computes, opened with `auto` if there is none yet. */
export async function anyDevice(): Promise<Device> {
  if (current) return current;
  opening ??= openDevice("auto").finally(() => opening = null);
  return await opening;
}

/** Two tensors awaited at once open one device. */
let opening: Promise<Device> | null = null;
