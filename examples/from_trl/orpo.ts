/** TRL's ORPOTrainer. @module */
import { orpo } from "@plumb/plumb";

await orpo({
  model: "Qwen/Qwen2.5-0.5B-Instruct",
  dataset: "trl-lib/ultrafeedback_binarized",
  outputDir: "out/orpo",
});
