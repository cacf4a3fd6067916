/** Names of launches, for people. @module */

import type { FusedKernel } from "../kernel.ts";
import { isLaunchOf, type Launch, recordOf } from "../launch.ts";

/** Kernels of one sort, for sums: "matmul f32", "fused rows", "attention". */
export function kernelFamily(launch: Launch): string {
  if (!isLaunchOf(launch, "fused")) return recordOf(launch.kernel).family(launch.kernel);
  const { kind } = launch.kernel;
  return kind === "map" ? "fused map" : `fused ${kind}s`;
}

/**
 * A launch by what it computes and on which sizes: "matmul 1520x512x1376 f32" is [1520, 1376] by
 * [1376, 512], "fused rows 960x8192 softmax (max exp sum), 3 in, 1 out" a row kernel. Launches of different
 * kernels may have one name; `printKernel` tells them apart.
 */
export function launchName(launch: Launch): string {
  if (isLaunchOf(launch, "fused")) return fusedName(launch.kernel, launch.ints);
  return recordOf(launch.kernel).label(launch.kernel, launch.sizes);
}

/** Functions that say what a kernel is about; sums and products are in all of them. */
const telling: ReadonlySet<string> = new Set(
  "exp expm1 log log1p sqrt rsqrt sin cos tanh sigmoid erf pow".split(" "),
);

function fusedName({ kind, rank, args, body }: FusedKernel, ints: readonly number[]): string {
  const words = new Set<string>();
  let gathers = false;
  for (const instruction of body) {
    if (instruction.op === "reduce") words.add(instruction.fn);
    else if (instruction.op === "unary" || instruction.op === "binary") {
      if (telling.has(instruction.fn)) words.add(instruction.fn);
    } else if (instruction.op === "load") gathers ||= instruction.access.gather !== null;
  }
  if (gathers) words.add("gather");
  const label = kind !== "row"
    ? ""
    : words.has("max") && words.has("exp") && words.has("sum")
    ? " softmax"
    : words.has("sum") && words.has("rsqrt")
    ? " norm"
    : "";
  const inputs = args.filter(({ access }) => access !== "write").length;
  const outputs = args.filter(({ access }) => access !== "read").length;
  return `fused ${kind === "map" ? "map" : `${kind}s`} ${ints.slice(0, rank).join("x") || "1"}` +
    label + (words.size > 0 ? ` (${[...words].join(" ")})` : "") +
    `, ${inputs} in, ${outputs} out`;
}
