/** TRL's SFTTrainer. @module */
import { sft } from "@plumb/plumb";

await sft({ model: "Qwen/Qwen2.5-0.5B", dataset: "trl-lib/Capybara", outputDir: "out/sft" });
