/** A device that keeps the time it is busy. @module */

import type { Device } from "../core/mod.ts";

/** A device with stopwatches. */
export interface WatchedDevice {
  readonly device: Device;
  /** Milliseconds spent inside `compile` and `run` so far. A GPU's `run` only enqueues. */
  readonly spent: () => { readonly compileMs: number; readonly runMs: number };
}

/** Wraps a device; use the wrapper wherever the device would be used. */
export function watchDevice(device: Device): WatchedDevice {
  let [compileMs, runMs] = [0, 0];
  const watched: Device = {
    kind: device.kind,
    description: device.description,
    maxKernelArguments: device.maxKernelArguments,
    maxBufferBytes: device.maxBufferBytes,
    allocate: (bytes) => device.allocate(bytes),
    free: (allocation) => device.free(allocation),
    write: (allocation, data) => device.write(allocation, data),
    read: (allocation, bytes) => device.read(allocation, bytes),
    compile: (plan) => {
      const start = performance.now();
      const program = device.compile(plan);
      compileMs += performance.now() - start;
      return program;
    },
    run: (program, externals, scalars) => {
      const start = performance.now();
      device.run(program, externals, scalars);
      runMs += performance.now() - start;
    },
    synchronize: () => device.synchronize(),
    counters: () => device.counters(),
    observe: (observer) => device.observe(observer),
    destroy: () => device.destroy(),
  };
  return { device: watched, spent: () => ({ compileMs, runMs }) };
}
