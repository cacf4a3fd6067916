/** Ctrl-C and SIGTERM: the first asks to stop, the second stops. @module */

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;

/** What asks a command to stop. */
export interface Interrupt {
  /** Aborted by the first signal. */
  readonly signal: AbortSignal;
  /** The code that tells which signal it was. */
  readonly exitCode: () => number;
  /** Leaves signals to the system again. */
  readonly dispose: () => void;
}

/** Listens for signals; `onFirst` tells the user. */
export function interruptSignal(onFirst: () => void): Interrupt {
  const controller = new AbortController();
  const names = Deno.build.os === "windows" ? ["SIGINT"] as const : ["SIGINT", "SIGTERM"] as const;
  let exitCode: number = exitCodes.SIGINT;
  const listeners = names.map((name) => ({
    name,
    listener: () => {
      exitCode = exitCodes[name];
      if (controller.signal.aborted) Deno.exit(exitCode);
      controller.abort();
      onFirst();
    },
  }));
  for (const { name, listener } of listeners) Deno.addSignalListener(name, listener);
  return {
    signal: controller.signal,
    exitCode: () => exitCode,
    dispose: () => {
      for (const { name, listener } of listeners) Deno.removeSignalListener(name, listener);
    },
  };
}
