import assert from "node:assert/strict";
import { openCheckpointFiles } from "../../data/weights/checkpoint_files.ts";
import { openSafetensors } from "../../data/weights/safetensors.ts";
import { openTorchFile } from "../../data/torch/torch_file.ts";
import { PickleError, unpickle } from "../../data/torch/pickle.ts";
import { readStateDict } from "../../data/torch/state_dict.ts";
import { UserError } from "../../core/errors.ts";
import { inTempDir } from "../temporary.ts";
import { fixture } from "./fixture_files.ts";

for (const kind of ["zip", "legacy", "protocol4"]) {
  Deno.test(`tensors of every type and layout are read from PyTorch's own files: ${kind}`, async () => {
    using file = await openTorchFile(fixture(`torch/${kind}.bin`));
    using expected = await openSafetensors(fixture("torch/expected.safetensors"));
    assert.deepEqual([...file.tensors.keys()].sort(), [...expected.tensors.keys()].sort());
    for (const [name, { dtype, shape, byteLength, bytes }] of expected.tensors) {
      const found = file.tensors.get(name)!;
      assert.deepEqual([found.dtype, found.shape, found.byteLength], [dtype, shape, byteLength]);
      assert.deepEqual(await found.bytes(), await bytes(), name);
      assert.deepEqual(await found.finiteBytes(), await bytes(), name);
    }
  });
}

async function refusal(path: string): Promise<string> {
  try {
    using file = await openTorchFile(path);
    for (const { bytes } of file.tensors.values()) await bytes();
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    assert.ok(error.message.startsWith(`Cannot read ${path}: `), error.message);
    return error.message;
  }
  return "";
}

Deno.test("a pickle that asks for a Python function is refused by its name", async () => {
  assert.match(
    await refusal(fixture("torch/evil.bin")),
    /Python object "(posix|os)\.system".*nothing in them is ever run/,
  );
  assert.match(await refusal(fixture("torch/nested.bin")), /"state_dict" in it is not the name/);
});

Deno.test("files that are cut off or have a wrong byte are refused, or read, and nothing else", async () => {
  await inTempDir(async (directory) => {
    for (const kind of ["zip", "legacy"]) {
      const whole = await Deno.readFile(fixture(`torch/${kind}.bin`));
      const path = `${directory}/${kind}.bin`;
      let refused = 0;
      for (let at = 0; at < whole.length; at += kind === "zip" ? 11 : 3) {
        await Deno.writeFile(path, whole.subarray(0, at));
        assert.notEqual(await refusal(path), "", `${kind} of ${at} bytes`);
        for (const bit of [1, 0x80]) {
          const changed = whole.slice();
          changed[at]! ^= bit;
          await Deno.writeFile(path, changed);
          if (await refusal(path) !== "") refused++;
        }
      }
      assert.ok(refused > 50, `${refused} of the changes were seen`);
    }
  });
});

/** Bytes from texts of one byte a character, and numbers. */
function bytesOf(...parts: (string | number)[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(
    parts.flatMap((part) =>
      typeof part === "number" ? [part] : [...part].map((c) => c.charCodeAt(0))
    ),
  );
}

const emptyWorld = {
  global: () => {
    throw new PickleError("no globals");
  },
  persistent: () => null,
};

Deno.test("pickles made to exhaust their reader end at once", () => {
  const unreadable = (bytes: Uint8Array, pattern: RegExp) =>
    assert.throws(() => unpickle(bytes, emptyWorld), (error) => {
      assert.ok(error instanceof PickleError && pattern.test(error.message), String(error));
      return true;
    });
  unreadable(bytesOf(0x80, 2, "X", 0xff, 0xff, 0xff, 0x7f, "a."), /cut off/);
  unreadable(bytesOf(0x80, 4, 0x8e, ...Array(8).fill(0xff), "."), /cut off/);
  unreadable(bytesOf(0x80, 9, "N."), /protocol 9/);
  unreadable(bytesOf(0x80, 2, "i."), /0x69 is not known/);
  unreadable(bytesOf(0x80, 2, "h", 7, "."), /never kept/);
  unreadable(bytesOf(0x80, 2, "t."), /not there/);
  unreadable(bytesOf(0x80, 2, "NNR."), /cannot be called/);
  unreadable(bytesOf(0x80, 2, "N"), /cut off/);
  // A list in itself, and lists of twice the same, a hundred deep: 2^100 elements for whoever walks them.
  const self = unpickle(bytesOf(0x80, 2, "]q", 0, "h", 0, "a."), emptyWorld).value as unknown[];
  assert.equal(self[0], self);
  const bomb = bytesOf(0x80, 2, "]", ...Array(100).fill(["2", 0x86]).flat(), ".");
  assert.equal((unpickle(bomb, emptyWorld).value as unknown[]).length, 2);
  assert.throws(() => readStateDict(bomb, "x.bin"), /^UserError: Cannot read x\.bin: it holds no/);
  const deep = new Uint8Array(200_000).fill(0x85);
  deep.set(bytesOf(0x80, 2, "N"));
  deep.set(bytesOf("."), deep.length - 1);
  assert.throws(() => readStateDict(deep, "x.bin"), /holds no dictionary/);
});

Deno.test("a tensor that reaches beyond its storage is refused", () => {
  const text = (s: string) => [`X`, s.length, 0, 0, 0, s];
  const tensor = (offset: number, size: number, stride: number) =>
    bytesOf(
      ...[0x80, 2, "}"],
      ...text("a"),
      ..."ctorch._utils\n_rebuild_tensor_v2\n((",
      ...text("storage"),
      ..."ctorch\nFloatStorage\n",
      ...[...text("0"), ...text("cpu"), "K", 4, "tQ"],
      ...["K", offset, "K", size, 0x85, "K", stride, 0x85, 0x89, "}tRs."],
    );
  assert.equal(readStateDict(tensor(0, 4, 1), "x").views.size, 1);
  assert.equal(readStateDict(tensor(1, 2, 2), "x").views.size, 1);
  for (const [offset, size, stride] of [[1, 4, 1], [0, 3, 2], [4, 1, 1]] as const) {
    assert.throws(
      () => readStateDict(tensor(offset, size, stride), "x"),
      /reaches beyond its storage/,
    );
  }
});

Deno.test("pytorch_model.bin and its shards are opened where there are no safetensors", async () => {
  await inTempDir(async (directory) => {
    const copy = (name: string) => Deno.copyFile(fixture("torch/zip.bin"), `${directory}/${name}`);
    await copy("pytorch_model.bin");
    await copy("adapter_model.bin");
    for (const stem of ["model", "adapter_model"]) {
      using files = await openCheckpointFiles(directory, { stem });
      assert.deepEqual(files.tensors.get("transposed")!.shape, [6, 4]);
    }
    await Deno.remove(`${directory}/pytorch_model.bin`);
    await copy("pytorch_model-00001-of-00001.bin");
    await Deno.writeTextFile(
      `${directory}/pytorch_model.bin.index.json`,
      JSON.stringify({ metadata: {}, weight_map: { f32: "pytorch_model-00001-of-00001.bin" } }),
    );
    using shards = await openCheckpointFiles(directory);
    assert.deepEqual([...shards.tensors.keys()], ["f32"]);
  });
});
