"""Eight steps of TRL on a model that begins at random; prints the time and memory of the last six as JSON.

Usage: trl.py sft|dpo MODEL ROWS float32|bfloat16
"""

import json
import sys
import tempfile
import time

import torch
from datasets import load_dataset
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

method, model_path, rows_path, dtype = sys.argv[1:5]
times = []


class Clock(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        torch.cuda.synchronize()
        times.append(time.perf_counter())


rows = load_dataset("json", data_files=rows_path, split="train")
tokenizer = AutoTokenizer.from_pretrained(model_path)
torch.set_default_dtype(torch.float32)
model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model_path)).cuda()
common = dict(
    output_dir=tempfile.mkdtemp(),
    bf16=dtype == "bfloat16",
    max_steps=8,
    logging_steps=1,
    save_strategy="no",
    report_to="none",
    disable_tqdm=True,
    train_sampling_strategy="sequential",
)
kinds = {"sft": (SFTConfig, SFTTrainer, 8), "dpo": (DPOConfig, DPOTrainer, 4)}
config, trainer, batch = kinds[method]
trainer(
    model=model,
    args=config(**common, per_device_train_batch_size=batch),
    train_dataset=rows,
    processing_class=tokenizer,
    callbacks=[Clock()],
).train()
steady = times[1:]
print(json.dumps({
    "ms a step": 1000 * (steady[-1] - steady[0]) / (len(steady) - 1),
    "device GB": torch.cuda.max_memory_allocated() / 1e9,
}))
