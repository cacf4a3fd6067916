/**
 * A loss of your own for pairs of answers: a hinge with a temperature.
 *
 *     deno run -A cli/main.ts dpo --loss ./examples/my_loss.ts --model_name_or_path … --dataset_name …
 *
 * A pair costs nothing once the policy's margin over the reference is `target` nats; short of that every missing nat
 * costs one. The temperature rounds the corner off: 0 would be the hinge max(0, target − margin).
 *
 * It returns the loss of each pair. Their mean over a whole step is minimised, so that it does not matter into how many
 * batches the step is cut.
 *
 * In a script it is an option:
 *
 *     import { dpo } from "@plumb/plumb";
 *     import myLoss from "./my_loss.ts";
 *
 *     await dpo({ model: "my-model", dataset: "pairs.jsonl", loss: myLoss });
 *
 * @module
 */

import { softplus } from "@plumb/plumb/core";
import { pairMetrics, type PairObjective } from "@plumb/plumb/rl";

const target = 2;
const temperature = 0.5;

const myLoss: PairObjective = (pairs) => {
  const chosen = pairs.chosen.sub(pairs.refChosen!); // [B]
  const rejected = pairs.rejected.sub(pairs.refRejected!);
  const missing = chosen.sub(rejected).neg().add(target);
  const losses = softplus(missing.div(temperature)).mul(temperature);
  return { losses, metrics: pairMetrics(chosen, rejected, pairs) };
};

export default myLoss;
