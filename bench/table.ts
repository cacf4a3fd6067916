/** Figures as plain text. @module */

import type { Row } from "./piece.ts";

/** A number with about three digits that count. */
export function showNumber(x: number): string {
  if (Number.isInteger(x)) return String(x);
  const size = Math.abs(x);
  if (size >= 100) return x.toFixed(0);
  if (size >= 10) return x.toFixed(1);
  if (size >= 0.1) return x.toFixed(2);
  return x.toPrecision(2);
}

/** Rows under the union of their column names, aligned: numbers to the right, words to the left. */
export function showTable(rows: readonly Row[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cells = [columns, ...rows.map((row) => columns.map((column) => showCell(row[column])))];
  const numeric = columns.map((column) => rows.some((row) => typeof row[column] === "number"));
  return layOut(cells, numeric);
}

/** The same with a line for each figure and a column for each row, headed by the figure `heading`. */
export function showTransposed(rows: readonly Row[], heading: string): string {
  const figures = [...new Set(rows.flatMap((row) => Object.keys(row)))]
    .filter((figure) => figure !== heading);
  const cells = [heading, ...figures].map((figure) => [
    figure === heading ? "" : figure,
    ...rows.map((row) => showCell(row[figure])),
  ]);
  return layOut(cells, [false, ...rows.map(() => true)]);
}

function showCell(value: string | number | undefined): string {
  if (value === undefined) return "";
  return typeof value === "number" ? showNumber(value) : value;
}

function layOut(cells: readonly (readonly string[])[], toTheRight: readonly boolean[]): string {
  const widths = toTheRight.map((_, i) => Math.max(...cells.map((line) => line[i]!.length)));
  return cells.map((line) =>
    line.map((cell, i) => toTheRight[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))
      .join("  ").trimEnd()
  ).join("\n");
}
