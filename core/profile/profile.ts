/** Where the time of steps goes, kernel by kernel. @module */

import type { Device, DeviceObserver, ObservedRun } from "../device/device.ts";
import { type Kernel, kernelKey, type Launch, numbersOf } from "../launch.ts";
import { printKernel } from "../print.ts";
import { type Cost, launchCost } from "./cost.ts";
import { kernelFamily, launchName } from "./name.ts";
import { boundOf, measureRoofline, type Roofline } from "./roofline.ts";
import { Trace } from "./trace.ts";

/** Options of {@link startProfile}. */
export interface ProfileOptions {
  /** Steps whose timeline is kept; 3 by default. Times by kernel are of all steps. */
  readonly tracedSteps?: number;
  /** What the device can do at best, where an earlier profile measured it. */
  readonly roofline?: Roofline;
}

/** All launches of one kernel on one set of sizes. */
export interface KernelTime {
  /** For people, sizes included. */
  readonly name: string;
  /** Kernels of one sort have one family: "matmul f32", "fused rows". */
  readonly family: string;
  /** The kernel as text; see `printKernel`. */
  readonly text: string;
  /** Launches in all steps. */
  readonly launches: number;
  /** Milliseconds of them all; NaN where the adapter cannot tell. */
  readonly ms: number;
  /** The least that one launch has to do. */
  readonly cost: Cost;
  /** The least number of milliseconds in which all of it can be done; see {@link Roofline}. */
  readonly boundMs: number;
  /** What this bound is by. */
  readonly boundBy: "products" | "memory";
}

/** What a profile found. */
export interface ProfileReport {
  /** The device, in its own words. */
  readonly device: string;
  /** What it can do at best. */
  readonly roofline: Roofline;
  /** Steps profiled. */
  readonly steps: number;
  /** Milliseconds from the begin of the first to the end of the last, its kernels' included. */
  readonly wallMs: number;
  /** Milliseconds of them in which kernels ran; NaN where the adapter cannot tell. */
  readonly deviceMs: number;
  /** Milliseconds in which the host compiled, and in which it enqueued (on a CPU: ran) programs. */
  readonly compileMs: number;
  /** See `compileMs`. */
  readonly runMs: number;
  /** Runs of programs, in all steps. */
  readonly runs: number;
  /** By time, longest first. */
  readonly kernels: readonly KernelTime[];
  /** A timeline of the first steps: the text of a file for Perfetto or chrome://tracing. */
  readonly trace: string;
}

/** A profile that is being taken. */
export interface Profile {
  /** Ends a step, if one is under way, and begins the next; before the first call nothing is recorded. */
  step(): void;
  /** Ends the step under way and begins none: what comes now is not recorded. */
  end(): void;
  /** Ends the step under way, waits for all work, and gives what was found. */
  stop(): Promise<ProfileReport>;
}

/**
 * Prepares to profile steps on a device: measures what the machine can do at best, which takes a second and
 * borrows 192 MiB of the device's memory. Steps should be past their first ones, in which kernels are compiled.
 *
 * @example
 * ```ts
 * import { jit, openDevice, showProfile, startProfile, tensor } from "@plumb/plumb/core";
 *
 * const device = await openDevice("cpu");
 * const x = tensor(new Float32Array(64 * 64), { shape: [64, 64] });
 * const f = jit((a: typeof x) => a.matmul(a).sum());
 * await f(x).data();
 * const profile = await startProfile(device);
 * for (let step = 0; step < 3; step++) {
 *   profile.step();
 *   await f(x).data();
 * }
 * console.log(showProfile(await profile.stop()));
 * ```
 */
export async function startProfile(
  device: Device,
  { tracedSteps = 3, roofline }: ProfileOptions = {},
): Promise<Profile> {
  await device.synchronize();
  return new Recording(device, roofline ?? await measureRoofline(device), tracedSteps);
}

interface Sums {
  readonly launch: Launch;
  readonly cost: Cost;
  launches: number;
  ms: number;
}

class Recording implements Profile, DeviceObserver {
  readonly #byIdentity = new Map<string, Sums>();
  /** The same by launch, since a program's are the same at every run. */
  readonly #byLaunch = new WeakMap<Launch, Sums>();
  readonly #pending = new Set<Promise<void>>();
  #failure: unknown;
  #trace: Trace | null = null;
  #began = 0;
  /** Null between steps. */
  #stepBegan: number | null = null;
  #ended = 0;
  #steps = 0;
  #runs = 0;
  #runMs = 0;
  #compileMs = 0;

  constructor(
    readonly device: Device,
    readonly roofline: Roofline,
    readonly tracedSteps: number,
  ) {}

  step(): void {
    const now = performance.now();
    if (this.#trace === null) {
      this.#trace = new Trace(now, this.device.description);
      this.#began = now;
    }
    if (this.#stepBegan === null) this.device.observe(this);
    else this.#endStep(this.#stepBegan, now);
    this.#stepBegan = now;
  }

  end(): void {
    if (this.#stepBegan === null) return;
    this.#ended = performance.now();
    this.#endStep(this.#stepBegan, this.#ended);
    this.#stepBegan = null;
    this.device.observe(null);
  }

  async stop(): Promise<ProfileReport> {
    if (this.#trace === null) throw new Error("No step was begun, so there is nothing to report.");
    if (this.#stepBegan !== null) await this.device.synchronize();
    this.end();
    await this.device.synchronize();
    await Promise.all(this.#pending);
    if (this.#failure !== undefined) throw this.#failure;
    const kernels = [...this.#byIdentity.values()].map((sums) => this.#kernelTime(sums));
    kernels.sort((a, b) => b.ms - a.ms || b.boundMs - a.boundMs);
    return {
      device: this.device.description,
      roofline: this.roofline,
      steps: this.#steps,
      wallMs: this.#ended - this.#began,
      deviceMs: kernels.reduce((sum, { ms }) => sum + ms, 0),
      compileMs: this.#compileMs,
      runMs: this.#runMs,
      runs: this.#runs,
      kernels,
      trace: this.#trace.json(),
    };
  }

  ran(run: ObservedRun): void {
    const { began, ended, launches } = run;
    this.#runs++;
    this.#runMs += ended - began;
    const trace = this.#steps < this.tracedSteps ? this.#trace : null;
    trace?.span("host", `run ${launches.length} launches`, [began, ended]);
    const recorded = this.#record(run, trace).catch((error) => this.#failure ??= error)
      .finally(() => this.#pending.delete(recorded));
    this.#pending.add(recorded);
  }

  waited(what: "compile" | "read" | "synchronize", began: number, ended: number): void {
    if (what === "compile") this.#compileMs += ended - began;
    if (this.#steps >= this.tracedSteps) return;
    if (what === "compile") this.#trace?.span("host", what, [began, ended]);
    else this.#trace?.wait(what, [began, ended]);
  }

  #endStep(began: number, ended: number): void {
    this.#steps++;
    if (this.#steps > this.tracedSteps) return;
    this.#trace!.span("host", `step ${this.#steps}`, [began, ended]);
  }

  async #record({ launches, times }: ObservedRun, trace: Trace | null): Promise<void> {
    const spans = await times;
    // A GPU may work on when the host is done.
    if (spans) this.#ended = Math.max(this.#ended, spans.at(-1) ?? 0);
    let before = -Infinity;
    launches.forEach((launch, i) => {
      const sums = this.#sumsOf(launch);
      sums.launches++;
      const [began, ended] = spans ? [spans[2 * i]!, spans[2 * i + 1]!] : [NaN, NaN];
      sums.ms += ended - began;
      if (trace === null || spans === null) return;
      const { bytes, flops } = sums.cost;
      const args = { bytes, ...(flops > 0 ? { flops } : {}), kernel: textOf(launch) };
      // A GPU may begin a kernel before the last one has ended; on the track they follow each other.
      const drawn: [number, number] = [Math.max(before, began), Math.max(before, ended)];
      trace.span("device", launchName(launch), drawn, args);
      before = drawn[1];
    });
  }

  #sumsOf(launch: Launch): Sums {
    let sums = this.#byLaunch.get(launch);
    if (sums !== undefined) return sums;
    const identity = `${kernelKey(launch.kernel)}|${numbersOf(launch).ints}`;
    sums = this.#byIdentity.get(identity) ??
      { launch, cost: launchCost(launch), launches: 0, ms: 0 };
    this.#byIdentity.set(identity, sums);
    this.#byLaunch.set(launch, sums);
    return sums;
  }

  #kernelTime({ launch, cost, launches, ms }: Sums): KernelTime {
    const bound = boundOf(cost, this.roofline);
    return {
      name: launchName(launch),
      family: kernelFamily(launch),
      text: textOf(launch),
      launches,
      ms,
      cost,
      boundMs: launches * bound.ms,
      boundBy: bound.by,
    };
  }
}

const texts: WeakMap<Kernel, string> = new WeakMap();

/** A kernel's text without the sizes, which are in its name. */
function textOf({ kernel }: Launch): string {
  let text = texts.get(kernel);
  if (text === undefined) texts.set(kernel, text = printKernel(kernel));
  return text;
}
