"""The cases of bench/cuda_layers.ts in PyTorch (cuDNN with its search for the best engine, cuBLAS), replayed as CUDA graphs: milliseconds.

    deno run -A bench/cuda_layers.ts --list | python bench/peers/cuda_layers.py [--part I/N] [--turn FILE]

All are warmed first. With --turn FILE the script writes FILE.ready then, and times them when FILE is there.
"""
import json
import os
import sys
import time

import torch


def option(name, default):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


part, parts = map(int, option("--part", "0/1").split("/"))
turn = option("--turn", None)
cases = [json.loads(line) for line in sys.stdin if line.startswith("{")][part::parts]
torch.backends.cudnn.benchmark = True
ready = []
for case in cases:
    try:
        names = {"torch": torch}
        setup, call = case["python"]
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = case["tf32"]
        exec(setup, names)
        fn = eval("lambda: " + call, names)
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            for _ in range(2):
                fn()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(4):
                out = fn()
        ready.append((case, graph, fn, out))
    except Exception as e:
        print(f"{case['name']:<56} FAILED {str(e)[:160]!r}", flush=True)
if turn is not None:
    open(turn + ".ready", "w").close()
    while not os.path.exists(turn):
        time.sleep(0.02)
for case, graph, *_ in ready:
    for _ in range(2):
        graph.replay()
    times = []
    for _ in range(10):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 4)
    ms = sorted(times)[5]
    print(f"{case['name']:<56} {ms:8.4f} ms {case['flops'] / ms / 1e9:5.0f} TFLOP/s", flush=True)
