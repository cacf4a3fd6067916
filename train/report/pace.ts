/** How fast a run goes, and how long it still takes. @module */

import type { Pace as PaceFields, RunPosition } from "./progress.ts";

/**
 * A clock that counts tokens. Evaluations and checkpoints are left out of the pace, not of the time that is left.
 *
 * That time comes from all steps so far: the n-th weighs n, so that the first ones, which compile, soon count for
 * nothing, a lasting change of pace shows, and a single slow step does not.
 */
export class Pace {
  readonly #now: () => number;
  readonly #begin: number;
  #lapBegin: number;
  #lapTokens = 0;
  #lapSteps = 0;
  /** Of the laps that are over. */
  #tokens = 0;
  #seconds = 0;
  /** When the last step, or the last pause, was over. */
  #mark: number;
  #steps = 0;
  #weights = 0;
  #weighted = 0;
  /** Seconds of everything but steps. */
  #paused = 0;

  /** @param now Milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#begin = this.#lapBegin = this.#mark = now();
  }

  /** A step was done: counts its tokens. */
  add(tokens: number): void {
    this.#lapTokens += tokens;
    this.#lapSteps++;
    const weight = ++this.#steps;
    this.#weights += weight;
    this.#weighted += weight * this.#sinceMark();
  }

  /** Seconds since the run began in this process. */
  elapsed(): number {
    return (this.#now() - this.#begin) / 1000;
  }

  /** So many of something, per second of the run. */
  perSecond(count: number): number {
    return count / Math.max(this.elapsed(), 1e-9);
  }

  /** The pace since the last lap, and the time left. */
  current({ step, totalSteps }: RunPosition): PaceFields {
    const seconds = (this.#now() - this.#lapBegin) / 1000;
    if (this.#lapSteps === 0 || seconds === 0) return {};
    const secondsPerStep = this.#weighted / this.#weights + this.#paused / this.#steps;
    return {
      tokensPerSecond: this.#lapTokens / seconds,
      remainingSeconds: (totalSteps - step) * secondsPerStep,
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
    this.#paused += this.#sinceMark();
    this.#restart();
  }

  /** The pace of all laps, this one too; undefined where no step was counted. */
  overall(): number | undefined {
    this.#restart();
    return this.#tokens > 0 ? this.#tokens / this.#seconds : undefined;
  }

  #sinceMark(): number {
    const began = this.#mark;
    this.#mark = this.#now();
    return (this.#mark - began) / 1000;
  }

  #restart(): void {
    if (this.#lapSteps > 0) {
      this.#tokens += this.#lapTokens;
      this.#seconds += (this.#now() - this.#lapBegin) / 1000;
    }
    this.#lapBegin = this.#now();
    this.#lapTokens = 0;
    this.#lapSteps = 0;
  }
}
