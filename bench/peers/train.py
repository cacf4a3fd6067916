"""Trains with a trainer of TRL, with its defaults; prints a line of JSON at each step.

Usage: train.py sft|dpo|grpo MODEL ROWS STEPS float32|bfloat16
"""

import json
import sys
import tempfile

from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

method, model_path, rows_path, steps, dtype = sys.argv[1:6]


def say(**fields):
    print(json.dumps(fields), flush=True)


class Steps(TrainerCallback):
    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and "loss" in logs:
            tokens = logs.get("num_tokens")
            say(step=state.global_step, tokens=tokens, cumulative=True, loss=logs["loss"])


common = dict(
    output_dir=tempfile.mkdtemp(),
    use_cpu=True,
    bf16=dtype == "bfloat16",
    max_steps=int(steps),
    logging_steps=1,
    save_strategy="no",
    report_to="none",
    disable_tqdm=True,
    train_sampling_strategy="sequential",
)
rows = load_dataset("json", data_files=rows_path, split="train")
tokenizer = AutoTokenizer.from_pretrained(model_path)
model = AutoModelForCausalLM.from_pretrained(model_path, dtype="float32")
given = dict(model=model, train_dataset=rows, processing_class=tokenizer, callbacks=[Steps()])

if method == "sft":
    from trl import SFTConfig, SFTTrainer

    trainer = SFTTrainer(args=SFTConfig(**common, per_device_train_batch_size=8), **given)
elif method == "dpo":
    from trl import DPOConfig, DPOTrainer

    trainer = DPOTrainer(args=DPOConfig(**common, per_device_train_batch_size=4), **given)
else:
    from trl import GRPOConfig, GRPOTrainer

    # A step is one batch of 8 prompts with 8 completions each, all of 64 tokens.
    arguments = GRPOConfig(
        **common,
        per_device_train_batch_size=64,
        num_generations=8,
        # In the order of the rows, so that steps have equal numbers of tokens.
        shuffle_dataset=False,
        max_completion_length=64,
        generation_kwargs={"min_new_tokens": 64},
    )
    trainer = GRPOTrainer(
        args=arguments,
        reward_funcs=lambda completions, **kwargs: [
            float(len(set(text.split()))) for text in completions
        ],
        **given,
    )
trainer.train()
