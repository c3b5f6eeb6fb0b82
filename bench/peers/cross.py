"""Normalisations' gradients and cross entropy in PyTorch eager. Prints one JSON object: milliseconds by name and shape.

    python bench/peers/cross.py --threads 2 --seconds 1
"""
import argparse
import json
import time

import torch
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--seconds", type=float, default=0.5)
options = parser.parse_args()
torch.set_num_threads(options.threads)
torch.manual_seed(1)


def fastest(fn):
    fn()
    times = []
    until = time.perf_counter() + options.seconds
    while True:
        start = time.perf_counter()
        fn()
        times.append(time.perf_counter() - start)
        if time.perf_counter() > until:
            break
    return min(times) * 1e3


out = {}
for r, c in [(8192, 768), (1024, 32000)]:
    shape = f"[{r}, {c}]"
    dy, x = torch.randn(r, c), torch.randn(r, c)
    w, b = torch.randn(c), torch.randn(c)
    mean, inverse = torch.zeros(r, 1), torch.randn(r, 1).abs()
    out[f"layer norm backward {shape}"] = fastest(
        lambda: torch.ops.aten.native_layer_norm_backward(dy, x, [c], mean, inverse, w, b, [True, True, True])
    )
    xg, wg = x.clone().requires_grad_(), w.clone().requires_grad_()
    y = F.rms_norm(xg, [c], wg, 1e-6)
    out[f"RMS norm backward {shape}"] = fastest(lambda: torch.autograd.grad(y, [xg, wg], dy, retain_graph=True))
    del y
    t = torch.randint(0, c, (r,))
    with torch.no_grad():
        out[f"cross entropy {shape}"] = fastest(lambda: F.cross_entropy(x, t))
    out[f"cross entropy, with gradient {shape}"] = fastest(
        lambda: torch.autograd.grad(F.cross_entropy(xg, t), [xg])
    )
print(json.dumps(out))
