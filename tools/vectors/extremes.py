"""Calls of PyTorch's pointwise operators on extreme numbers: extremes.py OUT

Unary ones on every number of a list, those of two or three tensors on all pairs; in float32, float64, both half types and three integer types. Signed zeros, infinities, NaN, the
smallest and largest numbers, and places where usual formulas cancel or overflow.
"""
import sys, warnings
warnings.filterwarnings("ignore")
import torch
from calls import Folder, isolated

torch.set_num_threads(1)
NUMBERS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 3.0, -7.0, 0.1, -0.1, 0.99, 1.01, 1e-3, -1e-3, 1e-7, -1e-7, 1e-20, -1e-20, 1e-37, 20.0, -20.0, 88.0, -87.0, 89.0,
           -104.0, 1e4, -1e4, 16777217.0, 1e10, -1e10, 1e20, 3e38, -3e38, float("inf"), float("-inf"), float("nan")]
PAIRS = [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, -2.5, 1e-20, -1e20, 1e30, float("inf"), float("-inf"), float("nan")]
SKIP = {"rrelu_with_noise", "bernoulli", "normal", "_log_softmax_backward_data", "special_zeta", "polygamma"}
folder = Folder(sys.argv[1], 0)
by_type = {torch.int64: [0, 1, -1, 2, -2, 3, 7, -7, 2**31, 2**53 + 1, 2**63 - 1, -2**63], torch.int32: [0, 1, -1, 2, -2, 3, 7, -7, 2**31 - 1, -2**31], torch.uint8: [0, 1, 2, 3, 7, 127, 128, 255],
           torch.bool: [True, False], **{d: NUMBERS for d in (torch.float32, torch.float64, torch.float16, torch.bfloat16)}}


def numbers(dtype, count):
    values = PAIRS if dtype.is_floating_point and count > 1 else by_type[dtype]
    return torch.tensor(values, dtype=torch.float64).to(dtype) if dtype.is_floating_point else torch.tensor(values, dtype=dtype)


def arguments(schema, dtype):
    """Tensors for the tensor arguments, in all combinations; None if the operator takes something else."""
    needed = [a for a in schema.arguments if not a.has_default_value()]
    kinds = [str(a.type) for a in needed]
    if any(k not in ("Tensor", "number") for k in kinds) or any(a.kwarg_only for a in needed): return None
    count = kinds.count("Tensor")
    if count == 0 or count > 2: return None
    grid = torch.meshgrid(*[numbers(dtype, count)] * count, indexing="ij")
    tensors = iter(t.reshape(-1).contiguous().clone() for t in grid)
    return [[next(tensors) if k == "Tensor" else None for k in kinds], kinds]


def calls(operator, schema):
    """Records the operator on all dtypes."""
    for dtype in by_type:
        made = arguments(schema, dtype)
        if made is None: return
        args, kinds = made
        for scalar in [-0.0, 2, -1.5] if "number" in kinds else [None]:
            if isinstance(scalar, float) and not dtype.is_floating_point: continue
            try: folder.call(operator, [scalar if a is None else a for a in args], {})
            except Exception: pass
            yield


for packet in sorted({s.name[6:] for s in torch._C._jit_get_all_schemas() if s.name.startswith("aten::")}):
    found = getattr(torch.ops.aten, packet, None)
    if packet in SKIP or not hasattr(found, "overloads"): continue
    for kind in found.overloads():
        operator = getattr(found, kind)
        schema = operator._schema
        if torch.Tag.pointwise not in operator.tags or schema.is_mutable or "out" in kind or torch.Tag.nondeterministic_seeded in operator.tags: continue
        isolated([folder], lambda: calls(operator, schema))
folder.save()
print(len(folder.cases), "cases of", len({c["target"] for c in folder.cases}), "operators")
