/** Downloads as they are shown: a line that is redrawn at a terminal, few words in a log. @module */

import { eraseLine, screenColumns, standardError, type Terminal } from "../core/terminal.ts";
import { repositoryLabel } from "../data/hub/repository.ts";
import { hubSettings } from "../data/hub/settings.ts";
import type { DownloadProgress, HubAccess } from "../data/hub/snapshot.ts";
import { barBeside, formatBytes, formatDuration } from "../train/report/progress.ts";

/** Milliseconds between two drawings. */
const redrawn = 100;
/** Over so many milliseconds the rate is measured. */
const measured = 5000;

/** Where downloads are shown. */
export interface DownloadScreen {
  readonly terminal: Terminal;
  /** Whether a line may be redrawn there. */
  readonly bars: boolean;
  /** The time in milliseconds. */
  readonly now: () => number;
}

/** Runs `body`, and shows what it downloads on standard error. */
export async function showingDownloads<T>(body: (access: HubAccess) => Promise<T>): Promise<T> {
  const display = downloadDisplay({
    terminal: standardError,
    bars: standardError.isScreen() && hubSettings().progressBars,
    now: () => performance.now(),
  });
  try {
    return await body(display);
  } finally {
    display.clear();
  }
}

/** Shows downloads, one repository after the other. */
export function downloadDisplay(
  { terminal, bars, now }: DownloadScreen,
): Required<Pick<HubAccess, "onProgress" | "onNotice">> & { readonly clear: () => void } {
  let current: { readonly label: string; readonly began: number } | undefined;
  let marks: { readonly at: number; readonly arrived: number }[] = [];
  let [drawnAt, drawn] = [-Infinity, false];
  const clear = () => {
    if (drawn) terminal.write(eraseLine);
    drawn = false;
  };
  const say = (text: string) => {
    clear();
    terminal.write(`${text}\n`);
  };
  const onProgress = (progress: DownloadProgress) => {
    const label = repositoryLabel(progress.repository);
    const at = now();
    const { files, bytes } = progress;
    if (current?.label !== label) {
      current = { label, began: at };
      marks = [];
      drawnAt = -Infinity;
      if (!bars) say(`Downloading ${label}: ${files.total} files, ${formatBytes(bytes.total)}.`);
    }
    if (files.done === files.total) {
      const seconds = Math.max(0.001, (at - current.began) / 1000);
      say(
        `Downloaded ${label}: ${formatBytes(bytes.arrived)} in ${formatDuration(seconds)} (${
          formatBytes(bytes.arrived / seconds)
        }/s).`,
      );
      current = undefined;
      return;
    }
    if (!bars || at - drawnAt < redrawn) return;
    drawnAt = at;
    marks = [...marks.filter((mark) => at - mark.at < measured), { at, arrived: bytes.arrived }];
    terminal.write(eraseLine, describeDownload(progress, rateOf(marks), screenColumns()));
    drawn = true;
  };
  return { onProgress, onNotice: say, clear };
}

/** Bytes a second; undefined before there is anything to measure. */
function rateOf(
  marks: readonly { readonly at: number; readonly arrived: number }[],
): number | undefined {
  const [first, last] = [marks[0]!, marks.at(-1)!];
  const seconds = (last.at - first.at) / 1000;
  return seconds < 0.3 ? undefined : (last.arrived - first.arrived) / seconds;
}

/** Such as `[####----]  org/tiny  3/7 files  120 MiB of 988 MiB  45.0 MiB/s  eta 00:19`. */
export function describeDownload(
  { repository, files, bytes }: DownloadProgress,
  rate: number | undefined,
  width: number,
): string {
  const words = [
    repositoryLabel(repository),
    `${files.done}/${files.total} files`,
    `${formatBytes(bytes.done)} of ${formatBytes(bytes.total)}`,
    ...(rate === undefined ? [] : [
      `${formatBytes(rate)}/s`,
      `eta ${formatDuration(rate > 0 ? (bytes.total - bytes.done) / rate : Infinity)}`,
    ]),
  ].join("  ");
  return barBeside(words, bytes.total > 0 ? bytes.done / bytes.total : 0, width);
}
