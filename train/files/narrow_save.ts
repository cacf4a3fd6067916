/** What rounding does to weights that are saved narrower than they were trained. @module */

import type { CheckpointFiles } from "../../data/weights/checkpoint_files.ts";
import { toFloat32Array } from "../../data/weights/safetensors_dtypes.ts";
import { openCheckpointFiles } from "../../data/weights/checkpoint_files.ts";
import type { HuggingFaceConfig } from "../../nn/mod.ts";
import type { NarrowDtype, SavedDtype } from "./model_files.ts";

/** Counts weights that training changed, and those of them that are others after rounding too. */
export interface RoundingCount {
  /** Looks at a tensor of the files: its numbers, and what they are rounded to, by a function. */
  readonly look: (
    name: string,
    values: Float32Array,
    rounded: Uint16Array,
    round: (values: Float32Array) => Uint16Array,
  ) => Promise<void>;
  /** A sentence about it, or null if nothing was changed. */
  readonly summary: (dtype: NarrowDtype) => string | null;
}

/** A count against the weights that training began with. */
export function roundingCount({ tensors }: Pick<CheckpointFiles, "tensors">): RoundingCount {
  let [changed, kept] = [0, 0];
  return {
    look: async (name, values, rounded, round) => {
      const stored = tensors.get(name);
      if (!stored || stored.byteLength === 0) return;
      const { dtype, bytes } = stored;
      const before = toFloat32Array({ dtype, bytes: await bytes(), name });
      if (before.length !== values.length) return;
      const roundedBefore = round(before);
      for (let i = 0; i < values.length; i++) {
        if (values[i] === before[i]) continue;
        changed++;
        if (rounded[i] !== roundedBefore[i]) kept++;
      }
    },
    summary: (dtype) => {
      if (changed === 0) return null;
      const share = Math.floor(1000 * kept / changed) / 10;
      return `The weights are saved in ${dtype}: of ${changed} that training changed, ${share} % are others than before ` +
        `after rounding too${
          share < 99 ? "; smaller changes are lost (save_dtype float32 keeps them)" : ""
        }.`;
    },
  };
}

const dtypes: Readonly<Record<string, SavedDtype>> = {
  float32: "float32",
  bfloat16: "bfloat16",
  float16: "float16",
  F32: "float32",
  BF16: "bfloat16",
  F16: "float16",
};

/** The dtype of a checkpoint as transformers' `dtype="auto"` finds it: the config's, else that of the first floats. */
export async function dtypeAsRead(
  config: HuggingFaceConfig,
  directory: string | undefined,
): Promise<SavedDtype> {
  const named = String(config["dtype"] ?? config["torch_dtype"] ?? "").replace(/^torch\./, "");
  if (Object.hasOwn(dtypes, named)) return dtypes[named]!;
  if (directory === undefined) return "float32";
  using files = await openCheckpointFiles(directory);
  const found = [...files.tensors.values()].find(({ dtype }) => /^(BF|F)\d/.test(dtype));
  return dtypes[found?.dtype ?? "F32"] ?? "float32";
}
