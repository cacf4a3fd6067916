/** SFTTrainer with a LoraConfig of PEFT, merged at the end. @module */
import { sft } from "@plumb/plumb";

const run = await sft({
  model: "Qwen/Qwen2.5-0.5B",
  dataset: "trl-lib/Capybara",
  lora: { r: 16, alpha: 32, dropout: 0.05, targetModules: "all-linear" },
  outputDir: "out/lora",
});
await (await run.merge()).save("out/lora-merged");
