/** A device that plans and computes nothing: what follows from shapes can be known at any size. @module */

import type { Plan } from "../launch.ts";
import type { Allocation, Device, DeviceCounters, Program } from "./device.ts";

const noCounts: DeviceCounters = {
  objects: 0,
  launches: 0,
  runs: 0,
  flops: 0,
  bytes: 0,
  peakBytes: 0,
};

class DryDevice implements Device {
  readonly kind: Device["kind"];
  readonly description: string;
  readonly maxKernelArguments: number;
  readonly maxBufferBytes: number;
  #allocations = 0;

  constructor(like: Device) {
    this.kind = like.kind;
    this.description = like.description;
    this.maxKernelArguments = like.maxKernelArguments;
    this.maxBufferBytes = like.maxBufferBytes;
  }

  allocate(bytes: number): Allocation {
    return { id: ++this.#allocations, bytes: Math.ceil(bytes / 4) * 4 };
  }

  free(): void {}

  write(): void {}

  read(_: Allocation, bytes: number): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array(bytes));
  }

  compile(plan: Plan): Program {
    return { externals: plan.externals, dispose: () => {} };
  }

  run(): void {}

  synchronize(): Promise<void> {
    return Promise.resolve();
  }

  counters(): DeviceCounters {
    return noCounts;
  }

  observe(): void {}

  destroy(): void {}
}

/**
 * A device with the limits of another, for which the same plans are made. It takes no memory, runs nothing, and whoever
 * reads from it reads zeros.
 */
export function dryDevice(like: Device): Device {
  return new DryDevice(like);
}

/** Whether a device computes nothing: whatever is written to it is lost, so that nothing need be read for it. */
export function isDry(device: Device): boolean {
  return device instanceof DryDevice;
}
