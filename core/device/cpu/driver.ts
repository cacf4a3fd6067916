/**
 * The program driver: WebAssembly that walks a list of phases on every thread, with a barrier after
 * each. It talks to the threads through a control block at the start of the shared memory.
 *
 * @module
 */

import { phaseType } from "./code.ts";
import { FunctionBuilder } from "./wasm_function.ts";
import { assemble } from "./wasm_module.ts";

/** Addresses in the control block. What different threads write lies 128 bytes apart. */
export const control = {
  /** Incremented for every command; idle workers wait on it. */
  epoch: 128,
  epochSleepers: 256,
  /** Threads that reached the barrier, and the number of barriers passed. */
  arrived: 384,
  generation: 512,
  generationSleepers: 640,
  /** The command: its kind, and then, by kind, what follows. */
  kind: 768,
  /** `run`: number of phases, i64 address of the list. `load`: bytes of the module, i64 address. */
  count: 772,
  address: 776,
  /** `load`: where in the table the module's functions go. */
  tableBase: 784,
  /** Not 0 once a thread trapped; nothing runs after that. */
  aborted: 896,
  /** Workers that finished starting or loading. */
  acknowledged: 1024,
  /** Bytes of the message of a failed worker, and the message. */
  messageBytes: 1152,
  message: 1156,
  messageLimit: 500,
  /** i32 launch that a thread runs, 64 bytes apart. */
  launch: 2048,
} as const;

/** The most threads the control block has room for. */
export const mostThreads = 64;

/** Bytes the control block takes. */
export const controlBytes: number = control.launch + 64 * mostThreads;

/** Kinds of commands. */
export const command = { run: 1, load: 2, stop: 3 } as const;

/** A phase in a program's list: i32 table index, i32 launch number, i64 parameter block. */
export const listEntry = { bytes: 16, table: 0, launch: 4, parameters: 8 } as const;

/**
 * Rounds of spinning before a thread sleeps, some 30 µs: long enough for the gaps between phases,
 * short enough to leave the cores to others.
 */
const spinRounds = 30000;

const index = { wait: 0, barrier: 1, execute: 2 };

/** wait(address, expected, sleepers): returns once the i32 at `address` is not `expected`. */
function emitWait(): FunctionBuilder {
  const f = new FunctionBuilder(["i64", "i32", "i64"], []);
  const [address, expected, sleepers] = [f.parameter(0), f.parameter(1), f.parameter(2)];
  const rounds = f.local("i32");
  return f.block((done) => {
    f.i32(spinRounds).set(rounds);
    f.loop((again) => {
      f.get(address).memory("i32.atomic.load").get(expected).op("i32.ne").brIf(done);
      f.get(rounds).i32(1).op("i32.sub").tee(rounds).brIf(again);
    });
    // Whoever changes the value looks at the sleepers afterwards, so no wake-up is lost.
    f.get(sleepers).i32(1).memory("i32.atomic.rmw.add").op("drop");
    f.block((awake) => {
      f.loop((again) => {
        f.get(address).memory("i32.atomic.load").get(expected).op("i32.ne").brIf(awake);
        f.get(address, expected).i64(-1).memory("memory.atomic.wait32").op("drop");
        f.br(again);
      });
    });
    f.get(sleepers).i32(-1).memory("i32.atomic.rmw.add").op("drop");
  });
}

/** Increments the i32 at `address` and wakes whoever sleeps on it. */
function emitSignal(f: FunctionBuilder, address: number, sleepers: number): void {
  f.i64(address).i32(1).memory("i32.atomic.rmw.add").op("drop");
  f.i64(sleepers).memory("i32.atomic.load").if(() => {
    f.i64(address).i32(-1).memory("memory.atomic.notify").op("drop");
  });
}

/** barrier(threads): returns when all threads have called it, or when one has trapped. */
function emitBarrier(): FunctionBuilder {
  const f = new FunctionBuilder(["i32"], []);
  const threads = f.parameter(0);
  const generation = f.local("i32");
  f.get(threads).i32(1).op("i32.le_s").if(() => f.op("return"));
  f.i64(control.generation).memory("i32.atomic.load").set(generation);
  f.i64(control.arrived).i32(1).memory("i32.atomic.rmw.add").i32(1).op("i32.add");
  return f.get(threads).op("i32.eq").if(() => {
    f.i64(control.arrived).i32(0).memory("i32.atomic.store");
    emitSignal(f, control.generation, control.generationSleepers);
  }, () => {
    // A thread that traps sets `aborted` before it moves the generation on.
    f.i64(control.aborted).memory("i32.atomic.load").if(() => f.op("return"));
    f.i64(control.generation).get(generation).i64(control.generationSleepers).call(index.wait);
  });
}

/** execute(list, count, thread, threads): runs a program's phases. */
function emitExecute(phaseTypeIndex: number): FunctionBuilder {
  const f = new FunctionBuilder(["i64", "i32", "i32", "i32"], []);
  const [list, count, thread, threads] = [0, 1, 2, 3].map((i) => f.parameter(i));
  const end = f.local("i64");
  const launch = f.local("i64");
  f.get(list!, count!).op("i64.extend_i32_u").i64(listEntry.bytes).op("i64.mul", "i64.add");
  f.set(end).get(thread!).op("i64.extend_i32_u").i64(64).op("i64.mul").set(launch);
  return f.block((exit) => {
    f.loop((next) => {
      f.get(list!, end).op("i64.ge_u").brIf(exit);
      f.get(launch, list!).memory("i32.load", listEntry.launch).memory("i32.store", control.launch);
      f.get(list!).memory("i64.load", listEntry.parameters).get(thread!, threads!);
      f.get(list!).memory("i32.load", listEntry.table).callIndirect(phaseTypeIndex);
      f.get(threads!).call(index.barrier);
      f.i64(control.aborted).memory("i32.atomic.load").brIf(exit);
      f.get(list!).i64(listEntry.bytes).op("i64.add").set(list!).br(next);
    });
  });
}

/**
 * work(thread, threads, epoch) → epoch: runs the `run` commands after `epoch`; returns at the first
 * command of another kind, or once a thread has trapped.
 */
function emitWork(): FunctionBuilder {
  const f = new FunctionBuilder(["i32", "i32", "i32"], ["i32"]);
  const [thread, threads, epoch] = [f.parameter(0), f.parameter(1), f.parameter(2)];
  f.block((exit) => {
    f.loop((next) => {
      f.i64(control.epoch).get(epoch).i64(control.epochSleepers).call(index.wait);
      f.i64(control.epoch).memory("i32.atomic.load").set(epoch);
      f.i64(control.kind).memory("i32.load").i32(command.run).op("i32.ne").brIf(exit);
      f.i64(control.address).memory("i64.load").i64(control.count).memory("i32.load");
      f.get(thread, threads).call(index.execute);
      f.i64(control.aborted).memory("i32.atomic.load").brIf(exit);
      f.br(next);
    });
  });
  return f.get(epoch);
}

/** signal(): makes the command in the control block known to the workers. */
function emitIssue(): FunctionBuilder {
  const f = new FunctionBuilder([], []);
  emitSignal(f, control.epoch, control.epochSleepers);
  return f;
}

/** run(list, count, threads): runs a program on all threads; the caller is thread 0. */
function emitRun(): FunctionBuilder {
  const f = new FunctionBuilder(["i64", "i32", "i32"], []);
  const [list, count, threads] = [f.parameter(0), f.parameter(1), f.parameter(2)];
  f.get(threads).i32(1).op("i32.gt_s").if(() => {
    f.i64(control.kind).i32(command.run).memory("i32.store");
    f.i64(control.count).get(count).memory("i32.store");
    f.i64(control.address).get(list).memory("i64.store");
    emitSignal(f, control.epoch, control.epochSleepers);
  });
  return f.get(list, count).i32(0).get(threads).call(index.execute);
}

/** The driver's module. It imports the memory and the table of phases. */
export function emitDriver(maximumPages: number): Uint8Array<ArrayBuffer> {
  const functions = [
    { name: "wait", body: emitWait() },
    { name: "barrier", body: emitBarrier() },
    { name: "execute", body: emitExecute(6) },
    { name: "work", body: emitWork() },
    { name: "issue", body: emitIssue() },
    { name: "run", body: emitRun() },
  ];
  return assemble({ functions, types: [phaseType], table: true, maximumPages });
}

/** What the driver exports. */
export interface Driver {
  readonly work: (thread: number, threads: number, epoch: number) => number;
  readonly issue: () => void;
  readonly run: (list: bigint, count: number, threads: number) => void;
}
