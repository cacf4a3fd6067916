import assert from "node:assert/strict";
import { jit, type Tensor, tensor } from "../../../core/mod.ts";
import { decode, dynamicMapValues, encode } from "../../../nn/optimizers/dynamic_map.ts";
import { readFixture } from "../../data/fixture_files.ts";
import { eachDevice } from "../../devices.ts";

Deno.test("dynamicMapValues() with signs is the map of bitsandbytes", async () => {
  const { dynamic_map } = await readFixture<{ dynamic_map: number[] }>("optim/dynamic_map.json");
  const values = dynamicMapValues({ signed: true });
  assert.equal(dynamic_map.length, 256);
  assert.equal(values.length, 256);
  dynamic_map.forEach((value, code) => {
    assert.ok(Math.abs(values[code]! - value) <= 2e-7 * Math.abs(value), `code ${code}`);
  });
});

Deno.test("dynamicMapValues() without signs has twice as many steps in each decade", () => {
  const values = dynamicMapValues({ signed: false });
  assert.equal(new Set(values).size, 256);
  assert.equal(values[0], 0);
  assert.equal(values[255], 1);
  for (const [top, steps] of [[1e-6, 2], [1e-3, 16], [1, 128]] as const) {
    const inside = values.filter((x) => x > top / 10 && x < top);
    assert.equal(inside.length, steps);
    assert.ok(Math.abs(inside[0]! - top * (0.1 + 0.45 / steps)) < 1e-6 * top);
  }
});

for (const signed of [true, false]) {
  const kind = signed ? "with signs" : "without signs";

  eachDevice(`decode() gives the map's numbers, ${kind}`, async () => {
    const codes = tensor(Uint8Array.from({ length: 256 }, (_, i) => i));
    const found = await jit((x: Tensor) => decode({ signed }, x))(codes).data();
    dynamicMapValues({ signed }).forEach((value, code) => {
      const error = Math.abs(found[code]! - value);
      assert.ok(error <= 3e-6 * Math.abs(value), `code ${code} is ${found[code]}, not ${value}`);
    });
  });

  eachDevice(`encode() finds the nearest of the map's numbers, ${kind}`, async () => {
    const values = dynamicMapValues({ signed });
    const x: number[] = [...values, ...(signed ? [-1, -0.9999, -0] : [])];
    for (let i = 1; i < 256; i++) {
      const middle = (values[i]! + values[i - 1]!) / 2;
      const gap = values[i]! - values[i - 1]!;
      x.push(middle - gap * 1e-3, middle + gap * 1e-3);
    }
    for (let i = 0; i < 4000; i++) {
      const magnitude = 10 ** (-8 * i / 4000);
      x.push(signed && i % 2 === 1 ? -magnitude : magnitude);
    }
    const inputs = Float32Array.from(x);
    const codes = await jit((y: Tensor) => encode({ signed }, y))(tensor(inputs)).data();
    inputs.forEach((input, i) => {
      const errors = [...values].map((value) => Math.abs(value - input));
      const least = Math.min(...errors);
      const found = errors[codes[i]!]!;
      assert.ok(found <= least * (1 + 1e-3) + 1e-12, `${input} became ${values[codes[i]!]}`);
    });
  });
}
