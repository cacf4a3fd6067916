/** Letting signals and timers have their turn between computations. @module */

/** Computation on the CPU leaves the event loop no turn of its own, so that Ctrl-C would wait for the last token. */
const MILLISECONDS = 20;

/** Gives a function to await often: now and then, it lets pending events happen. */
export function breather(): () => Promise<void> {
  let last = performance.now();
  return async () => {
    if (performance.now() - last < MILLISECONDS) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    last = performance.now();
  };
}
