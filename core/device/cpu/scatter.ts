/** Rows written or added into a table by id. @module */

import { UserError } from "../../errors.ts";
import type { ScatterKernel } from "../../operations/rows.ts";
import { integers } from "./attention_integers.ts";
import { blockOffsets, type KernelCode, phase } from "./code.ts";

/**
 * Emits the kernel. Threads split the columns, in multiples of 16, so that each element's additions
 * keep the order of n. Only f32 tables are supported.
 */
export function emitScatter(kernel: ScatterKernel): KernelCode {
  if (kernel.dtype !== "f32") {
    throw new UserError(
      `A scatter into a ${kernel.dtype} table is not supported on the cpu device: it writes f32 ` +
        `rows only. Cast the table to f32 first.`,
    );
  }
  const f = phase();
  const n = integers(f);
  const block = f.parameter(0);
  const at = blockOffsets(kernel);
  const [table, ids, rows] = ["table", "ids", "rows"].map((name) =>
    n.let(n.load64(block, at.arg(name)))
  );
  const [count, columns, length] = ["tableRows", "columns", "count"].map((name) =>
    n.let(n.load64(block, at.size(name)))
  );
  const thread = () => f.get(f.parameter(1)).op("i64.extend_i32_u");
  const threads = () => f.get(f.parameter(2)).op("i64.extend_i32_u");
  const lines = n.let(n.div(n.add(columns!, 15), 16));
  const bound = (t: () => void) =>
    n.let(n.min(columns!, n.mul(n.div(n.mul(lines, t), threads), 16)));
  const low = bound(thread);
  const high = bound(n.add(thread, 1));
  const whole = n.let(n.add(low, n.mul(n.div(n.sub(high, low), 4), 4)));
  const [id, to, from, end] = ["id", "to", "from", "end"].map(() => f.local("i64"));

  const copy = (step: number, load: () => void, store: () => void) =>
    f.block((exit) => {
      f.loop((next) => {
        f.get(from!, end!).op("i64.ge_u").brIf(exit);
        f.get(to!, from!);
        load();
        if (kernel.add) {
          f.get(to!);
          load();
          f.op("f32x4.add");
        }
        store();
        n.set(from!, n.add(from!, step));
        n.set(to!, n.add(to!, step));
        f.br(next);
      });
    });

  n.range(0, length!, 1, (row) => {
    n.set(id!, n.load32(n.add(ids!, n.mul(row, 4))));
    // A negative id is a large unsigned one.
    f.get(id!, count!).op("i64.lt_u").if(() => {
      const start = n.let(n.mul(row, columns!));
      n.set(from!, n.add(rows!, n.mul(n.add(start, low), 4)));
      n.set(to!, n.add(table!, n.mul(n.add(n.mul(id!, columns!), low), 4)));
      n.set(end!, n.add(rows!, n.mul(n.add(start, whole), 4)));
      copy(16, () => f.memory("v128.load"), () => f.memory("v128.store"));
      n.set(end!, n.add(rows!, n.mul(n.add(start, high), 4)));
      copy(
        4,
        () => f.memory("v128.load32_zero"),
        () => f.memoryLane("v128.store32_lane", 0),
      );
    });
  });
  return { phases: [f], scratchBytes: () => 0 };
}
