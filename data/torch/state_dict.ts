/** What PyTorch's pickles of a state dictionary say: names, and tensors as views of storages. @module */

import { UserError } from "../../core/errors.ts";
import { type StoredDtype, storedDtypeBytes } from "../weights/safetensors_dtypes.ts";
import {
  isPickleObject,
  PickleError,
  type PickleObject,
  type PickleValue,
  unpickle,
} from "./pickle.ts";

/** A run of elements in a file. */
export interface Storage extends PickleObject {
  /** Its name in the file. */
  readonly key: string;
  readonly dtype: StoredDtype;
  /** How many elements it has. */
  readonly count: number;
}

/** A tensor as a view of a storage, in elements. */
export interface TensorView extends PickleObject {
  readonly storage: Storage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** Element types by the storages' classes in `torch`. */
const storageTypes: Readonly<Record<string, StoredDtype>> = {
  DoubleStorage: "F64",
  FloatStorage: "F32",
  HalfStorage: "F16",
  BFloat16Storage: "BF16",
  LongStorage: "I64",
  IntStorage: "I32",
  ShortStorage: "I16",
  CharStorage: "I8",
  ByteStorage: "U8",
  BoolStorage: "BOOL",
};

function isStorage(value: PickleValue): value is Storage {
  return value !== null && typeof value === "object" && "key" in value && "count" in value;
}

function isView(value: PickleValue): value is TensorView {
  return value !== null && typeof value === "object" && "storage" in value && "strides" in value;
}

const isCount = (value: PickleValue): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
const isCounts = (value: PickleValue): value is readonly number[] =>
  Array.isArray(value) && value.length <= 64 && value.every(isCount);

/** `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, …)`, checked against the storage. */
function rebuildTensor(args: readonly PickleValue[]): TensorView {
  const [storage, offset, shape, strides] = args as PickleValue[];
  if (
    !isStorage(storage!) || !isCount(offset!) || !isCounts(shape!) || !isCounts(strides!) ||
    shape.length !== strides.length
  ) {
    throw new PickleError("a tensor in it has no storage, or sizes that are no counts");
  }
  const elements = shape.reduce((product, size) => product * size, 1);
  const last = offset + shape.reduce((sum, size, i) => sum + (size - 1) * strides[i]!, 0);
  if (elements > 0 && !(last < storage.count)) {
    throw new PickleError(
      `a tensor of shape [${
        shape.join(", ")
      }] reaches beyond its storage of ${storage.count} elements`,
    );
  }
  if (!(elements * storedDtypeBytes[storage.dtype] < 2 ** 40)) {
    throw new PickleError(`a tensor of shape [${shape.join(", ")}] is too large`);
  }
  return { name: "a tensor", storage, offset, shape, strides };
}

/** The only names that mean something in a pickle of tensors. */
function knownGlobal(module: string, name: string): PickleValue | undefined {
  if (module === "torch" && Object.hasOwn(storageTypes, name)) return { name };
  switch (`${module}.${name}`) {
    case "collections.OrderedDict":
      return {
        name,
        call: (args) => {
          if (args.length === 0) return new Map<PickleValue, PickleValue>();
          throw new PickleError("an OrderedDict in it begins with items");
        },
      };
    case "torch._utils._rebuild_tensor":
    case "torch._utils._rebuild_tensor_v2":
      return { name, call: rebuildTensor };
    case "torch._utils._rebuild_parameter":
      return { name, call: ([data]) => data ?? null };
    case "torch.Size":
      return { name, call: ([sizes]) => sizes ?? null };
    default:
      return undefined;
  }
}

/**
 * The tensors of a state dictionary's pickle by name, in its order.
 *
 * @param path For messages.
 * @throws UserError naming what the pickle asks for beside tensors, or why it is none.
 */
export function readStateDict(
  bytes: Uint8Array,
  path: string,
): { readonly views: ReadonlyMap<string, TensorView>; readonly length: number } {
  const { value, length } = readPickle(bytes, path);
  if (!(value instanceof Map)) {
    throw new UserError(`Cannot read ${path}: it holds no dictionary of tensors.`);
  }
  const views = new Map<string, TensorView>();
  for (const [name, view] of value) {
    if (typeof name === "string" && isView(view)) {
      views.set(name, view);
      continue;
    }
    throw new UserError(
      `Cannot read ${path}: ${
        typeof name === "string" ? `"${name}"` : "a key"
      } in it is not the name of a tensor. A dictionary ` +
        "from names to tensors was expected, as transformers' save_pretrained writes it.",
    );
  }
  return { views, length };
}

/** One pickle of PyTorch's at the start of some bytes. @throws UserError */
export function readPickle(
  bytes: Uint8Array,
  path: string,
): { readonly value: PickleValue; readonly length: number } {
  const storages = new Map<string, Storage>();
  try {
    return unpickle(bytes, {
      global: (module, name) => {
        const known = knownGlobal(module, name);
        if (known !== undefined) return known;
        throw new UserError(
          `Cannot read ${path}: it asks for the Python object ${
            JSON.stringify(`${module}.${name}`)
          }, and only tensors are read ` +
            "from such files: nothing in them is ever run.",
        );
      },
      persistent: (id) => {
        const [kind, type, key, , count, view] = Array.isArray(id) ? id : [];
        const dtype = type && isPickleObject(type) ? storageTypes[type.name] : undefined;
        if (
          kind !== "storage" || !dtype || typeof key !== "string" || !isCount(count) ||
          (view ?? null) !== null
        ) {
          throw new PickleError("it refers to what is no storage of a tensor");
        }
        const storage = storages.get(key) ?? { name: "a storage", key, dtype, count };
        if (storage.dtype !== dtype || storage.count !== count) {
          throw new PickleError(`it describes the storage ${key} in two ways`);
        }
        storages.set(key, storage);
        return storage;
      },
    });
  } catch (error) {
    if (!(error instanceof PickleError)) throw error;
    throw new UserError(
      `Cannot read ${path}: ${error.message}. The file is cut off or damaged, or is no checkpoint of PyTorch's.`,
    );
  }
}
