"""Single operators on 16 Mi float32 elements in PyTorch eager, results in memory that exists already where the operator takes an `out`.

    python bench/peers/operators.py --threads 2 [--cpu] NAME ...

Names are those of bench/operators.ts. Prints one JSON object: milliseconds by name, the fastest of the rounds by the wall, or with --cpu the median of
the processor time of all threads together.
"""
import argparse
import json
import os
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
import torch
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=12)
parser.add_argument("--cpu", action="store_true")
parser.add_argument("names", nargs="*")
options = parser.parse_args()
torch.set_num_threads(options.threads)
SIDE = 4096

index = torch.arange(SIDE * SIDE, dtype=torch.int64) * 2654435761 % 4294967296
x = (0.05 + 0.9 * (index.double() / 4294967296)).float().view(SIDE, SIDE)
y = x.flatten().flip(0).view(SIDE, SIDE).contiguous()
out = torch.zeros(SIDE, SIDE)
del index

UNARY = """abs acos acosh asin asinh atan atanh ceil cos cosh deg2rad digamma erf erfc erfinv exp exp2 expm1 floor frac i0 lgamma log log10 log1p log2 logit
nan_to_num neg reciprocal round rsqrt sigmoid sign sin sinc sinh sqrt square tan tanh trunc""".split()
BINARY = "add sub mul div maximum minimum fmax fmin pow atan2 fmod remainder hypot copysign logaddexp xlogy nextafter".split()
RUN = {name: (lambda f: lambda: f(x, out=out))(getattr(torch, name)) for name in UNARY}
RUN |= {name: (lambda f: lambda: f(x, y, out=out))(getattr(torch, name)) for name in BINARY}
RUN |= {
    "selu": lambda: F.selu(x),
    "mish": lambda: F.mish(x),
    "gelu": lambda: torch._C._nn.gelu(x, out=out),
    "gelu tanh": lambda: torch._C._nn.gelu(x, approximate="tanh", out=out),
    "softplus": lambda: torch._C._nn.softplus(x, out=out),
    "log_sigmoid": lambda: torch._C._nn.log_sigmoid(x, out=out),
    "pow 2.5": lambda: torch.pow(x, 2.5, out=out),
    "transpose copy": lambda: out.copy_(x.t()),
    "argmax of all": lambda: x.argmax(),
    "std of all": lambda: x.std(),
    "softmax of rows": lambda: torch.softmax(x, 1, out=out),
    "softmax of columns": lambda: torch.softmax(x, 0, out=out),
    "log_softmax of rows": lambda: torch.log_softmax(x, 1, out=out),
    "cumsum of rows": lambda: torch.cumsum(x, 1, out=out),
    "cumsum of columns": lambda: torch.cumsum(x, 0, out=out),
    "logcumsumexp of rows": lambda: torch.logcumsumexp(x, 1, out=out),
    "cummax of rows": lambda: torch.cummax(x, 1),
}
for label, dim in (("rows", 1), ("columns", 0)):
    RUN |= {
        f"{name} of {label}": (lambda f, d: lambda: f(x, d))(getattr(torch, name), dim)
        for name in ("sum", "mean", "amax", "amin", "prod", "logsumexp", "var", "argmax", "any", "count_nonzero")
    }


def measured(fn):
    fn()
    clock = time.process_time if options.cpu else time.perf_counter
    times = []
    for _ in range(options.rounds):
        start = clock()
        fn()
        times.append((clock() - start) * 1e3)
    return sorted(times)[len(times) // 2] if options.cpu else min(times)


asked = [name for name in RUN if not options.names or name in options.names or name.split(" ")[0] in options.names]
with torch.no_grad():
    print(json.dumps({name: measured(RUN[name]) for name in asked}))
