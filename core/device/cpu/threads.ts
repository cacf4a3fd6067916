/** The threads of the CPU device: the caller's, and workers that sleep between commands. @module */

import { noSgemm, type Sgemm } from "./blas.ts";
import { command, control, emitDriver } from "./driver.ts";
import type { DeviceMemory } from "./memory.ts";
import { createThread, type Thread } from "./thread.ts";

/** What a worker is started with. */
export interface WorkerSetup {
  readonly memory: WebAssembly.Memory;
  readonly driver: Uint8Array<ArrayBuffer>;
  /** Path of the BLAS to open, or null. */
  readonly blas: string | null;
  readonly thread: number;
  readonly threads: number;
}

/** How long workers may take to start, in milliseconds. */
const startLimit = 10000;

/** All threads, as the device drives them. */
export interface Threads {
  readonly count: number;
  /** Why there are fewer threads than asked for, or null. */
  readonly trouble: string | null;
  /** Makes a module's phases known to all threads. */
  load(module: Uint8Array<ArrayBuffer>, tableBase: number): void;
  /** Runs a list of phases. Throws {@link ThreadError} when one traps; nothing runs after that. */
  run(list: number, count: number): void;
  stop(): void;
}

/** A phase trapped. */
export class ThreadError extends Error {
  override readonly name = "ThreadError";
  /** @param launch The number of the launch in the program. */
  constructor(readonly launch: number, message: string) {
    super(message);
  }
}

interface StoppableWorker {
  terminate(): unknown;
}

async function startWorkers(
  setups: readonly WorkerSetup[],
  words: Int32Array,
): Promise<StoppableWorker[]> {
  const workers: StoppableWorker[] = [];
  const { promise: failure, reject } = Promise.withResolvers<never>();
  failure.catch(() => {}); // It may come when nobody waits any more.
  try {
    // Node's workers, unlike the web's, can be told not to keep the process alive.
    const { Worker } = await import("node:worker_threads");
    for (const workerData of setups) {
      const worker = new Worker(new URL(import.meta.resolve("./worker.ts")), { workerData });
      worker.on("error", reject);
      workers.push(worker);
    }
    const deadline = performance.now() + startLimit;
    for (;;) {
      const ready = Atomics.load(words, control.acknowledged / 4);
      if (Atomics.load(words, control.aborted / 4) !== 0) throw new Error(workerMessage(words));
      if (ready >= setups.length) break;
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`they did not start within ${startLimit / 1000} s`);
      const waiting = Atomics.waitAsync(words, control.acknowledged / 4, ready, left);
      await Promise.race([waiting.value, failure]);
    }
    for (const worker of workers) (worker as InstanceType<typeof Worker>).unref();
    return workers;
  } catch (error) {
    for (const worker of workers) worker.terminate();
    throw error;
  }
}

function workerMessage(words: Int32Array): string {
  const bytes = words[control.messageBytes / 4]!;
  // TextDecoder refuses shared memory.
  const text = new Uint8Array(new Uint8Array(words.buffer, control.message, bytes));
  return new TextDecoder().decode(text);
}

/**
 * Starts `count` threads, the caller's included. Where workers cannot be started (no permission to
 * read the worker's file, no shared memory between them), only the caller's is left.
 */
export async function startThreads(
  memory: DeviceMemory,
  count: number,
  blas: { readonly path: string; readonly sgemm: Sgemm } | null,
): Promise<Threads> {
  const words = new Int32Array(memory.memory.buffer, 0, 1024);
  const addresses = new BigInt64Array(memory.memory.buffer, 0, 512);
  const driver = emitDriver(memory.maximumPages);
  const setups = Array.from({ length: count - 1 }, (_, i): WorkerSetup => ({
    memory: memory.memory,
    driver,
    blas: blas?.path ?? null,
    thread: i + 1,
    threads: count,
  }));
  let workers: StoppableWorker[] = [];
  let trouble: string | null = null;
  try {
    workers = await startWorkers(setups, words);
  } catch (error) {
    trouble = (error as Error).message;
    count = 1;
    Atomics.store(words, control.aborted / 4, 0);
  }
  const main: Thread = createThread(memory.memory, driver, blas?.sgemm ?? noSgemm);

  const launchOf = (thread: number): number => words[(control.launch + 64 * thread) / 4]!;

  function check(): void {
    const failed = Atomics.load(words, control.aborted / 4);
    if (failed !== 0) {
      throw new ThreadError(launchOf(failed === mainFailed ? 0 : failed), workerMessage(words));
    }
  }

  return {
    count,
    trouble,
    load(module, tableBase) {
      check();
      main.load(module, tableBase);
      if (workers.length === 0) return;
      const address = memory.allocate(module.length);
      memory.view(address, module.length).set(module);
      words[control.kind / 4] = command.load;
      words[control.count / 4] = module.length;
      addresses[control.address / 8] = BigInt(address);
      words[control.tableBase / 4] = tableBase;
      Atomics.store(words, control.acknowledged / 4, 0);
      main.driver.issue();
      for (;;) {
        const ready = Atomics.load(words, control.acknowledged / 4);
        check();
        if (ready >= workers.length) break;
        Atomics.wait(words, control.acknowledged / 4, ready);
      }
      memory.free(address);
    },
    run(list, phases) {
      check();
      // Without a phase there is no barrier, and the next command could overtake this one.
      if (phases === 0) return;
      try {
        main.driver.run(BigInt(list), phases, count);
      } catch (error) {
        // The workers may be waiting for this thread at a barrier.
        const message = new TextEncoder().encode((error as Error).message)
          .subarray(0, control.messageLimit);
        memory.view(control.message, message.length).set(message);
        words[control.messageBytes / 4] = message.length;
        Atomics.store(words, control.aborted / 4, mainFailed);
        Atomics.add(words, control.generation / 4, 1);
        Atomics.notify(words, control.generation / 4);
      }
      check();
    },
    stop() {
      if (workers.length === 0) return;
      words[control.kind / 4] = command.stop;
      main.driver.issue();
      for (const worker of workers) worker.terminate();
      workers = [];
    },
  };
}

/** The value of `aborted` when the trap was the main thread's; otherwise it is the worker's number. */
const mainFailed = -1;
