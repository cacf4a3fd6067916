"""Multiplies square f32 matrices with torch; prints a line of JSON for each round.

Usage: product.py SIDE ROUNDS
"""

import json
import sys
import time

import torch

side, rounds = int(sys.argv[1]), int(sys.argv[2])
a, b = torch.rand(side, side) - 0.5, torch.rand(side, side) - 0.5
for i in range(rounds):
    start = time.perf_counter()
    a @ b
    ms = 1000 * (time.perf_counter() - start)
    print(json.dumps(dict(step=i + 1, ms=ms)), flush=True)
