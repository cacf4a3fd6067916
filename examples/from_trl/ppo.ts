/** TRL's PPOTrainer: policy, reference, reward and value. @module */
import { ppo } from "@plumb/plumb";

await ppo({
  model: "Qwen/Qwen2.5-0.5B-Instruct",
  rewardModel: "trl-lib/Qwen2-0.5B-Reward",
  dataset: "trl-lib/ultrafeedback-prompt",
  stopToken: "eos",
  outputDir: "out/ppo",
});
