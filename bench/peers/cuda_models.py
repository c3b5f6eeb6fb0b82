"""The models of bench/cuda_models.ts in PyTorch: eager and compiled, device milliseconds by events.

Given a file, all is compiled first; then FILE.ready is made, and timing waits until the file is there."""
import os
import sys
import time
import torch
import torch.nn as nn
import torch.nn.functional as F

L, D, H, V, B, T = 12, 768, 12, 50304, 8, 256


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.n1, self.a, self.o = nn.LayerNorm(D), nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.n2, self.u, self.d = nn.LayerNorm(D), nn.Linear(D, 4 * D), nn.Linear(4 * D, D)

    def forward(self, x):
        q, k, v = (t.view(B, T, H, D // H).transpose(1, 2) for t in self.a(self.n1(x)).chunk(3, 2))
        y = x + self.o(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B, T, D))
        return y + self.d(F.gelu(self.u(self.n2(y)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.t, self.p = nn.Embedding(V, D), nn.Embedding(T, D)
        self.b, self.n, self.h = nn.ModuleList(Block() for _ in range(L)), nn.LayerNorm(D), nn.Linear(D, V, bias=False)

    def forward(self, x):
        x = self.t(x) + self.p.weight
        for b in self.b:
            x = b(x)
        return self.h(self.n(x))


prepared = []


def measure(name, call, calls, context=torch.enable_grad):
    """Compiles and warms up now, times later."""
    with context():
        begin = time.perf_counter()
        call()
        torch.cuda.synchronize()
        cold = time.perf_counter() - begin
        for _ in range(4):
            call()
        torch.cuda.synchronize()
    prepared.append((name, call, calls, context, cold))


def timed(name, call, calls, context, cold):
    times = []
    with context():
        for _ in range(calls):
            a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            a.record()
            call()
            b.record()
            b.synchronize()
            times.append(a.elapsed_time(b))
    print(f"PyTorch {torch.__version__}, {name}: {sorted(times)[len(times) // 2]:.3f} ms, first call {cold * 1000:.0f} ms", flush=True)


torch.manual_seed(0)
model = Gpt().cuda().bfloat16()
x = torch.randint(0, V, (B, T), device="cuda")
y = torch.randint(0, V, (B * T,), device="cuda")
measure("GPT-2 inference, eager", lambda: model(x), 20, torch.no_grad)
fast = torch.compile(model, mode="reduce-overhead")
measure("GPT-2 inference, reduce-overhead", lambda: fast(x), 20, torch.no_grad)
opt = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
loss_of = lambda: F.cross_entropy(model(x).view(-1, V), y)
compiled = torch.compile(loss_of)


def step(loss):
    loss().backward()
    opt.step()
    opt.zero_grad()


measure("GPT-2 training step, eager", lambda: step(loss_of), 20)
measure("GPT-2 training step, compiled", lambda: step(compiled), 20)
if len(sys.argv) > 1:
    open(sys.argv[1] + ".ready", "w").close()
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.02)
for one in prepared:
    timed(*one)
