"""What PyTorch's autocast makes of operators: result dtypes by device and argument dtypes, as JSON on standard output.

    python tests/tensor/autocast/dtypes.py > tests/tensor/autocast/dtypes.json

Tensors of CUDA are fake, so that no device is needed. "error" stands for calls that PyTorch refuses.
"""
import contextlib
import json

import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

bf16, f32, f64 = torch.bfloat16, torch.float32, torch.float64

OPS = {
    "mm": lambda a, b: a.mm(b),
    "matmul": lambda a, b: a.matmul(b),
    "linear": lambda a, b: F.linear(a, b),
    "addmm": lambda a, b: torch.addmm(b, a, b),
    "bmm": lambda a, b: a.unsqueeze(0).bmm(b.unsqueeze(0)),
    "baddbmm": lambda a, b: torch.baddbmm(b.unsqueeze(0), a.unsqueeze(0), b.unsqueeze(0)),
    "mv": lambda a, b: a.mv(b.select(0, 0)),
    "dot": lambda a, b: a.select(0, 0).dot(b.select(0, 0)),
    "inner": lambda a, b: a.inner(b),
    "einsum": lambda a, b: torch.einsum("ij,jk->ik", a, b),
    "conv1d": lambda a, b: F.conv1d(a.view(1, 4, 4), b.view(4, 4, 1)),
    "conv2d": lambda a, b: F.conv2d(a.view(1, 4, 4, 1), b.view(4, 4, 1, 1)),
    "prelu": lambda a, b: F.prelu(a, b.select(0, 0)),
    "sdpa": lambda a, b: F.scaled_dot_product_attention(a.view(1, 1, 4, 4), b.view(1, 1, 4, 4), b.view(1, 1, 4, 4)),
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "addcmul": lambda a, b: torch.addcmul(a, b, b),
    "atan2": lambda a, b: torch.atan2(a, b),
    "cat": lambda a, b: torch.cat([a, b]),
    "stack": lambda a, b: torch.stack([a, b]),
    "exp": lambda a, b: a.exp(),
    "log": lambda a, b: a.log(),
    "rsqrt": lambda a, b: a.rsqrt(),
    "sqrt": lambda a, b: a.sqrt(),
    "tanh": lambda a, b: a.tanh(),
    "gelu": lambda a, b: F.gelu(a),
    "relu": lambda a, b: a.relu(),
    "softplus": lambda a, b: F.softplus(a),
    "pow": lambda a, b: a.pow(2),
    "square": lambda a, b: a.square(),
    "softmax": lambda a, b: a.softmax(1),
    "log_softmax": lambda a, b: a.log_softmax(1),
    "logsumexp": lambda a, b: a.logsumexp(1),
    "sum": lambda a, b: a.sum(),
    "sum_dim": lambda a, b: a.sum(1),
    "sum_bf16": lambda a, b: a.sum(1, dtype=bf16),
    "mean": lambda a, b: a.mean(),
    "prod": lambda a, b: a.prod(),
    "cumsum": lambda a, b: a.cumsum(1),
    "amax": lambda a, b: a.amax(1),
    "mse_loss": lambda a, b: F.mse_loss(a, b),
    "l1_loss": lambda a, b: F.l1_loss(a, b),
    "cross_entropy": lambda a, b: F.cross_entropy(a, a.new_zeros([4], dtype=torch.int64)),
    "nll_loss": lambda a, b: F.nll_loss(a, a.new_zeros([4], dtype=torch.int64)),
    "bce_with_logits": lambda a, b: F.binary_cross_entropy_with_logits(a, b),
    "bce": lambda a, b: F.binary_cross_entropy(a, b),
    "layer_norm": lambda a, b: F.layer_norm(a, [4], b.select(0, 0), b.select(0, 1)),
    "group_norm": lambda a, b: F.group_norm(a, 2, b.select(0, 0), b.select(0, 1)),
    "batch_norm": lambda a, b: F.batch_norm(a, None, None, b.select(0, 0), b.select(0, 1), True),
    "cosine_similarity": lambda a, b: F.cosine_similarity(a, b),
    "cdist": lambda a, b: torch.cdist(a, b),
    "exp_": lambda a, b: a.clone().exp_(),
    "embedding": lambda a, b: F.embedding(a.new_zeros([2], dtype=torch.int64), a),
}


def main():
    rows = {}
    torch.set_autocast_dtype("cuda", bf16)
    torch.set_autocast_dtype("cpu", bf16)
    for device in ("cpu", "cuda"):
        with FakeTensorMode() if device == "cuda" else contextlib.nullcontext():
            torch.set_autocast_enabled("cpu", True)
            torch.set_autocast_enabled("cuda", True)
            for a, b in ((f32, f32), (f32, bf16), (bf16, f32), (bf16, bf16), (f64, f64)):
                for name, call in OPS.items():
                    x, y = (torch.zeros(4, 4, dtype=t, device=device) for t in (a, b))
                    try:
                        result = str(call(x, y).dtype).removeprefix("torch.")
                    except Exception:
                        result = "error"
                    key = f"{device} {name}"
                    pair = ",".join(str(t).removeprefix("torch.") for t in (a, b))
                    rows.setdefault(key, {})[pair] = result
            torch.set_autocast_enabled("cpu", False)
            torch.set_autocast_enabled("cuda", False)
    print("{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in rows.items()) + "\n}")


main()
