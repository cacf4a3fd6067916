/** Parameters of a checkpoint by their shapes alone, for a device that computes nothing. @module */

import { mapTree, type Path, realize, type Tensor, zeros } from "../../core/mod.ts";
import type { CheckpointFiles } from "../../data/weights/checkpoint_files.ts";
import {
  isQuantizable,
  isValueHeadParameter,
  nestedBlock,
  type ParameterShape,
  type ParameterShapes,
  type Quantized,
  type QuantizeOptions,
  shapesOf,
  type Weight,
} from "../../nn/mod.ts";
import { checkStored, loadParameters } from "./model_files.ts";
import { narrowDtype, type WeightStorage } from "./quantized_files.ts";

/**
 * The tree that `loadWeights` would read, without reading a weight: of the files, headers alone are looked at.
 *
 * @param begin Gives a fresh parameter in place of a missing one, or null.
 * @throws {UserError} if a parameter is missing or has another shape.
 */
export async function plannedParameters<P>(
  shapes: ParameterShapes,
  files: CheckpointFiles,
  storage: WeightStorage = {},
  begin: (path: Path, shape: ParameterShape) => Tensor | null = () => null,
): Promise<P> {
  const missing = shapesOf(shapes).some(([path, leaf]) =>
    !files.tensors.has(path) && !begin(path, leaf)
  );
  // This names all of them, and reads nothing before it does.
  if (missing) return await loadParameters<P>(shapes, files, begin);
  const weights = new Map<Path, Weight>(
    shapesOf(shapes).map((
      [path, leaf],
    ) => [path, plannedWeight(path, leaf, files, storage, begin)]),
  );
  return await realize(mapTree(shapes, (_, path) => weights.get(path))) as P;
}

function plannedWeight(
  path: Path,
  leaf: ParameterShape,
  files: CheckpointFiles,
  { quantize, dtype = "f32" }: WeightStorage,
  begin: (path: Path, shape: ParameterShape) => Tensor | null,
): Weight {
  const stored = files.tensors.get(path);
  if (!stored) return begin(path, leaf)!;
  const { shape } = leaf;
  const own = storedCode(path, files);
  if (own) return plannedMatrix(shape, own);
  checkStored(stored, leaf);
  if (quantize && isQuantizable(path, shape)) return plannedMatrix(shape, quantize);
  if (isValueHeadParameter(path)) return zeros(shape);
  return zeros(shape, dtype === "auto" ? narrowDtype(stored.dtype) : dtype);
}

/** How a matrix is quantised in the files, if it is. */
function storedCode(path: Path, { tensors }: CheckpointFiles): QuantizeOptions | undefined {
  for (const format of ["nf4", "fp4"] as const) {
    if (!tensors.has(`${path}.quant_state.bitsandbytes__${format}`)) continue;
    return { format, nested: tensors.get(`${path}.absmax`)?.dtype === "U8" };
  }
  const scales = path.endsWith("weight") && tensors.has(path.replace(/weight$/, "SCB"));
  return scales ? { format: "int8" } : undefined;
}

function plannedMatrix(shape: readonly number[], { format, nested }: QuantizeOptions): Quantized {
  const [rows, columns] = shape as [number, number];
  const name = `${rows}x${columns}`;
  if (format === "int8") {
    return { format, shape: name, codes: zeros([rows, columns], "u8"), absmax: zeros([rows]) };
  }
  const scales = Math.ceil(rows * columns / 64);
  return {
    format,
    shape: name,
    codes: zeros([Math.ceil(rows * columns / 2)], "u8"),
    absmax: nested
      ? {
        codes: zeros([scales], "u8"),
        map: zeros([256]),
        absmax: zeros([Math.ceil(scales / nestedBlock)]),
        offset: zeros([1]),
      }
      : zeros([scales]),
  };
}
