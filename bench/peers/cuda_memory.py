"""The functions of bench/cuda_memory_cases.ts through torch.compile, replayed as CUDA graphs: milliseconds, and as a fraction of a copy of as many bytes.

    python bench/peers/cuda_memory.py [FILTER ...] [--part I/N] [--turn FILE]

All are compiled first, for --within SECONDS at most. With --turn FILE the script writes FILE.ready then, and times them when FILE is there.
"""
import os
import sys
import time

began = time.time()
import torch
import torch.nn.functional as F

args = sys.argv[1:]


def option(name, default):
    return args[args.index(name) + 1] if name in args else default


turn = option("--turn", None)
within = float(option("--within", "1e9"))
part, parts = map(int, option("--part", "0/1").split("/"))
filters = [a for i, a in enumerate(args) if not a.startswith("--") and (i == 0 or args[i - 1] not in ("--turn", "--part", "--within"))]
f32, bf16, f16 = torch.float32, torch.bfloat16, torch.float16
SHORT = {f32: "f32", bf16: "bf16", f16: "f16"}
cases = []
# One text serves many sizes.
torch._dynamo.config.recompile_limit = 200


def r(*shape, dtype=f32):
    return lambda: torch.randn(*shape, device="cuda").to(dtype)


def ints(top, *shape):
    return lambda: torch.randint(0, top, shape, device="cuda")


def mask(*shape):
    return lambda: torch.rand(*shape, device="cuda") > 0.5


def last(n, c, side):
    return lambda: torch.randn(n, c, side, side, device="cuda").to(bf16).to(memory_format=torch.channels_last)


def add(name, inputs, fn, moved=None):
    cases.append((name, inputs, fn, moved))


def rms(x, w):
    return x * torch.rsqrt((x * x).mean(1, keepdim=True) + 1e-6) * w


def rows_of(dtype, n, c, what=("softmax", "layer norm", "rms norm")):
    size = f"{SHORT[dtype]} {n}x{c}"
    x, w = r(n, c, dtype=dtype), r(c, dtype=dtype)
    if "softmax" in what:
        add(f"softmax {size}", [x], lambda x: F.softmax(x, 1))
    if "layer norm" in what:
        add(f"layer norm {size}", [x, w, w], lambda x, w, b: F.layer_norm(x, (c,), w, b))
    if "rms norm" in what:
        add(f"rms norm {size}", [x, w], rms)


def layer_norm_gradient(x, w, b, d):
    kept = x.dtype
    x, w, d = x.float(), w.float(), d.float()
    rstd = torch.rsqrt(x.var(1, keepdim=True, unbiased=False) + 1e-5)
    h = (x - x.mean(1, keepdim=True)) * rstd
    dh = d * w
    g = rstd * (dh - dh.mean(1, keepdim=True) - h * (dh * h).mean(1, keepdim=True))
    return g.to(kept), (d * h).sum(0).to(kept), d.sum(0).to(kept)


def rms_gradient(x, w, d):
    x, w, d = x.float(), w.float(), d.float()
    s = torch.rsqrt((x * x).mean(1, keepdim=True) + 1e-6)
    h = x * s
    dh = d * w
    return (s * (dh - h * (dh * h).mean(1, keepdim=True))).to(bf16), (d * h).sum(0).to(bf16)


def gelu_gradient(x, d):
    y, e = x.float(), d.float()
    g = e * (0.5 * (1 + torch.erf(y * 0.70710678)) + y * torch.exp(-0.5 * y * y) * 0.39894228)
    return g.to(bf16), g.sum(0).to(bf16)


def rotary(q, cos, sin):
    return q * cos + torch.cat((-q[..., 64:], q[..., :64]), -1) * sin


def adamw(p, g, m, v):
    m2 = m * 0.9 + g * 0.1
    v2 = v.abs() * 0.999 + g * g * 0.001
    return p * 0.99 - m2 / (v2.sqrt() + 1e-8) * 1e-3, m2, v2


def swiglu_gradient(x, d):
    a, b = x[:, :4096].float(), x[:, 4096:].float()
    e = d.float()
    s = torch.sigmoid(a)
    return torch.cat((e * b * s * (1 + a * (1 - s)), e * a * s), 1).to(bf16)


for dtype in (f32, bf16):
    s = SHORT[dtype]
    add(f"copy+1 {s} 2^27", [r(1 << 27, dtype=dtype)], lambda x: x + 1)
    add(f"gelu(x)*x {s} 16384x4096", [r(16384, 4096, dtype=dtype)], lambda x: F.gelu(x) * x)
    for n, c in ((16384, 4096), (65536, 1024), (4096, 32768), (32768, 257)):
        rows_of(dtype, n, c, ("softmax",))
    rows_of(dtype, 16384, 4096, ("layer norm", "rms norm"))
    add(f"sum rows {s} 16384x8192", [r(16384, 8192, dtype=dtype)], lambda x: x.sum(1))
    for n, c in ((16384, 8192), (65536, 768)):
        add(f"sum columns {s} {n}x{c}", [r(n, c, dtype=dtype)], lambda x: x.sum(0))
    add(f"sum all {s} 2^27", [r(1 << 27, dtype=dtype)], lambda x: x.sum())
    add(f"transpose {s} 8192x8192", [r(8192, 8192, dtype=dtype)], lambda x: (x.t() + 1).contiguous())
for dtype in (f32, bf16):
    size = f"{SHORT[dtype]} 8192x50257"
    x, y = r(8192, 50257, dtype=dtype), ints(1000, 8192)
    add(f"cross entropy {size}", [x, y], F.cross_entropy)
    add(f"cross entropy gradient {size}", [x, y], torch.func.grad(F.cross_entropy))
for n, c, dtype in ((16384, 4096, f32), (65536, 768, f32), (65536, 768, bf16), (16384, 4096, bf16), (32768, 1024, bf16)):
    x, w = r(n, c, dtype=dtype), r(c, dtype=dtype)
    add(f"layer norm gradient {SHORT[dtype]} {n}x{c}", [x, w, w, x], layer_norm_gradient)
big = r(16384, 4096, dtype=bf16)
add("rms norm gradient bf16 16384x4096", [big, r(4096, dtype=bf16), big], rms_gradient)
add("softmax gradient bf16 16384x4096", [big, big], lambda y, d: torch.ops.aten._softmax_backward_data(d, y, 1, bf16))
add("gelu gradient and sum bf16 25216x3072", [r(25216, 3072, dtype=bf16)] * 2, gelu_gradient)
add("rotary bf16 8x32x2048x128", [r(8, 32, 2048, 128, dtype=bf16)] + [r(2048, 128, dtype=bf16)] * 2, rotary)
add("cumsum f32 8192x8192", [r(8192, 8192)], lambda x: x.cumsum(1))
add("adamw f32 2^26", [r(1 << 26)] * 4, adamw)
for n, c in ((65536, 768), (32768, 1000), (32768, 1024), (16384, 2048), (8192, 5120), (8192, 8192), (1024, 50257)):
    rows_of(bf16, n, c)
    if c not in (1024, 2048):
        rows_of(f32, n, c)
rows_of(f16, 32768, 1000)
rows_of(f16, 16384, 2048)
add("bias and gelu bf16 16384x4096", [big, r(4096, dtype=bf16)], lambda x, b: F.gelu(x + b))
add("scale of rows bf16 16384x4096", [big, r(16384, 1, dtype=bf16)], lambda x, b: F.silu(x) * b)
add("where of a mask bf16 16384x4096", [big, mask(16384, 4096)], lambda x, m: torch.where(m, x * 2, -x))
add("compare bf16 16384x4096", [big], lambda x: x > 0)
add("dropout gradient bf16 16384x4096", [big, mask(16384, 4096)], lambda d, m: d * m * 1.25)
add("cast f32 to bf16 2^27", [r(1 << 27)], lambda x: x.to(bf16))
add("cast bf16 to f32 2^27", [r(1 << 27, dtype=bf16)], lambda x: x.to(f32))
add("dequantise i8 16384x4096", [lambda: torch.randint(-100, 100, (16384, 4096), device="cuda", dtype=torch.int8), r(4096, dtype=bf16)], lambda x, w: x.to(bf16) * w)
add("quantise to i8 bf16 16384x4096", [big], lambda x: (x * 32).round().clamp(-127, 127).to(torch.int8))
add("swiglu bf16 16384x8192", [r(16384, 8192, dtype=bf16)], lambda x: F.silu(x[:, :4096]) * x[:, 4096:])
add("swiglu gradient bf16 16384x8192", [r(16384, 8192, dtype=bf16), big], swiglu_gradient)
add("embedding bf16 32768 of 50257x1024", [r(50257, 1024, dtype=bf16), ints(50257, 32768)], lambda w, i: F.embedding(i, w), 32768 * (2 * 2048 + 8))
add("embedding gradient f32 32768 of 50257x1024", [r(32768, 1024), ints(50257, 32768)], lambda d, i: torch.ops.aten.embedding_dense_backward(d, i, 50257, -1, False), 32768 * 4104 + 50257 * 4096)
add("cat of columns bf16 16384x4096", [big, r(16384, 2048, dtype=bf16)], lambda x, y: torch.cat((x, y), 1))
images = r(128, 64, 56, 56, dtype=bf16)
add("pad bf16 128x64x56x56", [images], lambda x: F.pad(x, (1, 1, 1, 1)))
add("roll bf16 128x56x56x96", [r(128, 56, 56, 96, dtype=bf16)], lambda x: x.roll((-3, -3), (1, 2)))
add("channels last bf16 128x64x56x56", [images], lambda x: x.permute(0, 2, 3, 1).contiguous())
add("heads bf16 16x1024x16x64", [r(16, 1024, 16, 64, dtype=bf16)], lambda x: x.transpose(1, 2).contiguous())
add("group norm bf16 32x128x64x64", [r(32, 128, 64, 64, dtype=bf16)] + [r(128, dtype=bf16)] * 2, lambda x, w, b: F.group_norm(x, 32, w, b))
add("group norm bf16 32x64x64x128 (channels last)", [last(32, 128, 64)] + [r(128, dtype=bf16)] * 2, lambda x, w, b: F.group_norm(x, 32, w, b))
for n, side, c in ((32, 112, 64), (32, 56, 256)):
    name = f"bf16 {n}x{side}x{side}x{c} (channels last)"
    add(f"batch norm {name}", [last(n, c, side), r(c), r(c)], lambda x, w, b: torch.ops.aten.native_batch_norm(x, w, b, None, None, True, 0.1, 1e-5))
    add(
        f"batch norm gradient {name}",
        [last(n, c, side), last(n, c, side), r(c), r(c), r(c)],
        lambda x, d, w, m, s: torch.ops.aten.native_batch_norm_backward(d, x, w, None, None, m, s, True, 1e-5, [True] * 3),
    )


CALLS = 5
# Bytes that no cache keeps from one call to the next: with fewer, calls take other tensors by turns.
COLD = 256 << 20


def sets_for(total):
    return min(CALLS, -(-COLD // max(1, total)))


def graph_of(fn, sets):
    """Calls as one graph, of the sets by turns; the results of as many live at a time."""
    graph = torch.cuda.CUDAGraph()
    outs = [None] * len(sets)
    with torch.cuda.graph(graph):
        for i in range(CALLS):
            outs[i % len(sets)] = fn(*sets[i % len(sets)])
    return graph, outs


def time_of(graph, rounds=12):
    times = []
    for i in range(rounds + 2):
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record()
        graph.replay()
        b.record()
        b.synchronize()
        times.append(a.elapsed_time(b) / CALLS)
    return sorted(times[2:])[rounds // 2]


def bytes_of(ts):
    return sum(t.numel() * t.element_size() for t in ts if isinstance(t, torch.Tensor))


wanted = [c for c in cases if not filters or any(f in c[0] for f in filters)]
ready = []
print(f"part {part}: torch is there after {time.time() - began:.1f} s", flush=True)
for i, (name, inputs, fn, moved) in enumerate(wanted):
    if i % parts != part:
        continue
    try:
        own = [make() for make in inputs]
        compiled = torch.compile(fn, dynamic=False)
        compiled(*own)
        torch.cuda.synchronize()
        ready.append((name, inputs, compiled, moved))
    except Exception as e:
        print(f"{name:62s} FAILED {repr(e)[:200]}", flush=True)
    own = compiled = None
    torch.cuda.empty_cache()
    if time.time() - began > within:
        break
print(f"part {part}: compiled {len(ready)} in {time.time() - began:.1f} s", flush=True)
if turn is not None:
    open(turn + ".ready", "w").close()
    while not os.path.exists(turn):
        time.sleep(0.02)
for name, inputs, compiled, moved in ready:
    try:
        sets = [[make() for make in inputs]]
        result = compiled(*sets[0])
        outs = result if isinstance(result, (list, tuple)) else [result]
        total = moved if moved is not None else bytes_of(sets[0]) + bytes_of(outs)
        sets += [[make() for make in inputs] for _ in range(sets_for(total) - 1)]
        del result, outs
        torch.cuda.synchronize()
        graph, outs = graph_of(compiled, sets)
        ms = time_of(graph)
        del graph, outs, sets
        torch.cuda.empty_cache()
        pairs = [[torch.empty(total // 32 * 16, dtype=torch.uint8, device="cuda") for _ in range(2)] for _ in range(sets_for(total))]
        copies, _ = graph_of(lambda x, y: y.copy_(x), pairs)
        copy = time_of(copies)
        del copies, _, pairs
        print(f"{name:62s} {ms:8.4f} ms {total / ms / 1e6:6.0f} GB/s {100 * copy / ms:4.0f} % of a copy", flush=True)
    except Exception as e:
        print(f"{name:62s} FAILED {repr(e)[:200]}", flush=True)
