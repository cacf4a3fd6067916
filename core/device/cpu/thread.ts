/** What every thread of the CPU device, the main one included, has for itself. @module */

import type { Sgemm } from "./blas.ts";
import type { Driver } from "./driver.ts";

/** A thread's own instances over the shared memory. */
export interface Thread {
  readonly driver: Driver;
  /** Instantiates a module and puts its exported phases into the table from `tableBase` on. */
  load(module: Uint8Array<ArrayBuffer>, tableBase: number): void;
}

/** The name under which a module exports its phase number `index`. */
export function phaseName(index: number): string {
  return `phase${index}`;
}

/** Instantiates the driver for this thread. */
export function createThread(
  memory: WebAssembly.Memory,
  driver: Uint8Array<ArrayBuffer>,
  sgemm: Sgemm,
): Thread {
  const table = new WebAssembly.Table({ element: "anyfunc", initial: 0 });
  const env = { memory, table, sgemm };
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(driver), { env });
  return {
    driver: {
      work: exports["work"] as Driver["work"],
      issue: exports["issue"] as Driver["issue"],
      run: exports["run"] as Driver["run"],
    },
    load(bytes, tableBase) {
      // The engine shares compiled code between threads that compile the same bytes.
      const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env });
      for (let index = 0;; index++) {
        const phase = instance.exports[phaseName(index)];
        if (typeof phase !== "function") break;
        if (table.length <= tableBase + index) table.grow(table.length + 64);
        table.set(tableBase + index, phase);
      }
    },
  };
}
