/** TRL's DPOTrainer. @module */
import { dpo } from "@plumb/plumb";

await dpo({
  model: "Qwen/Qwen2.5-0.5B-Instruct",
  dataset: "trl-lib/ultrafeedback_binarized",
  outputDir: "out/dpo",
});
