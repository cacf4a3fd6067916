/** What the core asks of a device. @module */

import type { Launch, Plan } from "../launch.ts";
import type { Allocation, MemoryHolder } from "./memory.ts";

export type { Allocation, MemoryHolder } from "./memory.ts";

/** Offsets of temporaries in an arena are multiples of this many bytes. */
export const arenaAlignment = 256;

/** A compiled plan. */
export interface Program {
  /** Number of buffers bound at each run. */
  readonly externals: number;
  /** Forgets what the device keeps for this program alone. */
  dispose(): void;
}

/** Counts of what a device made; a steady training step changes none but `launches` and `runs`. */
export interface DeviceCounters {
  /** Device objects created so far (buffers, bind groups, pipelines, modules). */
  readonly objects: number;
  /** Kernels launched so far. */
  readonly launches: number;
  /** Programs run so far. */
  readonly runs: number;
  /** Multiplications and additions of the matrix products launched so far. */
  readonly flops: number;
  /** Bytes of memory the device holds now, pooled ones included, and the most it ever held. */
  readonly bytes: number;
  /** The most bytes held at once. */
  readonly peakBytes: number;
}

/** A run of a program, as a {@link DeviceObserver} is told of it. */
export interface ObservedRun {
  /** What was launched, in order. */
  readonly launches: readonly Launch[];
  /** When the host began and ended the call of `run`, in milliseconds of `performance.now()`. */
  readonly began: number;
  /** See `began`. */
  readonly ended: number;
  /**
   * Start and end of each launch, in pairs, in milliseconds on the same axis as `began` (a GPU's clock is
   * shifted to fit); null where the adapter cannot tell. On a GPU it resolves once the run is done, after
   * an `await` of the device.
   */
  readonly times: Promise<Float64Array | null>;
}

/** Who wants to know what a device does, and how long it takes. */
export interface DeviceObserver {
  /** A program was run, or on a GPU enqueued. */
  ran(run: ObservedRun): void;
  /** The host was kept busy, or waited, for this; milliseconds of `performance.now()`. */
  waited(what: "compile" | "read" | "synchronize", began: number, ended: number): void;
}

/** Memory and execution. Implementations: `cpu` (WebAssembly) and `webgpu`. */
export interface Device extends MemoryHolder {
  /** For people: the adapter's name, or the threads and the BLAS in use. */
  readonly description: string;
  /** The most buffers one fused kernel may take. */
  readonly maxKernelArguments: number;
  /** Bytes of the largest piece of an arena: a multiple of 256, or infinite. */
  readonly maxBufferBytes: number;
  /** Compiles a plan; kernels seen before are reused. */
  compile(plan: Plan): Program;
  /**
   * Enqueues a program. `externals` are bound in the plan's order; `scalars` are its run's numbers.
   * They are distinct allocations.
   */
  run(program: Program, externals: readonly Allocation[], scalars: Float32Array): void;
  /** Resolves when all enqueued work is done; rejects with the first device error. */
  synchronize(): Promise<void>;
  /** What was made so far. */
  counters(): DeviceCounters;
  /**
   * From now on tells `observer`, and nobody else, what it does; null ends that. Work is timed, and objects
   * for it are made, only in between.
   */
  observe(observer: DeviceObserver | null): void;
  /** Releases everything, including threads. */
  destroy(): void;
}
