/** The share of the machine's roof that a run reached. @module */

import assert from "node:assert/strict";
import { roofGauge } from "../../train/report/roof.ts";
import { openDevice, zeros } from "../../core/mod.ts";
import { inTempDir } from "../temporary.ts";

Deno.test("a long run tells its share of the roof, which is measured once and kept", async () => {
  await inTempDir(async (home) => {
    const before = Deno.env.get("XDG_CACHE_HOME");
    Deno.env.set("XDG_CACHE_HOME", home);
    const device = await openDevice("cpu", { threads: 1, blas: false });
    try {
      const at = { step: 1, totalSteps: 1, epoch: 1 };
      const gauge = roofGauge(device);
      const run = async (seconds: number) => {
        gauge.follow({ kind: "begin", ...at, elapsedSeconds: 0, resumed: false });
        const { flops } = device.counters();
        await zeros([64, 32]).matmul(zeros([32, 16])).data();
        assert.equal(device.counters().flops - flops, 2 * 64 * 32 * 16);
        gauge.follow({
          kind: "end",
          ...at,
          elapsedSeconds: seconds,
          values: {},
          interrupted: false,
        });
        return await gauge.share();
      };
      assert.equal(await run(1), undefined, "a short run is not worth a probe");
      assert.match((await run(100))!, /^0 % of the machine's [1-9]\d* GFLOP\/s$/);
      const path = `${home}/plumb/roofs.json`;
      const kept: Record<string, number> = JSON.parse(Deno.readTextFileSync(path));
      const [key] = Object.keys(kept);
      assert.ok(key!.includes(device.description));
      Deno.writeTextFileSync(path, JSON.stringify({ [key!]: 123e9 }));
      assert.match((await run(100))!, /of the machine's 123 GFLOP\/s$/);
      Deno.writeTextFileSync(path, "{");
      assert.match((await run(100))!, /of the machine's [1-9]\d* GFLOP\/s$/);
    } finally {
      device.destroy();
      if (before === undefined) Deno.env.delete("XDG_CACHE_HOME");
      else Deno.env.set("XDG_CACHE_HOME", before);
    }
  });
});
