"""Convolutions in PyTorch eager, called from a benchmark that takes turns with them.

Reads lines of JSON: {"input": […], "weight": […], "options": {…}, "transposed": bool, "grad": bool} prepares a layer, a number runs it for that many
milliseconds; answers each line with one of JSON: the fastest call in milliseconds.
"""
import argparse
import json
import sys
import time

import torch
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--cpu", action="store_true", help="count processor time")
options = parser.parse_args()
torch.set_num_threads(options.threads)
torch.manual_seed(1)
clock = time.process_time if options.cpu else time.perf_counter
call = None


def prepare(case):
    x = torch.randn(case["input"])
    w = torch.randn(case["weight"]) * 0.05
    rank = len(case["weight"]) - 2
    geometry = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **case["options"]}
    stride, padding, dilation = ([geometry[k]] * rank for k in ("stride", "padding", "dilation"))
    if case.get("transposed"):
        b = torch.randn(case["weight"][1])
        return lambda: F.conv_transpose2d(x, w, b, stride, padding, groups=geometry["groups"], dilation=dilation)
    b = torch.randn(case["weight"][0])
    forward = lambda: torch.convolution(x, w, b, stride, padding, dilation, False, [0] * rank, geometry["groups"])
    if not case.get("grad"):
        return forward
    g = torch.randn_like(forward())
    return lambda: torch.ops.aten.convolution_backward(
        g, x, w, [b.numel()], stride, padding, dilation, False, [0] * rank, geometry["groups"], [True, True, True]
    )


with torch.no_grad():
    for line in sys.stdin:
        message = json.loads(line)
        if isinstance(message, dict):
            call = prepare(message)
            call()
            print(json.dumps(0), flush=True)
            continue
        best, until = float("inf"), time.perf_counter() + message / 1e3
        while True:
            start = clock()
            call()
            best = min(best, clock() - start)
            if time.perf_counter() > until:
                break
        print(json.dumps(best * 1e3), flush=True)
