/** The CPU device: WebAssembly kernels over one shared memory, on all cores. @module */

import { UserError } from "../../errors.ts";
import { environmentVariable } from "../../runtime.ts";
import { numbersOf, type Plan } from "../../launch.ts";
import type { Allocation, Device, DeviceCounters, DeviceObserver, Program } from "../device.ts";
import { type Blas, openBlas } from "./blas.ts";
import { controlBytes, listEntry, mostThreads } from "./driver.ts";
import { DeviceMemory } from "./memory.ts";
import { CpuProgram, KernelCache } from "./program.ts";
import { startThreads, ThreadError, type Threads } from "./threads.ts";

/** Options of {@link openCpu}. */
export interface CpuOptions {
  /**
   * Threads that work on a kernel, the caller's included. Default: the environment variable
   * `PLUMB_THREADS`, else the number of cores.
   */
  readonly threads?: number;
  /**
   * Whether a BLAS of the system does f32 matrix products. "auto" uses one where it is installed and
   * FFI is permitted; true throws where there is none. Default: "auto", or false where the
   * environment variable `PLUMB_BLAS` is 0.
   */
  readonly blas?: boolean | "auto";
}

class CpuAllocation implements Allocation {
  /** Address in the shared memory; 0 once freed. */
  address: number;

  constructor(readonly id: number, readonly bytes: number, address: number) {
    this.address = address;
  }
}

function threadCount(asked: number | undefined): number {
  const variable = environmentVariable("PLUMB_THREADS");
  const count = asked ?? (variable ? Number(variable) : navigator.hardwareConcurrency);
  if (asked === undefined && !variable) return Math.min(count, mostThreads);
  if (Number.isInteger(count) && count >= 1 && count <= mostThreads) return count;
  throw new UserError(
    `Cannot open the CPU device with ${asked ?? variable} threads: the number must be an integer ` +
      `from 1 to ${mostThreads} (option \`threads\`, or the environment variable PLUMB_THREADS).`,
  );
}

/**
 * Opens a CPU device. It does not keep the process alive.
 *
 * @throws {UserError} if `threads` is out of range, or `blas` is true and there is none.
 */
export async function openCpu(options: CpuOptions = {}): Promise<Device> {
  const count = threadCount(options.threads);
  const wanted = options.blas ?? (environmentVariable("PLUMB_BLAS") === "0" ? false : "auto");
  const memory = new DeviceMemory(controlBytes);
  const blas = wanted === false ? null : openBlas(memory.memory, wanted === true);
  const threads = await startThreads(memory, count, blas);
  const words = [
    threads.count === 1 ? "1 thread" : `${threads.count} threads`,
    blas === null
      ? "built-in matrix products"
      : `matrix products by ${blas.path}${blas.core ? ` (${coreName(blas.core)})` : ""}`,
  ];
  if (threads.trouble !== null) words.push(`workers could not be started: ${threads.trouble}`);
  return new CpuDevice(memory, threads, blas, `CPU, ${words.join(", ")}`);
}

/** The processor OpenBLAS's kernels are for, and who chose it. */
function coreName(core: string): string {
  return environmentVariable("OPENBLAS_CORETYPE") === undefined
    ? core
    : `${core}, by OPENBLAS_CORETYPE`;
}

class CpuDevice implements Device {
  readonly kind = "cpu";
  readonly maxKernelArguments = 32;
  readonly maxBufferBytes = Infinity;
  readonly #cache: KernelCache;
  readonly #programs: Set<CpuProgram> = new Set();
  #allocations = 0;
  #made = 0;
  #launches = 0;
  #runs = 0;
  #flops = 0;
  // The arena and the scratch memory, as large as any program so far needs them.
  #arena = { address: 0, bytes: 0 };
  #scratch = { address: 0, bytes: 0 };
  #failure: string | null = null;
  #observer: DeviceObserver | null = null;
  #destroyed = false;

  constructor(
    readonly memory: DeviceMemory,
    readonly threads: Threads,
    blas: Blas | null,
    readonly description: string,
  ) {
    this.#cache = new KernelCache(memory, threads, blas);
  }

  allocate(bytes: number): Allocation {
    this.#check();
    const size = Math.ceil(bytes / 4) * 4;
    return new CpuAllocation(++this.#allocations, size, this.memory.allocate(size));
  }

  free(allocation: Allocation): void {
    // Tensors that outlive the device are finalised some time.
    if (this.#destroyed) return;
    // Nothing is ever pending: a run ends before `run` returns.
    this.memory.free(this.#address(allocation));
    (allocation as CpuAllocation).address = 0;
  }

  write(allocation: Allocation, data: Uint8Array): void {
    const address = this.#address(allocation);
    if (data.length > allocation.bytes) {
      throw new Error(
        `Cannot write ${data.length} bytes into memory of ${allocation.bytes} bytes.`,
      );
    }
    this.memory.view(address, data.length).set(data);
  }

  // Async, so that errors reject.
  // deno-lint-ignore require-await
  async read(allocation: Allocation, bytes: number): Promise<Uint8Array> {
    const address = this.#address(allocation);
    if (bytes > allocation.bytes) {
      throw new Error(`Cannot read ${bytes} bytes of memory of ${allocation.bytes} bytes.`);
    }
    const copy = new Uint8Array(bytes);
    copy.set(this.memory.view(address, bytes));
    return copy;
  }

  compile(plan: Plan): Program {
    this.#check();
    const began = this.#observer ? performance.now() : 0;
    this.#cache.prepare(plan.launches.map((launch) => launch.kernel));
    const program = new CpuProgram(
      plan,
      this.#cache,
      this.memory,
      this.threads.count,
      (disposed) => this.#programs.delete(disposed),
    );
    this.#programs.add(program);
    this.#made++;
    this.#observer?.waited("compile", began, performance.now());
    return program;
  }

  run(program: Program, externals: readonly Allocation[], scalars: Float32Array): void {
    this.#check();
    if (!(program instanceof CpuProgram) || !this.#programs.has(program)) {
      throw new Error("This program is not one of this device's, or it was disposed of.");
    }
    if (externals.length !== program.externals) {
      throw new Error(`The program has ${program.externals} externals, not ${externals.length}.`);
    }
    if (scalars.length < program.scalars) {
      throw new Error(`The program reads ${program.scalars} scalars, not ${scalars.length}.`);
    }
    this.#arena = this.#atLeast(this.#arena, program.arenaBytes);
    this.#scratch = this.#atLeast(this.#scratch, program.scratchBytes);
    const regions = { arena: this.#arena.address, scratch: this.#scratch.address };
    program.bind(externals.map((allocation) => this.#address(allocation)), regions, scalars);
    try {
      if (this.#observer === null) this.threads.run(program.list, program.phases);
      else this.#runObserved(program, this.#observer);
    } catch (error) {
      if (!(error instanceof ThreadError)) throw error;
      const launch = program.launches[error.launch]!;
      this.#failure =
        `The CPU device failed in launch ${error.launch} of a program (${launch.kernel.op} kernel, ` +
        `numbers [${
          numbersOf(launch).ints.join(", ")
        }]): ${error.message}. It cannot be used any more.`;
      throw new Error(this.#failure);
    }
    this.#runs++;
    this.#launches += program.launches.length;
    this.#flops += program.flops;
  }

  // deno-lint-ignore require-await -- Async, so that errors reject.
  async synchronize(): Promise<void> {
    this.#check();
  }

  observe(observer: DeviceObserver | null): void {
    this.#observer = observer;
  }

  counters(): DeviceCounters {
    const bytes = this.memory.bytes;
    return {
      objects: this.#made + this.memory.growths + this.#cache.modules * this.threads.count,
      launches: this.#launches,
      runs: this.#runs,
      flops: this.#flops,
      bytes,
      peakBytes: this.memory.reached,
    };
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.threads.stop();
  }

  /** Launch by launch, with a look at the clock in between; the gaps are those between phases. */
  #runObserved(program: CpuProgram, observer: DeviceObserver): void {
    const { launches, phaseCounts } = program;
    const times = new Float64Array(2 * launches.length);
    const began = performance.now();
    let list = program.list;
    for (let i = 0; i < launches.length; i++) {
      times[2 * i] = performance.now();
      this.threads.run(list, phaseCounts[i]!);
      times[2 * i + 1] = performance.now();
      list += phaseCounts[i]! * listEntry.bytes;
    }
    const ended = performance.now();
    observer.ran({ launches, began, ended, times: Promise.resolve(times) });
  }

  #check(): void {
    if (this.#destroyed) throw new Error("This CPU device was destroyed.");
    if (this.#failure !== null) throw new Error(this.#failure);
  }

  #address(allocation: Allocation): number {
    this.#check();
    if (allocation instanceof CpuAllocation && allocation.address !== 0) return allocation.address;
    throw new Error(`Allocation ${allocation.id} was freed, or is not of this CPU device.`);
  }

  #atLeast(
    region: { address: number; bytes: number },
    bytes: number,
  ): { address: number; bytes: number } {
    if (bytes <= region.bytes) return region;
    if (region.address !== 0) this.memory.free(region.address);
    // Should growing fail, the region is gone, and `bytes` 0 says so.
    region.address = 0;
    region.bytes = 0;
    return { address: this.memory.allocate(bytes), bytes };
  }
}
