/**
 * Value heads beside adapters. In a full checkpoint a value head is among the weights; a directory of an adapter
 * has it in `model.safetensors`, alone, from where TRL reads it.
 *
 * @module
 */

import { isBranch, realize, UserError } from "../../core/mod.ts";
import {
  type CheckpointFiles,
  hasCheckpointFiles,
  openCheckpointFiles,
  writeCheckpointFiles,
} from "../../data/weights/checkpoint_files.ts";
import { isValueHeadParameter, ParameterShape, type ValueHeadParams } from "../../nn/mod.ts";
import { loadParameters, tensorsToStore } from "./model_files.ts";

/** Whether a parameter tree has a value head. */
export function hasValueHead(params: unknown): params is ValueHeadParams {
  return isBranch(params) && "v_head" in params;
}

/**
 * The tree with the value head of an adapter's directory, if it has one: in `model.safetensors`, or among the
 * adapter's weights. A tree without value head stays as it is.
 *
 * @param required Whether the directory must have one.
 * @throws UserError if it must and has not, or if the head does not fit.
 */
export async function fillValueHead<P>(
  params: P,
  directory: string,
  { required }: { readonly required: boolean },
): Promise<P> {
  if (!hasValueHead(params)) return params;
  for (const stem of ["model", "adapter_model"]) {
    if (!await hasCheckpointFiles(directory, { stem })) continue;
    using files = await openCheckpointFiles(directory, { stem });
    if (![...files.tensors.keys()].some(isValueHeadParameter)) continue;
    return { ...params, v_head: await readValueHead(files, params) };
  }
  if (!required) return params;
  throw new UserError(
    `${directory} has no value head (v_head.summary.weight in model.safetensors), but the run that wrote it did. ` +
      "The directory is not whole: go on from another checkpoint.",
  );
}

async function readValueHead(
  files: CheckpointFiles,
  { v_head: { summary } }: ValueHeadParams,
): Promise<ValueHeadParams["v_head"]> {
  const shapes = {
    v_head: {
      summary: {
        weight: new ParameterShape(summary.weight.shape),
        bias: new ParameterShape(summary.bias.shape),
      },
    },
  };
  const { v_head } = await loadParameters<Pick<ValueHeadParams, "v_head">>(shapes, files);
  return await realize(v_head);
}

/** Writes a tree's value head, if it has one, beside an adapter. */
export async function writeValueHead(directory: string, params: unknown): Promise<void> {
  if (!hasValueHead(params)) return;
  await writeCheckpointFiles(directory, tensorsToStore({ v_head: params.v_head }));
}
