/** Errors of a GPU, which arrive late and as events. @module */

import { UserError } from "../../errors.ts";

/** Collects a device's errors until somebody waits for its work. */
export class ErrorLog {
  /** What the device was last asked to do, for errors that do not say. */
  current = "";
  readonly #device: GPUDevice;
  readonly #errors: Error[] = [];
  /** Error scopes whose outcome is not known yet. */
  readonly #pending = new Set<Promise<void>>();
  #lost: string | undefined;
  #closed = false;

  /** Listens to a device. */
  constructor(device: GPUDevice) {
    this.#device = device;
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.#report(this.current, (event as GPUUncapturedErrorEvent).error);
    });
    device.lost.then((reason) => {
      if (!this.#closed) this.#lost = `The GPU was lost (${reason.reason}): ${reason.message}`;
    });
  }

  /** From now on every wait is refused. */
  close(): void {
    this.#closed = true;
  }

  /** Runs `f` and reports what it did wrong as an error of `what`. */
  guard<T>(what: string, f: () => T): T {
    this.#device.pushErrorScope("validation");
    this.#device.pushErrorScope("out-of-memory");
    this.#device.pushErrorScope("internal");
    try {
      return f();
    } finally {
      for (let i = 0; i < 3; i++) {
        const outcome: Promise<void> = this.#device.popErrorScope().then(
          (error) => {
            if (error !== null) this.#report(what, error);
          },
          () => {}, // A lost device answers no scope; its loss is reported by itself.
        ).finally(() => this.#pending.delete(outcome));
        this.#pending.add(outcome);
      }
    }
  }

  /** Rejects with the first error since the last call, or for good once the device is gone. */
  async throwFirst(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    const [first] = this.#errors.splice(0);
    if (first !== undefined) throw first;
    if (this.#lost !== undefined) throw new Error(this.#lost);
    if (this.#closed) throw new Error("The GPU device was destroyed.");
  }

  #report(what: string, error: GPUError): void {
    if (this.#errors.length >= 16) return;
    this.#errors.push(
      error instanceof GPUOutOfMemoryError
        ? new UserError(
          `The GPU is out of memory in ${what}: ${error.message}. Use a smaller batch, sequence or ` +
            `model, or --device cpu.`,
        )
        : new Error(`GPU error in ${what}: ${error.message}`),
    );
  }
}
