import { mapTree, type Tensor, tensor } from "../../../core/mod.ts";
import { adamW, adamWStep, initAdamW } from "../../../nn/mod.ts";
import { eachDevice } from "../../devices.ts";
import { assertNear } from "./trajectories.ts";

eachDevice("adamW() decays only the parameters it is told to", async () => {
  const params = { weight: tensor([1, -2]), bias: tensor([3]) };
  const gradients = mapTree(params, (leaf) => (leaf as Tensor).mul(0)) as typeof params;
  const options = {
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0.5,
    decays: (path: string) => path !== "bias",
  };
  const numbers = adamWStep(0.1, 1, options);
  const [next, state] = adamW(params, gradients, initAdamW(params), numbers, options);
  await assertNear(next.weight, [0.95, -1.9], "weight");
  await assertNear(next.bias, [3], "bias");
  await assertNear(state.first.weight, [0, 0], "first moment");
});
