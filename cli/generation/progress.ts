/** How far a file of prompts has come, on standard error. @module */

import { eraseLine, type Terminal } from "../../core/terminal.ts";

/** What is known so far. */
export interface GenerationProgress {
  /** Prompts completed. */
  readonly prompts: number;
  /** All prompts. */
  readonly total: number;
  /** Tokens of their completions. */
  readonly tokens: number;
  /** Seconds since the first prompt. */
  readonly seconds: number;
}

/** Shows progress. */
export interface ProgressLine {
  /** Shows it, where it is time to. */
  readonly show: (progress: GenerationProgress) => void;
  /** Takes away what would be redrawn. */
  readonly clear: () => void;
}

/** Lines of a log closer together than this are of no use. */
const LOG_SECONDS = 10;

/** A line that is redrawn at a terminal, and else said anew now and then. */
export function progressLine({ write, isScreen }: Terminal): ProgressLine {
  const redraws = isScreen();
  let shownAt = 0;
  return {
    show: (progress) => {
      if (redraws) return write(eraseLine, describeProgress(progress));
      if (progress.seconds - shownAt < LOG_SECONDS) return;
      shownAt = progress.seconds;
      write(`${describeProgress(progress)}\n`);
    },
    clear: () => redraws ? write(eraseLine) : undefined,
  };
}

/** Such as `24/100 prompts, 1200 tokens, 310 tokens/s, 12 s left`. */
export function describeProgress(progress: GenerationProgress): string {
  const { prompts, total, tokens, seconds } = progress;
  const rate = seconds > 0 ? `, ${(tokens / seconds).toFixed(0)} tokens/s` : "";
  const left = prompts > 0 && prompts < total
    ? `, ${Math.ceil(seconds / prompts * (total - prompts))} s left`
    : "";
  return `${prompts}/${total} prompts, ${tokens} tokens${rate}${left}`;
}
