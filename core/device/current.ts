/** Which device computes. @module */

import { type DeviceName, missingAdapterError, parseDeviceName } from "./choice.ts";
import type { Device } from "./device.ts";
import { dryDevice, isDry } from "./dry.ts";

export type { DeviceName } from "./choice.ts";

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
 * @throws UserError if an adapter is asked for that is not there; it lists those that are.
 */
export async function openDevice(
  name: DeviceName = "auto",
  options: OpenDeviceOptions = {},
): Promise<Device> {
  current = await open(name, options);
  return current;
}

async function open(name: DeviceName, options: OpenDeviceOptions): Promise<Device> {
  const { adapter, orCpu } = parseDeviceName(name);
  if (adapter !== undefined) {
    const [{ openWebGpu }, { describeAdapter, listAdapters }] = await Promise.all([
      import("./webgpu/device.ts"),
      import("./webgpu/adapter.ts"),
    ]);
    const device = await openWebGpu({ adapter });
    if (device) return device;
    if (!orCpu) {
      const present = await listAdapters();
      throw missingAdapterError(name, present.map(({ info }) => describeAdapter(info)));
    }
  }
  const { openCpu } = await import("./cpu/device.ts");
  return await openCpu(options);
}

/** Makes an open device the one that computes; null forgets it. */
export function setDevice(device: Device | null): void {
  current = device;
}

/** Ends a device; if it is the one that computes, none does until another is opened. */
export function closeDevice(device: Device): void {
  device.destroy();
  if (current !== null && (current === device || isDry(current))) current = null;
}

/**
 * From now on plans are made as for the device that is open, and nothing is computed: no memory is taken, and what is
 * read is zeros. Enough for all that follows from shapes.
 *
 * @throws Error if no device is open.
 */
export function planOnly(): void {
  current = dryDevice(currentDevice());
}

/** Whether {@link planOnly} is in force, so that no weight need be read for the device. */
export function computesNothing(): boolean {
  return current !== null && isDry(current);
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
