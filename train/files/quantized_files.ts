/**
 * Weights of a checkpoint in other storage than f32: quantised or narrowed while they are read, and quantised
 * checkpoints as bitsandbytes and transformers write them.
 *
 * @module
 */

import {
  fromBytes,
  mapTree,
  type Path,
  realize,
  Tensor,
  tensor,
  UserError,
} from "../../core/mod.ts";
import type { CheckpointFiles } from "../../data/weights/checkpoint_files.ts";
import { isRecord, type JsonRecord } from "../../data/files/json_files.ts";
import type { TensorToStore } from "../../data/weights/safetensors.ts";
import { type StoredDtype, toFloat32Array } from "../../data/weights/safetensors_dtypes.ts";
import type { StoredTensor } from "../../data/weights/stored_tensor.ts";
import {
  bytesTensor,
  codeTable,
  configPlace,
  type HuggingFaceConfig,
  isQuantizable,
  isQuantized,
  isValueHeadParameter,
  nestedScales,
  type ParameterShape,
  type ParameterShapes,
  parametersOf,
  type Quantized,
  quantizedShape,
  quantizeMatrix,
  type QuantizeOptions,
  shapesOf,
  type Weight,
} from "../../nn/mod.ts";
import { checkStored, loadParameters, readWeight, tensorsToStore } from "./model_files.ts";

/** How weights are stored in memory. */
export interface WeightStorage {
  /** Quantise the matrices of linear layers, heads excepted. */
  readonly quantize?: QuantizeOptions | undefined;
  /** Of all other weights but a value head, which is f32; `auto` is as they are in the files. f32 by default. */
  readonly dtype?: "f32" | "f16" | "bf16" | "auto" | undefined;
}

/** The type in memory of weights that are kept as they are in the files. */
export function narrowDtype(stored: StoredDtype): "f32" | "f16" | "bf16" {
  return narrow[stored] ?? "f32";
}

const narrow: Partial<Record<StoredDtype, "f32" | "f16" | "bf16">> = {
  F32: "f32",
  F16: "f16",
  BF16: "bf16",
};

/**
 * Reads the parameters a model needs from a checkpoint's files, one after the other: each is quantised or
 * narrowed before the next is read, so that the model is never in memory in full precision. Matrices that are
 * quantised in the files stay as they are.
 *
 * @param begin Gives a fresh parameter in place of a missing one, or null.
 * @throws UserError if one is missing, has another shape, or is quantised in a way that is not known.
 */
export async function loadWeights<P>(
  shapes: ParameterShapes,
  files: CheckpointFiles,
  { quantize, dtype = "f32" }: WeightStorage = {},
  begin: (path: Path, shape: ParameterShape) => Tensor | null = () => null,
): Promise<P> {
  const weights = new Map<Path, Weight>();
  const wanted: [Path, ParameterShape][] = [];
  let missing = false;
  for (const [path, leaf] of shapesOf(shapes)) {
    const fresh = files.tensors.has(path) ? null : begin(path, leaf);
    if (fresh) weights.set(path, await realize(fresh));
    else wanted.push([path, leaf]);
    missing ||= !fresh && !files.tensors.has(path);
  }
  // This says at once, and for all of them, which are missing.
  if (missing) await loadParameters<P>(shapes, files, begin);
  for (const [path, leaf] of wanted) {
    const { shape, transposed } = leaf;
    const stored = files.tensors.get(path)!;
    const quantized = await readQuantized(files, path, shape);
    if (quantized) {
      weights.set(path, await realize(quantized));
      continue;
    }
    const kept = isValueHeadParameter(path)
      ? "f32"
      : dtype === "auto"
      ? narrowDtype(stored.dtype)
      : dtype;
    if (quantize && isQuantizable(path, shape)) {
      checkStored(stored, leaf);
      const values = transposed
        ? await (await readWeight(stored)).transpose().data() as Float32Array
        : await floatsOf(stored);
      weights.set(path, await realize(quantizeMatrix(values, shape as [number, number], quantize)));
    } else if (narrow[stored.dtype] === kept) {
      checkStored(stored, leaf);
      const tensor = fromBytes(await stored.finiteBytes(), stored.shape, kept);
      weights.set(path, await realize(transposed ? tensor.transpose() : tensor));
    } else {
      const read = await loadParameters<Record<Path, Tensor>>({ [path]: leaf }, files);
      weights.set(path, await realize(read[path]!.cast(kept)));
    }
  }
  return mapTree(shapes, (_, path) => weights.get(path)) as P;
}

/** A matrix that is quantised in the files, always as [out, in], or undefined if it is not. */
export async function readQuantized(
  files: CheckpointFiles,
  path: Path,
  shape: readonly number[],
): Promise<Quantized | undefined> {
  for (const format of ["nf4", "fp4"] as const) {
    const state = files.tensors.get(`${path}.quant_state.bitsandbytes__${format}`);
    if (state) return await readFourBit(files, path, shape, format, state);
  }
  const scales = files.tensors.get(path.replace(/weight$/, "SCB"));
  if (!scales || !path.endsWith("weight")) return undefined;
  const stored = files.tensors.get(path)!;
  checkStored(stored, { storedShape: shape });
  const [rows, columns] = shape as [number, number];
  return {
    format: "int8",
    shape: `${rows}x${columns}`,
    codes: bytesTensor(await stored.bytes(), shape),
    absmax: tensor(await floatsOf(scales), { shape: [rows] }),
  };
}

async function floatsOf(stored: StoredTensor): Promise<Float32Array> {
  const { dtype, name } = stored;
  return toFloat32Array({ dtype, bytes: await stored.finiteBytes(), name });
}

async function readFourBit(
  files: CheckpointFiles,
  path: Path,
  shape: readonly number[],
  format: "nf4" | "fp4",
  state: StoredTensor,
): Promise<Quantized> {
  const part = (name: string) => {
    const stored = files.tensors.get(`${path}.${name}`);
    if (stored) return stored;
    throw new UserError(`${state.path} has ${state.name}, but not ${path}.${name} beside it.`);
  };
  const json: unknown = JSON.parse(new TextDecoder().decode(await state.bytes()));
  const said = isRecord(json) ? json : {};
  const blocks = [said["blocksize"], said["nested_blocksize"] ?? 256];
  const sizes: unknown = said["shape"];
  if (
    blocks.join() !== "64,256" || !Array.isArray(sizes) || sizes.join() !== shape.join()
  ) {
    throw new UserError(
      `${state.name} in ${state.path} says blocksize ${blocks[0]}, nested_blocksize ${blocks[1]} ` +
        `and shape ${JSON.stringify(sizes)}; 64, 256 and [${shape.join(", ")}] were expected.`,
    );
  }
  const [rows, columns] = shape as [number, number];
  const stored = files.tensors.get(path)!;
  const bytes = await stored.bytes();
  const count = Math.ceil(rows * columns / 2);
  if (bytes.length !== count) {
    throw new UserError(
      `${path} in ${stored.path} has ${bytes.length} bytes of codes; [${rows}, ${columns}] takes ` +
        `${count}.`,
    );
  }
  return {
    format,
    shape: `${rows}x${columns}`,
    codes: bytesTensor(bytes, [count]),
    absmax: await readScales(part, said, Math.ceil(rows * columns / 64)),
  };
}

async function readScales(
  part: (name: string) => StoredTensor,
  said: JsonRecord,
  count: number,
): Promise<Quantized["absmax"]> {
  const absmax = part("absmax");
  if (absmax.dtype !== "U8") return tensor(await floatsOf(absmax), { shape: [count] });
  const offset = said["nested_offset"];
  return nestedScales({
    codes: await absmax.bytes(),
    absmax: await floatsOf(part("nested_absmax")),
    offset: typeof offset === "number" ? offset : 0,
  }, await floatsOf(part("nested_quant_map")));
}

/**
 * The tensors of a tree, quantised matrices under the names that bitsandbytes gives their parts.
 *
 * @param dtype What the matrices are computed in, noted in the files.
 */
export async function quantizedTensorsToStore(
  params: unknown,
  dtype: "float32" | "bfloat16" | "float16" = "float32",
): Promise<TensorToStore[]> {
  const tensors: TensorToStore[] = [];
  for (const [path, weight] of parametersOf(params)) {
    if (weight instanceof Tensor) tensors.push(...tensorsToStore({ [path]: weight.cast("f32") }));
    else if (!isQuantized(weight)) {
      throw new UserError(`${path} has an adapter: save that by itself, or merge it first.`);
    } else tensors.push(...await partsOf(path, weight, dtype));
  }
  return tensors;
}

async function partsOf(path: Path, weight: Quantized, dtype: string): Promise<TensorToStore[]> {
  const shape = quantizedShape(weight);
  const { format, codes, absmax } = weight;
  const bytes = (x: Tensor) => async () => {
    const values = await x.data();
    return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  };
  const floats = (name: string, x: Tensor): TensorToStore => ({
    name,
    dtype: "F32",
    shape: [x.size],
    data: bytes(x),
  });
  if (format === "int8") {
    const module = path.replace(/weight$/, "");
    return [
      { name: path, dtype: "I8", shape, data: bytes(codes) },
      floats(`${module}SCB`, absmax as Tensor),
      { name: `${module}weight_format`, dtype: "U8", shape: [], data: Uint8Array.of(0) },
    ];
  }
  const table = codeTable(format);
  const state: Record<string, unknown> = { quant_type: format, blocksize: 64, dtype, shape };
  const parts: TensorToStore[] = [
    { name: path, dtype: "U8", shape: [codes.size, 1], data: bytes(codes) },
    { name: `${path}.quant_map`, dtype: "F32", shape: [16], data: new Uint8Array(table.buffer) },
  ];
  if (absmax instanceof Tensor) parts.push(floats(`${path}.absmax`, absmax));
  else {
    const { codes: scales, map, absmax: nested, offset } = absmax;
    parts.push(
      { name: `${path}.absmax`, dtype: "U8", shape: [scales.size], data: bytes(scales) },
      floats(`${path}.nested_absmax`, nested),
      floats(`${path}.nested_quant_map`, map),
    );
    Object.assign(state, {
      nested_blocksize: 256,
      nested_dtype: "float32",
      nested_offset: await offset.item(),
    });
  }
  const text = new TextEncoder().encode(JSON.stringify(state));
  return [...parts, {
    name: `${path}.quant_state.bitsandbytes__${format}`,
    dtype: "U8",
    shape: [text.length],
    data: text,
  }];
}

/**
 * `quantization_config` of a config.json, as transformers writes it for bitsandbytes.
 *
 * @param dtype What products are computed in, by its name in PyTorch.
 */
export function quantizationConfig(
  { format, nested = false }: QuantizeOptions,
  dtype = "float32",
): Readonly<Record<string, unknown>> {
  const eight = format === "int8";
  return {
    _load_in_4bit: !eight,
    _load_in_8bit: eight,
    bnb_4bit_compute_dtype: dtype,
    bnb_4bit_quant_storage: "uint8",
    bnb_4bit_quant_type: eight ? "fp4" : format,
    bnb_4bit_use_double_quant: !eight && nested,
    llm_int8_enable_fp32_cpu_offload: false,
    llm_int8_has_fp16_weight: false,
    llm_int8_skip_modules: null,
    llm_int8_threshold: 6,
    load_in_4bit: !eight,
    load_in_8bit: eight,
    quant_method: "bitsandbytes",
  };
}

/**
 * Refuses checkpoints that are quantised in a way other than bitsandbytes'.
 *
 * @throws UserError naming the method.
 */
export function checkQuantizationConfig(config: HuggingFaceConfig): void {
  const quantization = config["quantization_config"];
  if (!isRecord(quantization)) return;
  const method = quantization["quant_method"];
  if (method === undefined || method === "bitsandbytes") return;
  throw new UserError(
    `${configPlace(config)} says that it is quantised by ${JSON.stringify(method)}; bitsandbytes ` +
      `is supported, and models in full precision are, which --load_in_4bit quantises.`,
  );
}
