/** Profiles as plain text. @module */

import type { KernelTime, ProfileReport } from "./profile.ts";

/** How many kernels have a line of their own. */
const shownKernels = 25;

/**
 * A profile as tables: kinds of kernels, and the kernels that took longest. Figures are of one step. "of roof"
 * is the least time that arithmetic or memory allow (for attention: memory alone) over the time it took; above
 * 100 % the operands were in a cache.
 */
export function showProfile(report: ProfileReport): string {
  const { steps, wallMs, deviceMs, compileMs, runs, roofline, kernels } = report;
  const step = wallMs / steps;
  const share = (ms: number) => `${(100 * ms / wallMs).toFixed(1)} %`;
  const launches = kernels.reduce((sum, kernel) => sum + kernel.launches, 0);
  const head = [
    `Profile of ${steps} steps on ${report.device}`,
    `Roof: products ${(roofline.flopsPerMs / 1e6).toFixed(0)} GFLOP/s (f32, ` +
    `${roofline.productSide} cubed), memory ${(roofline.bytesPerMs / 1e6).toFixed(1)} GB/s`,
    `A step: ${step.toFixed(1)} ms, ${show(runs / steps)} programs, ` +
    `${show(launches / steps)} launches` +
    (Number.isNaN(deviceMs)
      ? "; this adapter has no timestamps, so kernels are not timed"
      : `; in kernels ${share(deviceMs)}`) +
    (compileMs > 0 ? `, compiling ${share(compileMs)}` : ""),
  ];
  const families = new Map<string, KernelTime[]>();
  for (const kernel of kernels) {
    const family = families.get(kernel.family);
    if (family) family.push(kernel);
    else families.set(kernel.family, [kernel]);
  }
  const ranked = [...families].map(([name, members]) => ({ name, members, ms: total(members) }))
    .sort((a, b) => b.ms - a.ms);
  const byFamily = ranked.map(({ name, members }) => line(name, members, report));
  const byKernel = kernels.slice(0, shownKernels).map((kernel) =>
    line(kernel.name, [kernel], report)
  );
  const others = kernels.slice(shownKernels);
  if (others.length > 0) byKernel.push(line(`${others.length} others`, others, report));
  return [
    ...head,
    "",
    layOut([["kind", ...columns], ...byFamily]),
    "",
    layOut([["kernel", ...columns], ...byKernel]),
  ].join("\n");
}

const columns = [
  "ms",
  "share",
  "launches",
  "MB",
  "GB/s",
  "GFLOP",
  "GFLOP/s",
  "of roof",
  "bound by",
];

function total(kernels: readonly KernelTime[]): number {
  return kernels.reduce((sum, { ms }) => sum + ms, 0);
}

function line(
  name: string,
  kernels: readonly KernelTime[],
  { steps, deviceMs }: ProfileReport,
): string[] {
  const sum = (of: (kernel: KernelTime) => number) =>
    kernels.reduce((all, kernel) => all + of(kernel), 0) / steps;
  const ms = sum((kernel) => kernel.ms);
  const bytes = sum(({ launches, cost }) => launches * cost.bytes);
  const flops = sum(({ launches, cost }) => launches * cost.flops);
  const bound = sum(({ boundMs }) => boundMs);
  const byProducts = sum(({ boundMs, boundBy }) => boundBy === "products" ? boundMs : 0);
  return [
    name,
    show(ms),
    `${(100 * ms * steps / deviceMs).toFixed(1)} %`,
    show(sum(({ launches }) => launches)),
    show(bytes / 1e6),
    show(bytes / 1e6 / ms),
    ...flops > 0 ? [show(flops / 1e9), show(flops / 1e6 / ms)] : ["", ""],
    `${(100 * bound / ms).toFixed(0)} %`,
    2 * byProducts > bound ? "products" : "memory",
  ].map((cell) => cell.includes("NaN") ? "" : cell);
}

/** Three digits that count. */
function show(x: number): string {
  if (Number.isInteger(x) || Math.abs(x) >= 100) return x.toFixed(0);
  return x.toFixed(Math.abs(x) >= 10 ? 1 : Math.abs(x) >= 0.1 ? 2 : 3);
}

/** The first and the last column to the left, numbers to the right. */
function layOut(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows.map((row) =>
    row.map((cell, i) =>
      i === 0 || i === row.length - 1 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)
    ).join("  ").trimEnd()
  ).join("\n");
}
