/** How fast a run goes. @module */

import type { Pace as PaceFields, RunPosition } from "./progress.ts";

/** A clock that counts tokens. Evaluations and checkpoints are left out of the pace. */
export class Pace {
  readonly #begin = performance.now();
  #lapBegin = performance.now();
  #lapTokens = 0;
  #lapSteps = 0;
  /** Of the laps that are over. */
  #tokens = 0;
  #seconds = 0;

  /** Counts a step's tokens. */
  add(tokens: number): void {
    this.#lapTokens += tokens;
    this.#lapSteps++;
  }

  /** Seconds since the run began in this process. */
  elapsed(): number {
    return (performance.now() - this.#begin) / 1000;
  }

  /** So many of something, per second of the run. */
  perSecond(count: number): number {
    return count / Math.max(this.elapsed(), 1e-9);
  }

  /** The pace since the last lap. */
  current({ step, totalSteps }: RunPosition): PaceFields {
    const seconds = (performance.now() - this.#lapBegin) / 1000;
    if (this.#lapSteps === 0 || seconds === 0) return {};
    return {
      tokensPerSecond: this.#lapTokens / seconds,
      remainingSeconds: (totalSteps - step) * seconds / this.#lapSteps,
    };
  }

  /** The pace since the last lap, and a new lap. */
  lap(position: RunPosition): PaceFields {
    const pace = this.current(position);
    this.#restart();
    return pace;
  }

  /** What just happened was not training: the lap begins anew. */
  pause(): void {
    this.#restart();
  }

  /** The pace of all laps, this one too; undefined where no step was counted. */
  overall(): number | undefined {
    this.#restart();
    return this.#tokens > 0 ? this.#tokens / this.#seconds : undefined;
  }

  #restart(): void {
    if (this.#lapSteps > 0) {
      this.#tokens += this.#lapTokens;
      this.#seconds += (performance.now() - this.#lapBegin) / 1000;
    }
    this.#lapBegin = performance.now();
    this.#lapTokens = 0;
    this.#lapSteps = 0;
  }
}
