/** TRL's KTOTrainer. @module */
import { kto } from "@plumb/plumb";

await kto({
  model: "Qwen/Qwen2.5-0.5B-Instruct",
  dataset: "trl-lib/kto-mix-14k",
  outputDir: "out/kto",
});
