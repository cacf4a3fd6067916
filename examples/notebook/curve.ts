/** A curve that grows while a run goes on: in a notebook as rich output, elsewhere nowhere. @module */

import type { train } from "@plumb/plumb";

/** Adds the metric of one record to a curve. */
export type LiveCurve = (record: train.LogRecord) => Promise<void>;

/** A curve of one metric of the training's records, drawn again whenever there is a new value. */
export function liveCurve(metric: string): LiveCurve {
  const points: [step: number, value: number][] = [];
  const display_id = crypto.randomUUID();
  return async (record) => {
    const value = record.kind === "train" ? record.values[metric] : undefined;
    if (value === undefined) return;
    points.push([record.step, value]);
    const picture = { "image/svg+xml": drawCurve(metric, points) };
    await notebook()?.display(picture, { raw: true, display_id, update: points.length > 1 });
  };
}

/** A notebook's display, where there is one. */
function notebook(): typeof Deno.jupyter | undefined {
  try {
    return Deno.jupyter;
  } catch {
    return undefined; // A script, not a notebook.
  }
}

const [width, height, left, bottom, top] = [560, 220, 56, 28, 24];

/** A line through points, with the ends of both axes, as SVG. */
export function drawCurve(title: string, points: readonly (readonly [number, number])[]): string {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const x = scale(xs, left, width - 12);
  const y = scale(ys, height - bottom, top);
  const path = points.map((point) => `${x.of(point[0]).toFixed(1)},${y.of(point[1]).toFixed(1)}`);
  const label = (at: readonly [number, number], text: string | number, anchor = "middle") =>
    `<text x="${at[0]}" y="${at[1]}" text-anchor="${anchor}">${text}</text>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="12" fill="#555">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<path d="M${left},${top} V${height - bottom} H${width - 12}" fill="none" stroke="#bbb"/>`,
    label([left, 15], title, "start"),
    label([left - 6, top + 4], short(y.high), "end"),
    label([left - 6, height - bottom], short(y.low), "end"),
    label([left, height - 8], x.low, "start"),
    label([width - 12, height - 8], `step ${x.high}`, "end"),
    `<polyline points="${path.join(" ")}" fill="none" stroke="#2a6fdb" stroke-width="2"/>`,
    "</svg>",
  ].join("");
}

/** Maps values onto a stretch of pixels. */
function scale(values: readonly number[], from: number, to: number) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return {
    low,
    high,
    of: (value: number) => from + (to - from) * (value - low) / (high - low || 1),
  };
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}
