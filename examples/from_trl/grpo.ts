/** TRL's GRPOTrainer, with a reward of one's own: answers of many different letters. @module */
import { grpo } from "@plumb/plumb";

await grpo({
  model: "Qwen/Qwen2.5-0.5B-Instruct",
  dataset: "trl-lib/ultrafeedback-prompt",
  rewards: ({ completions }) => completions.map((text) => new Set(JSON.stringify(text)).size),
  outputDir: "out/grpo",
});
