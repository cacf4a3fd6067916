/** TRL's RewardTrainer. @module */
import { reward } from "@plumb/plumb";

await reward({
  model: "Qwen/Qwen2.5-0.5B-Instruct",
  dataset: "trl-lib/ultrafeedback_binarized",
  outputDir: "out/reward",
});
