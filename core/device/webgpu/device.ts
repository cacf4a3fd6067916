/**
 * The WebGPU device. Errors of a GPU arrive late, as events; they reject the next `read` or
 * `synchronize`, and name the kernel and its sizes.
 *
 * @module
 */

import { UserError } from "../../errors.ts";
import { productFlops } from "../../profile/cost.ts";
import type { Plan } from "../../launch.ts";
import type { Allocation, Device, DeviceCounters, DeviceObserver, Program } from "../device.ts";
import {
  type AdapterWish,
  describeAdapter,
  findAdapter,
  isSoftware,
  messageOf,
} from "./adapter.ts";
import { Arena } from "./arena.ts";
import { describeDriver } from "./driver.ts";
import { ErrorLog } from "./error_log.ts";
import { type Block, BufferPool } from "./memory.ts";
import {
  checkRefs,
  describeLaunch,
  foldWorkgroups,
  lower,
  type Step,
  type WebGpuProgram,
} from "./program.ts";
import { partBytes, reachedBytes, splitShader } from "./split.ts";
import type { Shader, Traits } from "./shader.ts";
import { launchTimes, Timestamps } from "./timestamps.ts";

/** Which adapter to open. */
export interface WebGpuOptions {
  /** What is looked for; the first adapter there is by default. */
  readonly adapter?: AdapterWish;
  /** Which shapes of kernels to use; those of the adapter's class by default. For tests. */
  readonly kernels?: "hardware" | "software";
  /** Bytes a binding may have, at least 512; the adapter's limit by default. For tests. */
  readonly maxBindingBytes?: number;
  /** Bytes a piece of the arena may have; the adapter's largest buffer by default. For tests. */
  readonly maxBufferBytes?: number;
}

const optionalFeatures: readonly GPUFeatureName[] = ["shader-f16", "timestamp-query", "subgroups"];

/** Bind groups remembered per step, and sets of buffers remembered per program. */
const groupsPerStep = 64;
const recentRuns = 8;

/**
 * Opens a GPU with all it offers. Resolves to undefined when the system has no adapter of the
 * class asked for. Rejects with a UserError when the adapter refuses to open.
 */
export async function openWebGpu(options: WebGpuOptions = {}): Promise<Device | undefined> {
  const adapter = await findAdapter(options.adapter);
  if (adapter === undefined) return undefined;
  const { limits } = adapter;
  let device: GPUDevice;
  try {
    device = await adapter.requestDevice({
      requiredFeatures: optionalFeatures.filter((feature) => adapter.features.has(feature)),
      requiredLimits: {
        maxBufferSize: limits.maxBufferSize,
        maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
        maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
        maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
        maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
        maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
        maxComputeWorkgroupSizeY: limits.maxComputeWorkgroupSizeY,
        maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
      },
    });
  } catch (error) {
    throw new UserError(
      `The GPU ${describeAdapter(adapter.info)} could not be opened: ${messageOf(error)}. ` +
        `Update its driver, or use --device cpu.`,
    );
  }
  const software = options.kernels === undefined
    ? isSoftware(adapter.info)
    : options.kernels === "software";
  return new WebGpuDevice(device, adapter.info, {
    software,
    maxBinding: options.maxBindingBytes ?? device.limits.maxStorageBufferBindingSize,
    maxBuffer: options.maxBufferBytes ?? device.limits.maxBufferSize,
  });
}

interface Staging {
  readonly buffer: GPUBuffer;
  readonly capacity: number;
}

class WebGpuDevice implements Device {
  readonly kind = "webgpu";
  readonly description: string;
  readonly maxKernelArguments: number;
  readonly maxBufferBytes: number;
  readonly #device: GPUDevice;
  readonly #traits: Traits;
  readonly #pool: BufferPool;
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #pipelines = new Map<string, GPUComputePipeline>();
  readonly #staging: Staging[] = [];
  readonly #maxBinding: number;
  readonly #errors: ErrorLog;
  #destroyed = false;
  readonly #compiled = new Map<Program, WebGpuProgram>();
  readonly #arena: Arena;
  #observer: DeviceObserver | null = null;
  /** Made for the first observer. */
  #timestamps: Timestamps | null = null;
  #programs = 0;
  #objects = 0;
  #launches = 0;
  #runs = 0;
  #flops = 0;

  constructor(
    device: GPUDevice,
    info: GPUAdapterInfo,
    { software, maxBinding, maxBuffer }: {
      readonly software: boolean;
      readonly maxBinding: number;
      readonly maxBuffer: number;
    },
  ) {
    const { limits } = device;
    this.#device = device;
    this.#errors = new ErrorLog(device);
    const onProcessor = isSoftware(info) ? ", software" : "";
    this.description = `${describeAdapter(info)}, ${describeDriver(info)}${onProcessor}`;
    this.maxKernelArguments = limits.maxStorageBuffersPerShaderStage;
    this.#maxBinding = Math.floor(maxBinding / 4) * 4;
    this.#traits = {
      software,
      maxInvocations: Math.min(
        limits.maxComputeInvocationsPerWorkgroup,
        limits.maxComputeWorkgroupSizeX,
      ),
      workgroupBytes: limits.maxComputeWorkgroupStorageSize,
    };
    this.#pool = new BufferPool({
      device,
      created: () => this.#objects++,
      guard: (what, f) => this.#errors.guard(what, f),
    });
    this.#arena = new Arena(this.#pool, maxBuffer);
    this.maxBufferBytes = this.#arena.segment;
  }

  allocate(bytes: number): Allocation {
    return this.#pool.allocate(bytes);
  }

  free(allocation: Allocation): void {
    this.#pool.free(allocation);
  }

  write(allocation: Allocation, data: Uint8Array): void {
    const { buffer, bytes } = this.#pool.get(allocation);
    if (data.byteLength % 4 !== 0 || data.byteLength > Math.ceil(bytes / 4) * 4) {
      throw new Error(`Cannot write ${data.byteLength} bytes to an allocation of ${bytes}.`);
    }
    if (data.byteLength === 0) return;
    this.#device.queue.writeBuffer(buffer, 0, source(data));
  }

  async read(allocation: Allocation, bytes: number): Promise<Uint8Array> {
    const block = this.#pool.get(allocation);
    if (bytes > block.capacity) {
      throw new Error(`Cannot read ${bytes} bytes of an allocation of ${block.bytes}.`);
    }
    const copied = Math.max(4, Math.ceil(bytes / 4) * 4);
    const staging = this.#takeStaging(copied);
    const began = this.#observer ? performance.now() : 0;
    const encoder = this.#device.createCommandEncoder({ label: "read" });
    encoder.copyBufferToBuffer(block.buffer, 0, staging.buffer, 0, copied);
    this.#device.queue.submit([encoder.finish()]);
    try {
      await staging.buffer.mapAsync(GPUMapMode.READ, 0, copied);
    } catch (error) {
      staging.buffer.destroy();
      await this.#errors.throwFirst();
      throw new Error(`Reading ${bytes} bytes from the GPU failed: ${messageOf(error)}`);
    }
    this.#observer?.waited("read", began, performance.now());
    const result = new Uint8Array(bytes);
    result.set(new Uint8Array(staging.buffer.getMappedRange(0, copied)).subarray(0, bytes));
    staging.buffer.unmap();
    this.#staging.push(staging);
    await this.#errors.throwFirst();
    return result;
  }

  compile(plan: Plan): Program {
    const { limits } = this.#device;
    const id = this.#programs++;
    const align = Math.max(16, limits.minUniformBufferOffsetAlignment);
    let end = 0;
    let usesScalars = 0;
    const steps: Step[] = [];
    const numbers: { readonly offset: number; readonly values: ArrayLike<number> }[] = [];
    const part = partBytes(this.#maxBinding);
    const began = this.#observer ? performance.now() : 0;
    for (const [index, launch] of plan.launches.entries()) {
      const reached = reachedBytes(launch);
      for (const dispatch of lower(launch, this.#traits)) {
        const parts = dispatch.args.map((arg) =>
          reached[arg]! <= this.#maxBinding ? 1 : Math.ceil(reached[arg]! / part)
        );
        const shader = splitShader(dispatch.shader, parts, part);
        const label = describeLaunch(shader, launch);
        checkRefs(launch, plan, label);
        if (shader.buffers > this.maxKernelArguments) {
          throw new UserError(
            `The kernel ${label} takes ${shader.buffers} buffers, a large one counted once per ${part} ` +
              `bytes, but this GPU binds at most ${this.maxKernelArguments} at once. Use a smaller ` +
              `batch, sequence or model, or --device cpu.`,
          );
        }
        if (dispatch.workgroups === 0) continue;
        const grid = foldWorkgroups(dispatch.workgroups, limits.maxComputeWorkgroupsPerDimension);
        const layout = this.#layout(shader);
        steps.push({
          launch: index,
          shader,
          pipeline: this.#pipeline(shader, layout),
          layout,
          refs: dispatch.args.flatMap((arg, i) =>
            Array.from({ length: parts[i]! }, (_, index) => ({
              ref: launch.args[arg]!,
              start: index * part,
              bytes: parts[i] === 1 ? this.#maxBinding : part,
            }))
          ),
          numbersOffset: end,
          numbersBytes: shader.numbers * 16,
          x: grid.x,
          y: grid.y,
          label,
          groups: new Map(),
        });
        numbers.push({ offset: end, values: dispatch.numbers });
        end += Math.ceil(shader.numbers * 16 / align) * align;
        usesScalars = Math.max(usesScalars, shader.scalars);
      }
    }
    const block = end === 0 ? undefined : this.#pool.allocate(end);
    if (block !== undefined) {
      const data = new Int32Array(end / 4);
      for (const { offset, values } of numbers) data.set(values, offset / 4);
      this.#device.queue.writeBuffer(block.buffer, 0, data);
    }
    const scalars = usesScalars === 0 ? undefined : this.#pool.allocate(usesScalars * 16);
    this.#arena.reserve(plan);
    let disposed = false;
    const program: WebGpuProgram = {
      id,
      externals: plan.externals,
      arenaBytes: plan.arenaBytes,
      launches: plan.launches,
      flops: productFlops(plan),
      steps,
      numbers: block,
      scalars,
      recent: [],
      dispose: () => {
        if (disposed || this.#destroyed) return;
        disposed = true;
        if (block !== undefined) this.#pool.free(block);
        if (scalars !== undefined) this.#pool.free(scalars);
        for (const step of steps) step.groups.clear();
        program.recent.length = 0;
        this.#compiled.delete(program);
      },
    };
    this.#compiled.set(program, program);
    this.#observer?.waited("compile", began, performance.now());
    return program;
  }

  run(program: Program, externals: readonly Allocation[], scalars: Float32Array): void {
    const compiled = this.#compiled.get(program);
    if (compiled === undefined) {
      throw new Error("The program was disposed of, or is another device's.");
    }
    if (externals.length !== compiled.externals) {
      throw new Error(`The program takes ${compiled.externals} buffers, not ${externals.length}.`);
    }
    const began = this.#observer ? performance.now() : 0;
    this.#runs++;
    if (compiled.steps.length === 0) return;
    this.#launches += compiled.steps.length;
    this.#flops += compiled.flops;
    const { queue } = this.#device;
    if (compiled.scalars !== undefined && scalars.length > 0) {
      const fitting = scalars.subarray(0, Math.min(scalars.length, compiled.scalars.capacity / 4));
      queue.writeBuffer(compiled.scalars.buffer, 0, new Float32Array(fitting));
    }
    const groups = this.#bindGroups(compiled, externals);
    const { steps } = compiled;
    const label = `program ${compiled.id} (first kernel: ${steps[0]!.label})`;
    this.#errors.current = label;
    const encoder = this.#device.createCommandEncoder({ label });
    if (this.#observer !== null) {
      this.#runObserved(compiled, groups, encoder, { observer: this.#observer, began });
      return;
    }
    const pass = encoder.beginComputePass({ label });
    let pipeline: GPUComputePipeline | undefined;
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i]!;
      if (step.pipeline !== pipeline) pass.setPipeline(pipeline = step.pipeline);
      pass.setBindGroup(0, groups[i]!);
      pass.dispatchWorkgroups(step.x, step.y);
    }
    pass.end();
    queue.submit([encoder.finish()]);
  }

  async synchronize(): Promise<void> {
    const began = this.#observer ? performance.now() : 0;
    await this.#device.queue.onSubmittedWorkDone();
    this.#observer?.waited("synchronize", began, performance.now());
    await this.#errors.throwFirst();
  }

  observe(observer: DeviceObserver | null): void {
    this.#observer = observer;
    if (observer === null || !this.#device.features.has("timestamp-query")) return;
    this.#timestamps ??= new Timestamps(this.#device, () => this.#objects++);
  }

  counters(): DeviceCounters {
    return {
      objects: this.#objects,
      launches: this.#launches,
      runs: this.#runs,
      flops: this.#flops,
      bytes: this.#pool.bytes,
      peakBytes: this.#pool.peakBytes,
    };
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#compiled.clear();
    this.#errors.close();
    this.#device.destroy();
  }

  /** A pass for each dispatch, with timestamps around it where the adapter has them. */
  #runObserved(
    { steps, launches }: WebGpuProgram,
    groups: readonly GPUBindGroup[],
    encoder: GPUCommandEncoder,
    { observer, began }: { readonly observer: DeviceObserver; readonly began: number },
  ): void {
    const marks = this.#timestamps?.take(steps.length);
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i]!;
      const pass = encoder.beginComputePass({
        label: step.label,
        ...(marks ? { timestampWrites: marks.around(i) } : {}),
      });
      pass.setPipeline(step.pipeline);
      pass.setBindGroup(0, groups[i]!);
      pass.dispatchWorkgroups(step.x, step.y);
      pass.end();
    }
    marks?.resolve(encoder);
    this.#device.queue.submit([encoder.finish()]);
    const ended = performance.now();
    const times = marks === undefined
      ? Promise.resolve(null)
      : marks.read(began).then((spans) => launchTimes(spans, steps, launches.length));
    // A failure is thrown where the times are used; until then it is not unhandled.
    times.catch(() => {});
    observer.ran({ launches, began, ended, times });
  }

  #layout(shader: Shader): GPUBindGroupLayout {
    const key = `${shader.buffers},${shader.scalars > 0}`;
    let layout = this.#layouts.get(key);
    if (layout === undefined) {
      const uniforms = shader.scalars > 0 ? 2 : 1;
      const entries = Array.from({ length: shader.buffers + uniforms }, (_, binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: binding < shader.buffers ? "storage" as const : "uniform" as const },
      }));
      layout = this.#device.createBindGroupLayout({ entries });
      this.#objects++;
      this.#layouts.set(key, layout);
    }
    return layout;
  }

  #pipeline(shader: Shader, layout: GPUBindGroupLayout): GPUComputePipeline {
    let pipeline = this.#pipelines.get(shader.code);
    if (pipeline === undefined) {
      pipeline = this.#errors.guard(`compiling ${shader.name}`, () => {
        const module = this.#device.createShaderModule({ label: shader.name, code: shader.code });
        return this.#device.createComputePipeline({
          label: shader.name,
          layout: this.#device.createPipelineLayout({ bindGroupLayouts: [layout] }),
          compute: { module, entryPoint: "main" },
        });
      });
      this.#objects += 3;
      this.#pipelines.set(shader.code, pipeline);
    }
    return pipeline;
  }

  #bindGroups(program: WebGpuProgram, externals: readonly Allocation[]): readonly GPUBindGroup[] {
    const ids = this.#arena.ids(program.arenaBytes);
    for (const external of externals) ids.push(external.id);
    const { recent } = program;
    const found = recent.findIndex((candidate) => candidate.ids.every((id, i) => id === ids[i]));
    if (found >= 0) {
      for (const external of externals) this.#pool.get(external);
      const [entry] = recent.splice(found, 1);
      recent.push(entry!);
      return entry!.groups;
    }
    const blocks = externals.map((external) => this.#pool.get(external));
    const groups = program.steps.map((step) => this.#bindGroup(program, step, blocks));
    recent.push({ ids, groups });
    if (recent.length > recentRuns) recent.shift();
    return groups;
  }

  #bindGroup(program: WebGpuProgram, step: Step, externals: readonly Block[]): GPUBindGroup {
    const places = step.refs.map(({ ref }) =>
      "external" in ref ? { block: externals[ref.external]!, begin: 0 } : this.#arena.at(ref.arena)
    );
    const key = places.map(({ block }) => block.id).join();
    let group = step.groups.get(key);
    if (group !== undefined) {
      step.groups.delete(key);
      step.groups.set(key, group);
      return group;
    }
    const entries: GPUBindGroupEntry[] = step.refs.map(({ ref, start, bytes }, binding) => {
      const { block: { buffer, capacity }, begin } = places[binding]!;
      const first = begin + start;
      const end = "external" in ref ? capacity : begin + Math.max(4, Math.ceil(ref.bytes / 4) * 4);
      const size = Math.min(bytes, end - first);
      if (size <= 0) {
        throw new Error(`Argument ${binding} of ${step.label} is shorter than the kernel reaches.`);
      }
      return { binding, resource: { buffer, offset: first, size } };
    });
    entries.push({
      binding: entries.length,
      resource: {
        buffer: program.numbers!.buffer,
        offset: step.numbersOffset,
        size: step.numbersBytes,
      },
    });
    if (step.shader.scalars > 0) {
      entries.push({
        binding: entries.length,
        resource: { buffer: program.scalars!.buffer, offset: 0, size: step.shader.scalars * 16 },
      });
    }
    group = this.#errors.guard(
      `binding the buffers of ${step.label}`,
      () => this.#device.createBindGroup({ label: step.label, layout: step.layout, entries }),
    );
    this.#objects++;
    step.groups.set(key, group);
    if (step.groups.size > groupsPerStep) step.groups.delete(step.groups.keys().next().value!);
    return group;
  }

  #takeStaging(bytes: number): Staging {
    const at = this.#staging.findIndex((candidate) => candidate.capacity >= bytes);
    if (at >= 0) return this.#staging.splice(at, 1)[0]!;
    const capacity = Math.max(65536, 2 ** Math.ceil(Math.log2(bytes)));
    // One that is too small makes room for one that serves both.
    this.#staging.shift()?.buffer.destroy();
    const buffer = this.#errors.guard(
      `allocating ${capacity} bytes for reading`,
      () =>
        this.#device.createBuffer({
          label: "staging",
          size: capacity,
          usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
        }),
    );
    this.#objects++;
    return { buffer, capacity };
  }
}

/** The bytes as a view the queue takes; shared memory is copied, since the queue refuses it. */
function source(data: Uint8Array): Uint8Array<ArrayBuffer> {
  return data.buffer instanceof ArrayBuffer
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}
