import assert from "node:assert/strict";
import { UserError } from "../../../core/errors.ts";
import {
  openSafetensors,
  type TensorToStore,
  writeSafetensors,
} from "../../../data/weights/safetensors.ts";
import {
  type StoredDtype,
  storedDtypeBytes,
  toFloat32Array,
  toInt32Array,
} from "../../../data/weights/safetensors_dtypes.ts";
import {
  encodeSafetensorsHeader,
  findDuplicateKey,
  storedByteLength,
} from "../../../data/weights/safetensors_header.ts";
import { inTempDir } from "../../temporary.ts";
import { readFixture } from "../fixture_files.ts";

const fromPython = new URL("../../fixtures/safetensors/from_python.safetensors", import.meta.url);

function fileBytes(header: string, dataBytes: number, announced?: number): Uint8Array {
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(announced ?? json.length), true);
  bytes.set(json, 8);
  return bytes;
}

/** Opens a file of these bytes and expects a refusal that names the file and matches. */
async function refuses(bytes: Uint8Array, ...reasons: RegExp[]): Promise<void> {
  await inTempDir(async (dir) => {
    const path = `${dir}/broken.safetensors`;
    await Deno.writeFile(path, bytes);
    await assert.rejects(openSafetensors(path), (error) => {
      assert.ok(error instanceof UserError);
      for (const reason of [/broken\.safetensors/, ...reasons]) assert.match(error.message, reason);
      assert.ok(!error.message.includes("\n"));
      return true;
    });
  });
}

const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) =>
  JSON.stringify({ dtype: "F32", shape, data_offsets: [begin, end] });

Deno.test("openSafetensors() reads what the Python library wrote", async () => {
  using file = await openSafetensors(fromPython.pathname);
  assert.deepEqual(file.metadata, { format: "pt" });
  const read = async (name: string) => {
    const tensor = file.tensors.get(name)!;
    return { dtype: tensor.dtype, name, bytes: await tensor.bytes() };
  };
  assert.deepEqual(file.tensors.get("layer.0.weight")?.shape, [2, 3]);
  assert.deepEqual(file.tensors.get("scalar")?.shape, []);
  assert.equal(file.tensors.get("empty")?.byteLength, 0);
  assert.deepEqual([...toFloat32Array(await read("layer.0.weight"))], [
    0,
    0.25,
    0.5,
    0.75,
    1,
    1.25,
  ]);
  assert.deepEqual([...toFloat32Array(await read("layer.0.bias"))], [1.5, -2, 0.10009765625]);
  assert.deepEqual([...toFloat32Array(await read("h"))], [1, 65504, 2 ** -24, -0]);
  assert.deepEqual([...toFloat32Array(await read("scalar"))], [3.25]);
  assert.deepEqual([...toFloat32Array(await read("empty"))], []);
  assert.deepEqual([...toInt32Array(await read("ids"))], [1, -2, 3]);
  assert.deepEqual([...toInt32Array(await read("mask"))], [1, 0]);
  assert.deepEqual([...toInt32Array(await read("small"))], [-1, 127]);
});

Deno.test("writeSafetensors() writes the same bytes as the Python library", async () => {
  await inTempDir(async (dir) => {
    using file = await openSafetensors(fromPython.pathname);
    const path = `${dir}/copy.safetensors`;
    const shuffled = [...file.tensors.values()].reverse();
    await writeSafetensors(path, shuffled.map((tensor) => ({ ...tensor, data: tensor.bytes })));
    assert.deepEqual(await Deno.readFile(path), await Deno.readFile(fromPython));
  });
});

Deno.test("tensors of random dtypes and shapes survive a round trip", async () => {
  await inTempDir(async (dir) => {
    let state = 7;
    const random = (n: number) => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) % n;
    const dtypes = Object.keys(storedDtypeBytes) as StoredDtype[];
    for (let trial = 0; trial < 20; trial++) {
      const tensors: (TensorToStore & { data: Uint8Array })[] = [];
      for (let i = random(12); i >= 0; i--) {
        const shape = Array.from({ length: random(4) }, () => random(6));
        const dtype = dtypes[random(dtypes.length)]!;
        const data = Uint8Array.from({ length: storedByteLength(dtype, shape) }, () => random(256));
        // Names that need escapes, or that objects would reorder or treat specially.
        const name = ["", "7", 'a"\\b', "é✓", "__proto__", "x.y"][random(6)]! + `.${i}`;
        tensors.push({ name, dtype, shape, data });
      }
      const path = `${dir}/${trial}.safetensors`;
      await writeSafetensors(path, tensors, {});
      using file = await openSafetensors(path);
      assert.equal(file.tensors.size, tensors.length);
      for (const { name, dtype, shape, data } of tensors) {
        const stored = file.tensors.get(name)!;
        assert.deepEqual([stored.name, stored.dtype, stored.shape], [name, dtype, shape]);
        assert.deepEqual(await stored.bytes(), data);
      }
      const all = [...file.tensors.values()];
      const together = await Promise.all(all.map((tensor) => tensor.bytes()));
      assert.deepEqual(together, all.map(({ name }) => tensors.find((t) => t.name === name)!.data));
    }
  });
});

Deno.test("names that look like integers, or __proto__, stay tensors", async () => {
  await inTempDir(async (dir) => {
    const path = `${dir}/x.safetensors`;
    const names = ["10", "9", "__proto__", "a"];
    const tensors = names.map((name, i) => ({
      name,
      dtype: "U8" as const,
      shape: [1],
      data: Uint8Array.of(i),
    }));
    await writeSafetensors(path, tensors);
    using file = await openSafetensors(path);
    assert.deepEqual([...file.tensors.keys()], names);
    assert.deepEqual(await file.tensors.get("__proto__")!.bytes(), Uint8Array.of(2));
  });
});

Deno.test("the header is padded to eight bytes and every tensor is aligned to its elements", async () => {
  await inTempDir(async (dir) => {
    const dtypes = Object.keys(storedDtypeBytes) as StoredDtype[];
    for (let length = 1; length <= 8; length++) {
      const tensors = dtypes.map((dtype) => ({
        name: dtype + "x".repeat(length),
        dtype,
        shape: [3],
        data: new Uint8Array(3 * storedDtypeBytes[dtype]),
      }));
      const { header, ordered } = encodeSafetensorsHeader(tensors, { path: "x", metadata: {} });
      assert.equal(header.length % 8, 0);
      let offset = 0;
      for (const { dtype, data } of ordered) {
        assert.equal(offset % storedDtypeBytes[dtype], 0, dtype);
        offset += data.length;
      }
      await writeSafetensors(`${dir}/x`, tensors, {});
      assert.equal((await Deno.stat(`${dir}/x`)).size, header.length + offset);
    }
  });
});

Deno.test("writeSafetensors() asks for one tensor at a time, from sync and async sources", async () => {
  await inTempDir(async (dir) => {
    let active = 0;
    const data = async () => {
      assert.equal(++active, 1);
      await new Promise((resolve) => setTimeout(resolve, 1));
      active--;
      return Uint8Array.of(1, 2);
    };
    async function* source() {
      for (const name of ["a", "b", "c"]) {
        yield await Promise.resolve({ name, dtype: "U8" as const, shape: [2], data });
      }
    }
    await writeSafetensors(`${dir}/x.safetensors`, source());
    using file = await openSafetensors(`${dir}/x.safetensors`);
    assert.equal(file.tensors.size, 3);
  });
});

Deno.test("writeSafetensors() refuses wrong sizes, repeated and reserved names, and leaves no file", async () => {
  await inTempDir(async (dir) => {
    const path = `${dir}/x.safetensors`;
    const one = { name: "a", dtype: "F32", shape: [1], data: new Uint8Array(4) } as const;
    await assert.rejects(
      writeSafetensors(path, [{ ...one, shape: [2] }]),
      /"a" has 4 bytes.*takes 8/,
    );
    await assert.rejects(writeSafetensors(path, [one, one]), /two tensors are named "a"/);
    await assert.rejects(writeSafetensors(path, [{ ...one, name: "__metadata__" }]), /reserved/);
    await assert.rejects(writeSafetensors(path, [{ ...one, shape: [-1] }]), /shape \[-1\]/);
    await assert.rejects(writeSafetensors(`${dir}/no/x.safetensors`, [one]), UserError);
    assert.deepEqual([...Deno.readDirSync(dir)], []);
  });
});

Deno.test("a file cut off anywhere is refused", async () => {
  const whole = await Deno.readFile(fromPython);
  for (const length of [0, 7, 8, 20, 400, whole.length - 30, whole.length - 1]) {
    await refuses(whole.subarray(0, length), /truncated/);
  }
});

Deno.test("a header that cannot be one is refused with the reason", async () => {
  await refuses(fileBytes("{}", 0, 2 ** 40), /announces a header of 1099511627776 bytes/);
  await refuses(
    new TextEncoder().encode("version https://git-lfs.github.com/spec/v1"),
    /git lfs pull/,
  );
  await refuses(fileBytes("{}", 0, 1000), /announces a header of 1000 bytes.*ends after 10/);
  await refuses(fileBytes("{nonsense", 0), /not valid JSON/);
  await refuses(fileBytes("[1]", 0), /not a JSON object/);
  const invalid = fileBytes('{"a":1}', 0);
  invalid[10] = 0xff;
  await refuses(invalid, /not valid UTF-8/);
  await refuses(fileBytes('{"__metadata__":{"a":1}}', 0), /__metadata__.*"a" is not a string/);
  await refuses(fileBytes('{"__metadata__":[]}', 0), /__metadata__/);
});

Deno.test("a malformed tensor entry is refused by name", async () => {
  const entry = (dtype: unknown, shape: unknown, offsets: unknown) =>
    fileBytes(JSON.stringify({ "the.weight": { dtype, shape, data_offsets: offsets } }), 4);
  await refuses(fileBytes('{"the.weight":3}', 0), /"the\.weight" is not an object/);
  await refuses(entry("F8_E4M3", [4], [0, 4]), /"the\.weight".*"F8_E4M3".*not supported/);
  await refuses(entry("toString", [4], [0, 4]), /"the\.weight".*not supported/);
  await refuses(entry("F32", [1.5], [0, 4]), /"the\.weight".*shape \[1\.5\]/);
  await refuses(entry("F32", [-1], [0, 4]), /"the\.weight".*shape/);
  await refuses(entry("F32", 1, [0, 4]), /"the\.weight".*shape/);
  await refuses(entry("F32", [1], [0]), /"the\.weight".*data_offsets/);
  await refuses(entry("F32", [1], ["0", 4]), /"the\.weight".*data_offsets/);
  await refuses(entry("F32", [1], [4, 0]), /"the\.weight".*backwards/);
  await refuses(entry("F32", [2], [0, 4]), /"the\.weight" spans 4 bytes.*takes 8/);
  await refuses(entry("F32", [2 ** 40, 2 ** 40], [0, 4]), /"the\.weight" spans 4 bytes/);
});

Deno.test("overlapping tensors, holes, leftovers and repeated keys are refused", async () => {
  await refuses(
    fileBytes(`{"a":${f32(0, 8)},"b":${f32(4, 12)}}`, 12),
    /"a" and "b" overlap at byte 4/,
  );
  await refuses(fileBytes(`{"a":${f32(0, 4)},"b":${f32(0, 4)}}`, 4), /overlap/);
  await refuses(
    fileBytes(`{"a":${f32(0, 4)},"b":${f32(8, 12)}}`, 12),
    /bytes 4 to 8.*before tensor "b"/,
  );
  await refuses(fileBytes(`{"a":${f32(4, 8)}}`, 8), /bytes 0 to 4/);
  await refuses(fileBytes(`{"a":${f32(0, 4)}}`, 8), /end at byte 4.*8 bytes follow/);
  await refuses(fileBytes(`{"a":${f32(0, 400)}}`, 8), /truncated.*"a" ends at byte 400/);
  await refuses(fileBytes(`{"a":${f32(0, 4)},"\\u0061":${f32(4, 8)}}`, 8), /"a" occurs twice/);
  await refuses(
    fileBytes(`{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4),
    /"dtype" occurs twice/,
  );
});

Deno.test("entries in any order and empty tensors at any place are accepted", async () => {
  await inTempDir(async (dir) => {
    const path = `${dir}/x.safetensors`;
    const header = `{"b":${f32(4, 8)},"e":${f32(4, 4, [0])},"a":${f32(0, 4)},"z":${
      f32(8, 8, [3, 0])
    }}`;
    await Deno.writeFile(path, fileBytes(header, 8));
    using file = await openSafetensors(path);
    assert.deepEqual([...file.tensors.keys()], ["a", "e", "b", "z"]);
  });
});

Deno.test("findDuplicateKey() looks at keys of one object only", () => {
  assert.equal(findDuplicateKey('{"a":{"a":"a"},"b":["a","a",{"a":1},{"a":2}]}'), undefined);
  assert.equal(findDuplicateKey('{"x":"{\\"a\\":1,\\"a\\":2}","a":"a\\\\"}'), undefined);
  assert.equal(findDuplicateKey('{"b":[{"k":1 , "k" : 2}]}'), "k");
});

Deno.test("a tensor asked for too late is refused, as is a file that shrank", async () => {
  await inTempDir(async (dir) => {
    const path = `${dir}/x.safetensors`;
    await Deno.copyFile(fromPython, path);
    const file = await openSafetensors(path);
    await Deno.truncate(path, 600);
    await assert.rejects(file.tensors.get("mask")!.bytes(), /x\.safetensors.*"mask"/);
    file.close();
    file.close();
    await assert.rejects(file.tensors.get("ids")!.bytes(), /"ids".*closed/);
  });
});

Deno.test("openSafetensors() names a file that is missing or a directory", async () => {
  await inTempDir(async (dir) => {
    await assert.rejects(
      openSafetensors(`${dir}/nope.safetensors`),
      /nope\.safetensors.*no such file/,
    );
    await assert.rejects(openSafetensors(dir), UserError);
  });
});

Deno.test("conversions refuse the wrong kind and values that do not fit", () => {
  const bytes = new Uint8Array(8).fill(255, 3, 7);
  assert.throws(() => toFloat32Array({ dtype: "I64", bytes, name: "n" }), /"n".*I64/);
  assert.throws(() => toInt32Array({ dtype: "F32", bytes, name: "n" }), /"n".*F32/);
  assert.throws(() => toInt32Array({ dtype: "I64", bytes, name: "n" }), /element 0 is \d+ \(I64\)/);
  assert.throws(() => toInt32Array({ dtype: "U32", bytes, name: "n" }), /element 0/);
  assert.throws(() => toFloat32Array({ dtype: "F32", bytes: new Uint8Array(6) }), /multiple of/);
});

Deno.test("conversions read views at any offset, and every integer type", () => {
  const shifted = (values: ArrayBufferView) => {
    const bytes = new Uint8Array(values.byteLength + 1);
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), 1);
    return bytes.subarray(1);
  };
  const int = (
    dtype: StoredDtype,
    values: ArrayBufferView,
  ) => [...toInt32Array({ dtype, bytes: shifted(values) })];
  assert.deepEqual([...toFloat32Array({ dtype: "F32", bytes: shifted(Float32Array.of(1, -2)) })], [
    1,
    -2,
  ]);
  assert.deepEqual(int("I8", Int8Array.of(-3, 4)), [-3, 4]);
  assert.deepEqual(int("U8", Uint8Array.of(255)), [255]);
  assert.deepEqual(int("I16", Int16Array.of(-300)), [-300]);
  assert.deepEqual(int("U16", Uint16Array.of(65535)), [65535]);
  assert.deepEqual(int("I32", Int32Array.of(-5)), [-5]);
  assert.deepEqual(int("U32", Uint32Array.of(7)), [7]);
  assert.deepEqual(int("I64", BigInt64Array.of(-(2n ** 31n))), [-(2 ** 31)]);
  assert.deepEqual(int("U64", BigUint64Array.of(9n)), [9]);
});

Deno.test("mutated files are opened and refused as by the Python library", async () => {
  const { cases } = await readFixture<
    { readonly cases: readonly (readonly [name: string, base64: string, opens: boolean])[] }
  >("safetensors/mutated.json");
  await inTempDir(async (directory) => {
    const path = `${directory}/x.safetensors`;
    for (const [name, base64, opens] of cases) {
      await Deno.writeFile(path, Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
      let refusal: unknown = null;
      try {
        using _ = await openSafetensors(path);
      } catch (error) {
        refusal = error;
      }
      assert.ok(refusal === null || refusal instanceof UserError, `${name}: ${refusal}`);
      assert.equal(refusal === null, opens, `${name}: ${refusal}`);
    }
  });
});

Deno.test("what the Python library opens and nothing here could use is refused by name", async () => {
  await inTempDir(async (directory) => {
    const path = `${directory}/x.safetensors`;
    const write = async (header: string) => {
      const json = new TextEncoder().encode(header);
      const file = new Uint8Array(8 + json.length + 2);
      new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
      file.set(json, 8);
      await Deno.writeFile(path, file);
    };
    const entry = (dtype: string) => `"a":{"dtype":"${dtype}","shape":[2],"data_offsets":[0,2]}`;
    await write(`{${entry("F8_E4M3")}}`);
    await assert.rejects(openSafetensors(path), /tensor "a" has the dtype "F8_E4M3"/);
    await write(`{${entry("U8")},${entry("U8")}}`);
    await assert.rejects(openSafetensors(path), /the key "a" occurs twice/);
  });
});
