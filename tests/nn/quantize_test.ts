import assert from "node:assert/strict";
import { blockCodes } from "../../core/block_codes.ts";
import { realize, Tensor } from "../../core/mod.ts";
import {
  dequantizeBlocks,
  dequantized,
  dequantizeRows,
  dequantizeScales,
  dynamicMap,
  quantizeBlocks,
  quantizeMatrix,
  quantizeRows,
  quantizeScales,
  scalesOf,
} from "../../nn/mod.ts";
import { openSafetensors } from "../../data/weights/safetensors.ts";
import { toFloat32Array } from "../../data/weights/safetensors_dtypes.ts";
import { fixture, readFixture } from "../data/fixture_files.ts";
import { eachDevice } from "../devices.ts";

interface QuantFixture {
  readonly nf4: readonly number[];
  readonly fp4: readonly number[];
  readonly dynamic_map: readonly number[];
  readonly cases: readonly {
    readonly name: string;
    readonly shape: readonly [number, number];
    readonly numel: number;
    readonly blocks: number;
  }[];
}

const { cases, ...tables } = await readFixture<QuantFixture>("quant/quant.json");

interface Case {
  readonly has: (name: string) => boolean;
  readonly bytes: (name: string) => Promise<Uint8Array>;
  readonly floats: (name: string) => Promise<Float32Array>;
  readonly close: () => void;
}

async function openCase(name: string): Promise<Case> {
  const file = await openSafetensors(fixture(`quant/${name}.safetensors`));
  return {
    has: (name) => file.tensors.has(name),
    bytes: (name) => file.tensors.get(name)!.bytes(),
    floats: async (name) => {
      const stored = file.tensors.get(name)!;
      return toFloat32Array({ dtype: stored.dtype, bytes: await stored.bytes(), name });
    },
    close: file.close,
  };
}

/** All within 1e-6 of the larger of the value and the smallest scale that is not subnormal. */
function assertClose(actual: ArrayLike<number>, expected: Float32Array, what: string): void {
  assert.equal(actual.length, expected.length, what);
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i]! - expected[i]!);
    assert.ok(
      error <= 1e-6 * Math.abs(expected[i]!),
      `${what}[${i}] is ${actual[i]}, not ${expected[i]}`,
    );
  }
}

Deno.test("the tables of codes are those of bitsandbytes", () => {
  for (const format of ["nf4", "fp4"] as const) {
    assert.deepEqual(
      [...blockCodes[format].values!].map((x) => Math.fround(x) + 0),
      tables[format].map((x) => Math.fround(x) + 0),
    );
  }
  assert.equal(dynamicMap.length, 256);
  assertClose(dynamicMap, Float32Array.from(tables.dynamic_map), "dynamic map");
});

for (const { name, shape, numel } of cases) {
  Deno.test(`${name}: 4-bit codes, scales and nested scales are exact`, async () => {
    const file = await openCase(name);
    const weights = await file.floats("weight");
    for (const format of ["nf4", "fp4"] as const) {
      const quantized = quantizeBlocks(weights, format);
      assert.deepEqual(quantized.codes, await file.bytes(`${format}.packed`));
      assert.deepEqual(quantized.absmax, await file.floats(`${format}.absmax`));
      assertClose(
        dequantizeBlocks(quantized, format, numel),
        await file.floats(`${format}.dequantized`),
        format,
      );
      const nested = quantizeScales(quantized.absmax);
      assert.deepEqual(nested.codes, await file.bytes(`${format}_nested.absmax`));
      assertClose(nested.absmax, await file.floats(`${format}_nested.nested_absmax`), "nested");
      assertClose([nested.offset], await file.floats(`${format}_nested.nested_offset`), "offset");
      const absmax = dequantizeScales(nested);
      assertClose(absmax, await file.floats(`${format}_nested.absmax_dequantized`), "scales");
      assertClose(
        dequantizeBlocks({ codes: quantized.codes, absmax }, format, numel),
        await file.floats(`${format}_nested.dequantized`),
        `${format}, nested`,
      );
    }
    file.close();
  });

  Deno.test(`${name}: 8-bit codes by row are exact, with outliers left out`, async () => {
    const file = await openCase(name);
    for (const [prefix, threshold] of [["", Infinity], ["outliers.", 6]] as const) {
      if (!file.has(`${prefix}int8.codes`)) continue;
      const weights = await file.floats(`${prefix}weight`);
      const quantized = quantizeRows(weights, shape[1], { threshold });
      assert.deepEqual(
        new Uint8Array(quantized.codes.buffer),
        await file.bytes(`${prefix}int8.codes`),
      );
      assert.deepEqual(quantized.absmax, await file.floats(`${prefix}int8.absmax`));
      assertClose(
        dequantizeRows(quantized, shape[1]),
        await file.floats(`${prefix}int8.dequantized`),
        "int8",
      );
      if (threshold === Infinity) assert.equal(quantized.outlierColumns.length, 0);
      else {
        const bytes = await file.bytes("outliers.int8.outlier_columns");
        assert.deepEqual(quantized.outlierColumns, new Int32Array(bytes.slice().buffer));
      }
    }
    file.close();
  });

  eachDevice(`${name}: matrices come back from the device`, async () => {
    const file = await openCase(name);
    const weights = await file.floats("weight");
    for (const format of ["nf4", "fp4", "int8"] as const) {
      if (!file.has(`${format}.dequantized`)) continue;
      const plain = await realize(quantizeMatrix(weights, shape, { format }));
      assertClose(
        await dequantized(plain).data() as Float32Array,
        await file.floats(`${format}.dequantized`),
        format,
      );
      if (format === "int8") continue;
      const nested = await realize(quantizeMatrix(weights, shape, { format, nested: true }));
      assert.ok(!(nested.absmax instanceof Tensor));
      assertClose(
        await scalesOf(nested).data() as Float32Array,
        await file.floats(`${format}_nested.absmax_dequantized`),
        "scales",
      );
      assertClose(
        await dequantized(nested).data() as Float32Array,
        await file.floats(`${format}_nested.dequantized`),
        `${format}, nested`,
      );
    }
    file.close();
  });
}

Deno.test("blocks and rows of zeros stay zeros", () => {
  const zeros = new Float32Array(70);
  for (const format of ["nf4", "fp4"] as const) {
    const restored = dequantizeBlocks(quantizeBlocks(zeros, format), format, 70);
    assert.ok(restored.every((x) => x === 0));
  }
  assert.ok(dequantizeRows(quantizeRows(zeros, 7), 7).every((x) => x === 0));
  assert.ok(dequantizeScales(quantizeScales(zeros)).every((x) => x === 0));
});
