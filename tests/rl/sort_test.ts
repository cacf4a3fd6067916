import assert from "node:assert/strict";
import { type Tensor, tensor, vjp } from "../../core/mod.ts";
import { sortAscending } from "../../rl/mod.ts";
import { eachDevice } from "../devices.ts";

eachDevice(
  "sortAscending() sorts, and sends gradients back to where values came from",
  async () => {
    const x = [3, -1, 3, -1000, 0, 3, -0.5];
    const [sorted, pull] = vjp((x: Tensor) => sortAscending(x), tensor(x));
    // The i-th place sends back i; equal values keep their order.
    const gradient = pull(tensor([0, 1, 2, 3, 4, 5, 6]));
    assert.deepEqual([...await sorted.data()], [-1000, -1, -0.5, 0, 3, 3, 3]);
    assert.deepEqual([...await gradient.data()], [4, 1, 5, 0, 3, 6, 2]);
  },
);
