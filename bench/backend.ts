/** The devices that are measured. @module */

import { openCpu } from "../core/device/cpu/device.ts";
import { openWebGpu } from "../core/device/webgpu/device.ts";
import { type Device, UserError } from "../core/mod.ts";

/** Devices by name: the CPU with a BLAS of the system and without, and the GPU. */
export const backendNames = ["cpu+blas", "cpu", "webgpu"] as const;

/** A device that can be measured. */
export type BackendName = typeof backendNames[number];

/** An open device. */
export interface Backend {
  readonly name: BackendName;
  readonly device: Device;
  /** Whether it is a WebGPU adapter that runs on the processor: correct, but no target for speed. */
  readonly software: boolean;
}

/** Opens a device, or gives undefined where the system has none of the kind. */
export async function openBackend(name: BackendName): Promise<Backend | undefined> {
  switch (name) {
    case "cpu":
      return { name, device: await openCpu({ blas: false }), software: false };
    case "cpu+blas":
      try {
        return { name, device: await openCpu({ blas: true }), software: false };
      } catch (error) {
        if (error instanceof UserError) return undefined;
        throw error;
      }
    case "webgpu": {
      const hardware = await openWebGpu({ adapter: { class: "hardware" } });
      const device = hardware ?? await openWebGpu();
      return device && { name, device, software: hardware === undefined };
    }
  }
}
