/** Says how long a run will take, once its first steps tell. @module */

import { formatDuration, type LogRecord } from "../report/progress.ts";

/** The first steps are slower: they compile. */
const leastSteps = 5;
const leastSeconds = 3;
/** What is over sooner needs no word. */
const worthSeconds = 10;

/** Takes the records of a run; `say` gets one sentence, early in a run that takes a while. */
export function timeLeftNotice(say: (text: string) => void): (record: LogRecord) => void {
  let begun: number | undefined;
  let said = false;
  return (record) => {
    if (record.kind === "begin") begun = record.step;
    if (said || (record.kind !== "progress" && record.kind !== "train")) return;
    const { step, elapsedSeconds, remainingSeconds } = record;
    const steps = step - (begun ?? 0);
    if (steps < leastSteps || elapsedSeconds < leastSeconds || remainingSeconds === undefined) {
      return;
    }
    said = true;
    if (remainingSeconds < worthSeconds) return;
    const took = formatDuration(elapsedSeconds);
    say(
      `By the first ${steps} steps (${took}), the run takes about ${
        formatDuration(elapsedSeconds + remainingSeconds)
      }.`,
    );
  };
}
