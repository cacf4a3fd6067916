/** Plans as lists of phases with parameter blocks in the shared memory. @module */

import {
  isLaunchOf,
  type Kernel,
  kernelKey,
  type Launch,
  numbersOf,
  type Plan,
} from "../../launch.ts";
import { productFlops } from "../../profile/cost.ts";
import type { Program } from "../device.ts";
import { type Blas, sgemmImport } from "./blas.ts";
import { type KernelCode, parameterBlock } from "./code.ts";
import { listEntry } from "./driver.ts";
import { emit } from "./emit.ts";
import type { DeviceMemory } from "./memory.ts";
import { phaseName } from "./thread.ts";
import type { Threads } from "./threads.ts";
import type { FunctionBuilder } from "./wasm_function.ts";
import { assemble } from "./wasm_module.ts";

/** A kernel that is loaded on all threads: its phases' places in the table. */
interface LoadedKernel {
  readonly phases: readonly number[];
  readonly code: KernelCode;
}

/** Compiles kernels and loads them on all threads, each once. */
export class KernelCache {
  readonly #loaded: Map<string, LoadedKernel> = new Map();
  readonly #memory: DeviceMemory;
  readonly #threads: Threads;
  readonly #blas: Blas | null;
  #tableSize = 0;
  #modules = 0;

  /** @param blas What the imported `sgemm` calls, or null where products may not call it. */
  constructor(memory: DeviceMemory, threads: Threads, blas: Blas | null) {
    this.#memory = memory;
    this.#threads = threads;
    this.#blas = blas;
  }

  /** Modules loaded so far. */
  get modules(): number {
    return this.#modules;
  }

  /** Compiles the kernels that are new into one module. */
  prepare(kernels: readonly Kernel[]): void {
    const functions: { name: string; body: FunctionBuilder }[] = [];
    const imports = this.#blas ? [sgemmImport] : [];
    const link = (body: FunctionBuilder, name = `f${functions.length}`): number =>
      imports.length + functions.push({ name, body }) - 1;
    const context = {
      link,
      sgemm: this.#blas ? 0 : null,
      smallProducts: this.#blas?.small ?? false,
    };
    const added = new Map<string, LoadedKernel>();
    let phaseCount = 0;
    for (const kernel of kernels) {
      const key = kernelKey(kernel);
      if (this.#loaded.has(key) || added.has(key)) continue;
      const code = emit(kernel, context);
      const phases = code.phases.map((body) => {
        link(body, phaseName(phaseCount));
        return this.#tableSize + phaseCount++;
      });
      added.set(key, { phases, code });
    }
    if (added.size === 0) return;
    const module = assemble({ imports, functions, maximumPages: this.#memory.maximumPages });
    this.#threads.load(module, this.#tableSize);
    this.#tableSize += phaseCount;
    this.#modules++;
    for (const [key, kernel] of added) this.#loaded.set(key, kernel);
  }

  /** A kernel that was prepared. */
  get(kernel: Kernel): LoadedKernel {
    return this.#loaded.get(kernelKey(kernel))!;
  }
}

/** Where the regions lie that all programs of a device share. */
export interface SharedRegions {
  readonly arena: number;
  readonly scratch: number;
}

/** An i64 in a program's block that holds `base + offset`. */
interface Patch {
  readonly word: number;
  readonly offset: number;
}

function align(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}

/** The number of run scalars a launch reads. */
function scalarCount(kernel: Kernel): number {
  if (kernel.op !== "fused") return 0;
  return kernel.body.reduce((n, i) => i.op === "scalar" ? Math.max(n, i.index + 1) : n, 0);
}

/** A compiled plan: one block of memory with the phase list, the scalars and every launch's block. */
export class CpuProgram implements Program {
  readonly externals: number;
  /** Sizes this program needs of the shared regions. */
  readonly arenaBytes: number;
  readonly scratchBytes: number;
  /** Run scalars the kernels read. */
  readonly scalars: number;
  /** Address of the phase list and its length. */
  readonly list: number;
  readonly phases: number;
  readonly launches: readonly Launch[];
  /** Arithmetic of the products. */
  readonly flops: number;
  /** Phases of each launch; the list has them in order. */
  readonly phaseCounts: readonly number[];
  readonly #scalarAddress: number;
  readonly #words: Uint32Array;
  readonly #externalPatches: readonly Patch[][];
  readonly #arenaPatches: readonly Patch[];
  readonly #scratchPatches: readonly Patch[];
  readonly #bound: Float64Array;
  #arena = 0;
  #scratch = 0;
  readonly #memory: DeviceMemory;
  readonly #onDispose: (program: CpuProgram) => void;
  #disposed = false;

  /** @param cache Where the plan's kernels were prepared. */
  constructor(
    plan: Plan,
    cache: KernelCache,
    memory: DeviceMemory,
    threads: number,
    onDispose: (program: CpuProgram) => void,
  ) {
    const kernels = plan.launches.map((launch) => cache.get(launch.kernel));
    this.externals = plan.externals;
    this.arenaBytes = plan.arenaBytes;
    this.launches = plan.launches;
    this.flops = productFlops(plan);
    this.phaseCounts = kernels.map((kernel) => kernel.phases.length);
    this.phases = this.phaseCounts.reduce((n, count) => n + count, 0);
    this.scalars = plan.launches.reduce((n, l) => Math.max(n, scalarCount(l.kernel)), 0);

    const scalarOffset = align(this.phases * listEntry.bytes);
    let bytes = scalarOffset + align(4 * this.scalars);
    const blocks = plan.launches.map((launch) => {
      const { ints, floats } = numbersOf(launch);
      const offset = bytes;
      bytes += align(parameterBlock.float(launch.args.length, ints.length, floats.length));
      return offset;
    });
    const address = memory.allocate(bytes);
    this.list = address;
    this.#scalarAddress = address + scalarOffset;
    const buffer = memory.memory.buffer;
    const words = this.#words = new Uint32Array(buffer, address, Math.ceil(bytes / 8) * 2);
    const longs = new BigInt64Array(buffer, address, Math.ceil(bytes / 8));
    const floatWords = new Float32Array(buffer, address, words.length);

    const externalPatches = Array.from({ length: plan.externals }, (): Patch[] => []);
    const arenaPatches: Patch[] = [];
    const scratchPatches: Patch[] = [];
    let scratchBytes = 0;
    let entry = 0;
    plan.launches.forEach((launch, index) => {
      const { args } = launch;
      const { ints, floats } = numbersOf(launch);
      const block = blocks[index]!;
      const kernel = kernels[index]!;
      for (const table of kernel.phases) {
        words[(entry + listEntry.table) / 4] = table;
        words[(entry + listEntry.launch) / 4] = index;
        longs[(entry + listEntry.parameters) / 8] = BigInt(address + block);
        entry += listEntry.bytes;
      }
      longs[(block + parameterBlock.scalars) / 8] = BigInt(this.#scalarAddress);
      const scratch = kernel.code.scratchBytes(
        isLaunchOf(launch, "fused") ? {} : launch.sizes,
        threads,
      );
      scratchBytes = Math.max(scratchBytes, scratch);
      if (scratch > 0) {
        scratchPatches.push({ word: (block + parameterBlock.scratch) / 4, offset: 0 });
      }
      args.forEach((ref, i) => {
        const word = (block + parameterBlock.arg(i)) / 4;
        if ("external" in ref) externalPatches[ref.external]!.push({ word, offset: 0 });
        else arenaPatches.push({ word, offset: ref.arena });
      });
      ints.forEach((value, i) => {
        longs[(block + parameterBlock.int(args.length, i)) / 8] = BigInt(value);
      });
      floats.forEach((value, i) => {
        floatWords[(block + parameterBlock.float(args.length, ints.length, i)) / 4] = value;
      });
    });
    this.scratchBytes = scratchBytes;
    this.#externalPatches = externalPatches;
    this.#arenaPatches = arenaPatches;
    this.#scratchPatches = scratchPatches;
    this.#bound = new Float64Array(plan.externals).fill(-1);
    this.#memory = memory;
    this.#onDispose = onDispose;
  }

  /** Writes a run's addresses and scalars into the parameter blocks. */
  bind(addresses: readonly number[], regions: SharedRegions, scalars: Float32Array): void {
    if (this.#disposed) throw new Error("This program was disposed of.");
    if (regions.arena !== this.#arena) {
      this.#patch(this.#arenaPatches, this.#arena = regions.arena);
    }
    if (regions.scratch !== this.#scratch) {
      this.#patch(this.#scratchPatches, this.#scratch = regions.scratch);
    }
    for (let i = 0; i < addresses.length; i++) {
      const address = addresses[i]!;
      if (this.#bound[i] === address) continue;
      this.#bound[i] = address;
      this.#patch(this.#externalPatches[i]!, address);
    }
    const start = (this.#scalarAddress - this.list) / 4;
    const count = Math.min(scalars.length, this.scalars);
    const bits = new Uint32Array(scalars.buffer, scalars.byteOffset, count);
    for (let i = 0; i < count; i++) this.#words[start + i] = bits[i]!;
  }

  #patch(patches: readonly Patch[], base: number): void {
    const words = this.#words;
    for (const { word, offset } of patches) {
      const address = base + offset;
      words[word] = address;
      words[word + 1] = address / 2 ** 32;
    }
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#memory.free(this.list);
    this.#onDispose(this);
  }
}
