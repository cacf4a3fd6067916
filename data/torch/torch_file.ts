/**
 * PyTorch's own files of tensors, `pytorch_model.bin` and the like: the zip archives of today and what was written
 * before version 1.6. Tensors are read from them and nothing is run.
 *
 * @module
 */

import { crc32 } from "node:zlib";
import { UserError } from "../../core/errors.ts";
import { openForReading, type ReadableFile } from "../files/file_bytes.ts";
import { finiteSoFar } from "../weights/finite.ts";
import { describeFileError } from "../files/local_paths.ts";
import { storedDtypeBytes } from "../weights/safetensors_dtypes.ts";
import type { StoredTensor, TensorFile } from "../weights/stored_tensor.ts";
import { readPickle, readStateDict, type Storage, type TensorView } from "./state_dict.ts";
import { isZip, zipEntries, type ZipEntry } from "./zip.ts";

/** Beyond this the description of tensors, which takes some hundred bytes for each, is no such thing. */
const maxPickleBytes = 64 * 2 ** 20;

/** Where a storage lies. */
interface StoragePlace {
  readonly position: number;
  /** Of its bytes, where the file tells. */
  readonly crc?: number;
}

/**
 * Opens a file that `torch.save` wrote of a state dictionary; contents stay on disk until asked for.
 *
 * @throws UserError naming the file, if it is missing, damaged, or asks for anything but tensors.
 */
export async function openTorchFile(path: string): Promise<TensorFile> {
  const file = await openForReading(path);
  try {
    const start = new Uint8Array(Math.min(4, file.size));
    file.fill(start, 0);
    return isZip(start) ? openArchive(file) : openLegacy(file);
  } catch (error) {
    file.close();
    throw describeFileError(error, { action: "read", path });
  }
}

function openArchive(file: ReadableFile): TensorFile {
  const { path } = file;
  const entries = zipEntries(file);
  const [pickle] = [...entries.values()].filter(({ name }) => /^[^/]+\/data\.pkl$/.test(name));
  if (!pickle) {
    throw new UserError(
      `Cannot read ${path}: it is a zip archive without a data.pkl, which is none of PyTorch's.`,
    );
  }
  const root = pickle.name.slice(0, -"data.pkl".length);
  const order = entries.get(`${root}byteorder`);
  if (order && new TextDecoder().decode(readEntry(file, order)) !== "little") {
    throw new UserError(`Cannot read ${path}: its numbers are not little-endian.`);
  }
  const { views } = readStateDict(readEntry(file, pickle), path);
  return tensorFile(file, views, (storage) => {
    const entry = entries.get(`${root}data/${storage.key}`);
    if (entry?.size === bytesOf(storage)) return { position: entry.position(), crc: entry.crc };
    throw new UserError(
      `Cannot read ${path}: the storage ${JSON.stringify(storage.key)} of its tensors ${
        entry ? `has ${entry.size} bytes, not ${bytesOf(storage)}` : "is not in it"
      }. Copy or download the file again.`,
    );
  });
}

function readEntry(file: ReadableFile, { name, size, crc, position }: ZipEntry): Uint8Array {
  if (size > maxPickleBytes) {
    throw new UserError(
      `Cannot read ${file.path}: its ${name} has ${size} bytes; at most ${maxPickleBytes} are read.`,
    );
  }
  const bytes = new Uint8Array(size);
  file.fill(bytes, position(), { what: name });
  if (crc32(bytes) !== crc) throw damaged(file.path, name);
  return bytes;
}

function damaged(path: string, what: string): UserError {
  return new UserError(
    `Cannot read ${path}: ${what} is damaged (its checksum differs). Copy or download the file again.`,
  );
}

/** A file of pickles: a magic number, a version, the writer's machine, the tensors, the storages' names; and these. */
function openLegacy(file: ReadableFile): TensorFile {
  const { path, size } = file;
  const head = new Uint8Array(Math.min(size, maxPickleBytes));
  file.fill(head, 0);
  const unknown = () =>
    new UserError(
      `Cannot read ${path}: it is neither a zip archive nor a pickle of PyTorch's. If it is a Git LFS pointer, run ` +
        "`git lfs pull` in its directory.",
    );
  if (head[0] !== 0x80) throw unknown();
  let at = 0;
  const next = () => {
    const { value, length } = readPickle(head.subarray(at), path);
    at += length;
    return value;
  };
  if (next() !== 0x1950a86a20f9469cfc6cn || next() !== 1001) throw unknown();
  const machine = next();
  if (!(machine instanceof Map) || machine.get("little_endian") !== true) {
    throw new UserError(`Cannot read ${path}: its numbers are not little-endian.`);
  }
  const { views, length } = readStateDict(head.subarray(at), path);
  at += length;
  const keys = next();
  const storages = new Map([...views.values()].map(({ storage }) => [storage.key, storage]));
  const places = new Map<string, StoragePlace>();
  let position = at;
  const count = new Uint8Array(8);
  for (const key of Array.isArray(keys) ? keys : []) {
    const storage = typeof key === "string" ? storages.get(key) : undefined;
    const fits = storage !== undefined && position + 8 + bytesOf(storage) <= size;
    if (fits) file.fill(count, position);
    if (!fits || new DataView(count.buffer).getBigUint64(0, true) !== BigInt(storage.count)) {
      throw new UserError(
        `Cannot read ${path}: the storages of its tensors are cut off or not as it says. Copy or download it again.`,
      );
    }
    places.set(storage.key, { position: position + 8 });
    position += 8 + bytesOf(storage);
  }
  return tensorFile(file, views, ({ key }) => {
    const place = places.get(key);
    if (place) return place;
    throw new UserError(`Cannot read ${path}: the storage ${JSON.stringify(key)} is not in it.`);
  });
}

function bytesOf({ dtype, count }: Storage): number {
  return count * storedDtypeBytes[dtype];
}

function tensorFile(
  file: ReadableFile,
  views: ReadonlyMap<string, TensorView>,
  placeOf: (storage: Storage) => StoragePlace,
): TensorFile {
  const { path, close } = file;
  const tensors = new Map(
    [...views].map(([name, view]) => {
      const place = placeOf(view.storage);
      return [name, storedTensor(file, name, view, place)] as const;
    }),
  );
  return { path, tensors, close, [Symbol.dispose]: close };
}

function storedTensor(
  file: ReadableFile,
  name: string,
  view: TensorView,
  place: StoragePlace,
): StoredTensor {
  const { path } = file;
  const { storage, shape } = view;
  const { dtype } = storage;
  const isWhole = view.offset === 0 && isContiguous(view) && elementsOf(shape) === storage.count;
  const read = (finite: boolean): Uint8Array<ArrayBuffer> => {
    const bytes = new Uint8Array(bytesOf(storage));
    const check = (target: Uint8Array) => finiteSoFar({ name, path, dtype, shape }, target);
    file.fill(bytes, place.position, {
      what: `tensor "${name}"`,
      ...(finite && isWhole ? check(bytes) : {}),
    });
    if (place.crc !== undefined && crc32(bytes) !== place.crc) {
      throw damaged(path, `tensor "${name}"`);
    }
    if (isWhole) return bytes;
    const target = gathered(bytes, view);
    if (finite) check(target).look(target.length);
    return target;
  };
  return {
    name,
    dtype,
    shape,
    byteLength: elementsOf(shape) * storedDtypeBytes[dtype],
    path,
    // The executor turns a throw into a rejection.
    bytes: () => new Promise((resolve) => resolve(read(false))),
    finiteBytes: () => new Promise((resolve) => resolve(read(true))),
  };
}

function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function isContiguous({ shape, strides }: TensorView): boolean {
  let expected = 1;
  return shape.toReversed().every((size, i) => {
    const fits = size === 1 || strides.at(-1 - i) === expected;
    expected *= size;
    return fits;
  });
}

/** A view's elements in row-major order, in memory of their own. */
function gathered(bytes: Uint8Array, { storage, offset, shape, strides }: TensorView) {
  const size = storedDtypeBytes[storage.dtype];
  const target = new Uint8Array(elementsOf(shape) * size);
  const place = shape.map(() => 0);
  let from = offset;
  for (let to = 0; to < target.length; to += size) {
    for (let k = 0; k < size; k++) target[to + k] = bytes[from * size + k]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++place[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      place[axis] = 0;
    }
  }
  return target;
}
