"""Vectors of casts to 8-bit floats and of products of 8-bit numbers, by PyTorch 2.13 on the CPU: python make.py > vectors.json"""

import json
import torch

torch.manual_seed(0)
KINDS = {"float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2}


def texts(t):
    """Numbers as texts that say every bit of a float32, NaN and infinities too."""
    return [repr(v) for v in t.flatten().tolist()]


def casts():
    x = torch.cat([
        torch.randn(200) * torch.exp(torch.randn(200) * 4),
        torch.tensor([0.0, -0.0, float("inf"), -float("inf"), float("nan"), 448, 449, 464, 464.001, 480, 500, 57344, 61439,
                      61440, 65536, 1e30, 2**-9, 2**-10, 2**-10 * 1.0001, 2**-10 * 3, 2**-16, 2**-17, 2**-17 * 3, 1.0625, 1.1875, 1.125]),
    ])
    out = {"given": texts(x)}
    for name, dtype in KINDS.items():
        y = x.to(dtype)
        out[name] = {"bits": y.view(torch.uint8).tolist(), "back": texts(y.float())}
    return out


def scaled(m, k, n, a, b, rows, bias, result, scale_result):
    x, w = torch.randn(m, k).to(KINDS[a]), torch.randn(n, k).to(KINDS[b])
    sa = torch.rand(m, 1) if rows else torch.tensor(0.37)
    sb = torch.rand(1, n) if rows else torch.tensor(1.9)
    v = torch.randn(n).to(torch.bfloat16) if bias else None
    sr = torch.tensor(3.0) if scale_result else None
    dtype = getattr(torch, result)
    y = torch._scaled_mm(x, w.t(), sa, sb, bias=v, scale_result=sr, out_dtype=dtype)
    return {
        "shape": [m, k, n], "a": a, "b": b, "x": x.view(torch.uint8).flatten().tolist(), "w": w.view(torch.uint8).flatten().tolist(),
        "scaleA": texts(sa), "scaleB": texts(sb), "rows": rows, "bias": None if v is None else texts(v.float()),
        "scaleResult": scale_result and 3, "result": result, "expected": texts(y.float()),
    }


def integers(m, k, n):
    x, w = (torch.randint(-128, 128, s, dtype=torch.int8) for s in ((m, k), (k, n)))
    return {"shape": [m, k, n], "x": x.flatten().tolist(), "w": w.flatten().tolist(), "expected": torch._int_mm(x, w).flatten().tolist()}


E4, E5 = KINDS
print(json.dumps({
    "casts": casts(),
    "scaled": [
        scaled(4, 32, 16, E4, E4, False, False, "float32", False),
        scaled(4, 32, 16, E4, E4, False, True, "bfloat16", False),
        scaled(5, 48, 16, E5, E4, False, False, "float16", False),
        scaled(3, 16, 32, E4, E5, True, True, "bfloat16", False),
        scaled(4, 32, 16, E4, E4, True, False, "bfloat16", False),
        scaled(4, 32, 16, E4, E4, False, False, E4, True),
        scaled(4, 32, 16, E4, E4, False, False, E5, False),
    ],
    "integers": [integers(3, 4, 5), integers(17, 40, 24)],
}))
