"""Samples with transformers' generate; prints a line of JSON for each round.

Usage: generate.py MODEL ROWS SEQUENCES TOKENS ROUNDS
"""

import json
import sys
import time

import torch
from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

model_path, rows_path, sequences, tokens, rounds = sys.argv[1:6]
rows = load_dataset("json", data_files=rows_path, split="train")
tokenizer = AutoTokenizer.from_pretrained(model_path, padding_side="left")
model = AutoModelForCausalLM.from_pretrained(model_path, dtype="float32").eval()
prompts = tokenizer(rows["prompt"][: int(sequences)], return_tensors="pt", padding=True)
prompts.pop("token_type_ids", None)
settings = dict(do_sample=True, top_k=0, min_new_tokens=int(tokens), max_new_tokens=int(tokens))
for i in range(int(rounds)):
    start = time.perf_counter()
    with torch.inference_mode():
        output = model.generate(**prompts, **settings)
    seconds = time.perf_counter() - start
    made = output[:, prompts["input_ids"].shape[1] :].numel()
    read = int(prompts["attention_mask"].sum())
    print(json.dumps(dict(step=i + 1, ms=1000 * seconds, tokens=read + made)), flush=True)
