/**
 * A thread of the CPU device. It never returns to its event loop: between commands it sleeps on the
 * control block, and new code comes through the shared memory.
 *
 * @module
 */

import { workerData } from "node:worker_threads";
import { noSgemm, openBlasAt } from "./blas.ts";
import { command, control } from "./driver.ts";
import { createThread } from "./thread.ts";
import type { WorkerSetup } from "./threads.ts";

const setup = workerData as WorkerSetup;
const { memory } = setup;
const words = new Int32Array(memory.buffer, 0, 1024);
const addresses = new BigInt64Array(memory.buffer, 0, 512);

/** Tells the main thread, which may be waiting for this one at a barrier. */
function fail(error: unknown): void {
  const text = new TextEncoder().encode(error instanceof Error ? error.message : String(error));
  const message = text.subarray(0, control.messageLimit);
  new Uint8Array(memory.buffer, control.message, message.length).set(message);
  words[control.messageBytes / 4] = message.length;
  Atomics.store(words, control.aborted / 4, setup.thread);
  for (const address of [control.generation, control.acknowledged]) {
    Atomics.add(words, address / 4, 1);
    Atomics.notify(words, address / 4);
  }
}

function acknowledge(): void {
  Atomics.add(words, control.acknowledged / 4, 1);
  Atomics.notify(words, control.acknowledged / 4);
}

function main(): void {
  const sgemm = setup.blas === null ? noSgemm : openBlasAt(setup.blas, memory).sgemm;
  const thread = createThread(memory, setup.driver, sgemm);
  let epoch = 0;
  acknowledge();
  for (;;) {
    epoch = thread.driver.work(setup.thread, setup.threads, epoch);
    if (Atomics.load(words, control.aborted / 4) !== 0) return;
    if (words[control.kind / 4] === command.stop) return;
    const address = Number(addresses[control.address / 8]);
    // Growing by nothing makes growth by the main thread visible in `buffer`.
    Reflect.apply(memory.grow, memory, [0n]);
    const shared = new Uint8Array(memory.buffer, address, words[control.count / 4]);
    thread.load(new Uint8Array(shared), words[control.tableBase / 4]!);
    acknowledge();
  }
}

try {
  main();
} catch (error) {
  fail(error);
}
