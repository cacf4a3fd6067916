/** Parameters between files and trees. @module */

import { fromBytes, leavesOf, mapTree, type Path, Tensor, UserError } from "../../core/mod.ts";
import { type CheckpointFiles, writeCheckpointFiles } from "../../data/weights/checkpoint_files.ts";
import { float32ToBfloat16, float32ToFloat16 } from "../../data/weights/half.ts";
import type { TensorToStore } from "../../data/weights/safetensors.ts";
import type { StoredTensor } from "../../data/weights/stored_tensor.ts";
import { toFloat32Array } from "../../data/weights/safetensors_dtypes.ts";
import {
  type Architecture,
  isOutputHead,
  isValueHeadParameter,
  mapParameters,
  type ModelHead,
  type ParameterShape,
  type ParameterShapes,
  shapesOf,
  transposedIn,
} from "../../nn/mod.ts";
import type { RoundingCount } from "./narrow_save.ts";

/**
 * Reads the parameters a model needs from a checkpoint's files, tensor by tensor, as f32.
 *
 * @param begin Gives a fresh parameter in place of a missing one, or null.
 * @throws UserError if one is missing or has another shape.
 */
export async function loadParameters<P>(
  shapes: ParameterShapes,
  files: CheckpointFiles,
  begin: (path: Path, shape: ParameterShape) => Tensor | null = () => null,
): Promise<P> {
  const fresh = new Map<Path, Tensor>();
  for (const [path, leaf] of shapesOf(shapes)) {
    const tensor = files.tensors.has(path) ? null : begin(path, leaf);
    if (tensor) fresh.set(path, tensor);
  }
  const wanted = shapesOf(shapes).filter(([path]) => !fresh.has(path));
  const missing = wanted.filter(([path]) => !files.tensors.has(path)).map(([path]) => path);
  if (missing.length > 0) {
    const shown = missing.slice(0, 3).join(", ") +
      (missing.length > 3 ? `, … (${missing.length} in all)` : "");
    const extra = [...files.tensors.keys()].filter((name) =>
      !wanted.some(([path]) => path === name)
    );
    throw new UserError(
      `The checkpoint in ${files.directory} lacks ${shown}, which its config.json calls for` +
        (extra.length > 0 ? `; it has ${extra.slice(0, 3).join(", ")} instead` : "") +
        ". The weights and the config do not belong together.",
    );
  }
  const tensors = new Map<Path, Tensor>(fresh);
  for (const [path, shape] of wanted) {
    const stored = files.tensors.get(path)!;
    checkStored(stored, shape);
    const tensor = await readWeight(stored);
    tensors.set(path, shape.transposed ? tensor.transpose() : tensor);
  }
  return mapTree(shapes, (_, path) => tensors.get(path)!) as P;
}

/**
 * Checks that a stored tensor has the sizes of the parameter it is read for.
 *
 * @throws UserError if it has others.
 */
export function checkStored(
  { name, path, shape }: StoredTensor,
  { storedShape }: Pick<ParameterShape, "storedShape">,
): void {
  if (shape.join() === storedShape.join()) return;
  throw new UserError(
    `${name} in ${path} has shape [${shape.join(", ")}], but config.json calls for ` +
      `[${storedShape.join(", ")}]. The weights and the config do not belong together.`,
  );
}

/** A tree of parameters as files hold it: some matrices are transposed there, and some names are others. */
export function asStored(
  params: object,
  { shapes, storedNames = {} }: Architecture,
  head?: ModelHead,
): object {
  const transposed = transposedIn(shapes(head));
  const turned = mapParameters(
    params,
    (weight, path) =>
      transposed.has(path) && weight instanceof Tensor ? weight.transpose() : weight,
  );
  return Object.fromEntries(
    Object.entries(turned).map(([name, child]) => [storedNames[name] ?? name, child]),
  );
}

/**
 * Files whose tensors are named as in the tree of a whole model. Those of a model without a head (transformers'
 * `AutoModel`, and GPT-2 on the Hub) lack the name of the root, and some heads have another.
 */
export function namedAsInTree(
  files: CheckpointFiles,
  { shapes, storedNames = {} }: Architecture,
): CheckpointFiles {
  const first = shapesOf(shapes())[0]![0];
  const root = first.slice(0, first.indexOf(".") + 1);
  const lacksRoot = !files.tensors.has(first) && files.tensors.has(first.slice(root.length));
  const renamed = new Map(Object.entries(storedNames).map(([name, stored]) => [stored, name]));
  const named = (given: string): string => {
    // As TensorFlow called them, whose names the oldest checkpoints have.
    const name = given.replace(/(?<=LayerNorm\.)gamma$/, "weight")
      .replace(/(?<=LayerNorm\.)beta$/, "bias");
    const [parent, ...rest] = name.split(".");
    if (renamed.has(parent!)) return [renamed.get(parent!), ...rest].join(".");
    const isHead = isOutputHead(parent!) || isValueHeadParameter(name);
    return lacksRoot && !isHead ? root + name : name;
  };
  return {
    ...files,
    tensors: new Map([...files.tensors].map(([name, stored]) => [named(name), stored])),
  };
}

/** The same with the names that {@link asStored} writes. */
export function namedAsInFiles(files: CheckpointFiles, model: Architecture): CheckpointFiles {
  const { tensors, ...rest } = namedAsInTree(files, model);
  const stored = (name: string) => {
    const [parent, ...path] = name.split(".");
    return [model.storedNames?.[parent!] ?? parent, ...path].join(".");
  };
  return {
    ...rest,
    tensors: new Map([...tensors].map(([name, tensor]) => [stored(name), tensor])),
  };
}

/** A stored tensor as f32. @throws UserError if it has a number that is not finite. */
export async function readWeight(stored: StoredTensor): Promise<Tensor> {
  return asF32(stored, await stored.finiteBytes());
}

function asF32({ dtype, name, shape }: StoredTensor, bytes: Uint8Array): Tensor {
  const values = toFloat32Array({ dtype, bytes, name });
  return fromBytes(
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
    shape,
    "f32",
  );
}

/** Stored dtypes of tensors that are written as they are. */
const storedDtypes = { f32: "F32", i32: "I32", u32: "U32", u8: "U8" } as const;

/** A stored tensor in the dtype of another. @throws UserError if it has a number that is not finite. */
export async function readLike(stored: StoredTensor, like: Tensor): Promise<Tensor> {
  return like.dtype === "f32"
    ? await readWeight(stored)
    : fromBytes(await stored.finiteBytes(), stored.shape, like.dtype);
}

/** The tensors of a tree, named by path and read from the device one at a time; halves become f32. */
export function tensorsToStore(tree: unknown, prefix = ""): TensorToStore[] {
  return leavesOf(tree).map(([path, leaf]) => {
    const tensor = leaf as Tensor;
    return {
      name: prefix + path,
      dtype: tensor.dtype in storedDtypes
        ? storedDtypes[tensor.dtype as keyof typeof storedDtypes]
        : "F32",
      shape: tensor.shape,
      data: async () => {
        const values = await tensor.data();
        return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      },
    };
  });
}

/** Dtypes that weights can be saved in, as configs name them. */
export type SavedDtype = "float32" | NarrowDtype;

/** Those that round. */
export type NarrowDtype = "bfloat16" | "float16";

/** From here on numbers are rounded to infinity. */
const largestFloat16 = 65520;

const narrowed = {
  bfloat16: { dtype: "BF16", round: float32ToBfloat16 },
  float16: { dtype: "F16", round: float32ToFloat16 },
} as const;

/**
 * A tensor to be stored in another dtype; a value head's stays f32.
 *
 * @param rounding Looks at what is rounded.
 */
export function storedIn(
  dtype: SavedDtype,
  tensor: TensorToStore,
  rounding?: Pick<RoundingCount, "look">,
): TensorToStore {
  if (dtype === "float32" || tensor.dtype !== "F32" || isValueHeadParameter(tensor.name)) {
    return tensor;
  }
  const { dtype: stored, round } = narrowed[dtype];
  return {
    ...tensor,
    dtype: stored,
    data: async () => {
      const bytes = typeof tensor.data === "function" ? await tensor.data() : tensor.data;
      const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
      const halves = round(values);
      await rounding?.look(tensor.name, values, halves, round);
      return new Uint8Array(halves.buffer, halves.byteOffset, halves.byteLength);
    },
  };
}

/** The path of a parameter with numbers that float16 does not hold, or null. */
export async function beyondFloat16(params: unknown): Promise<Path | null> {
  for (const [path, leaf] of leavesOf(params)) {
    if (!(leaf instanceof Tensor) || isValueHeadParameter(path)) continue;
    if (await leaf.cast("f32").abs().max().item() >= largestFloat16) return path;
  }
  return null;
}

/** Writes parameters as `model.safetensors`, in shards if large; a value head in f32, whatever the dtype. */
export async function writeParameters(
  directory: string,
  params: unknown,
  dtype: SavedDtype = "float32",
  rounding?: Pick<RoundingCount, "look">,
): Promise<void> {
  await writeCheckpointFiles(
    directory,
    tensorsToStore(params).map((tensor) => storedIn(dtype, tensor, rounding)),
  );
}
