/** SFTTrainer with a BitsAndBytesConfig and a LoraConfig. @module */
import { sft } from "@plumb/plumb";

await sft({
  model: "Qwen/Qwen2.5-0.5B",
  dataset: "trl-lib/Capybara",
  loadIn4bit: true,
  bnb4bitQuantType: "nf4",
  useBnbNestedQuant: true,
  lora: { r: 16, targetModules: "all-linear" },
  outputDir: "out/qlora",
});
