# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stands in for tools/peers/bench_torch.py: every answer is one second, so that nerv-bench's ratios are 1 / its own seconds.

Says what it was started with in its first line, as the real peer says its versions.
"""
import json
import sys

print(json.dumps({"arguments": sys.argv[1:]}), flush=True)
for line in sys.stdin:
    words = line.split()
    if not words or words[0] == "quit":
        break
    if words[0] not in ("train", "decode", "conv_forward", "conv_dx", "conv_dw"):
        sys.exit("unknown question: " + line)
    print(json.dumps({"seconds": 1.0}), flush=True)
