"""PyTorch's fused optimisers over the parameters of timm's and transformers' networks: the other side of bench/cuda_optimizers.ts.

    python bench/peers/cuda_optimizers.py [resnet50 vit_base gpt2 bert_base] [--turn FILE]

Milliseconds: between events around one call, of the host in that call, and of one of 30 that are sent without waiting.
"""
import os
import sys
import time

import torch

args = sys.argv[1:]
turn = args[args.index("--turn") + 1] if "--turn" in args else None
names = [a for a in args if a in ("resnet50", "vit_base", "gpt2", "bert_base")] or ["resnet50", "bert_base"]


def shapes(name):
    with torch.device("meta"):
        if name in ("gpt2", "bert_base"):
            import transformers

            model = transformers.GPT2LMHeadModel(transformers.GPT2Config()) if name == "gpt2" else transformers.BertForMaskedLM(transformers.BertConfig())
        else:
            import timm

            model = timm.create_model({"vit_base": "vit_base_patch16_224"}.get(name, name))
    return [tuple(p.shape) for p in model.parameters()]


def times(fn, calls=30):
    for _ in range(5):
        fn()
    torch.cuda.synchronize()
    device, host = [], []
    for _ in range(calls):
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record()
        start = time.perf_counter()
        fn()
        host.append((time.perf_counter() - start) * 1e3)
        b.record()
        b.synchronize()
        device.append(a.elapsed_time(b))
    rows = []
    for _ in range(5):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            fn()
        torch.cuda.synchronize()
        rows.append((time.perf_counter() - start) * 1e3 / calls)
    middle = lambda v: sorted(v)[len(v) // 2]
    return middle(device), middle(host), middle(rows)


jobs = []
for name in names:
    ps = [torch.nn.Parameter(torch.randn(s, device="cuda")) for s in shapes(name)]
    for p in ps:
        p.grad = torch.randn_like(p) * 1e-3

    def clip(ps=ps):
        torch.nn.utils.clip_grad_norm_(ps, 1.0)

    sgd = torch.optim.SGD(ps, lr=1e-4, momentum=0.9, fused=True)
    adamw = torch.optim.AdamW(ps, lr=1e-4, fused=True)
    scaler = torch.amp.GradScaler("cuda", init_scale=1.0)
    scaler.scale(torch.ones(1, device="cuda"))

    def clipped(ps=ps, adamw=adamw):
        torch.nn.utils.clip_grad_norm_(ps, 1.0)
        adamw.step()

    def scaled(adamw=adamw, scaler=scaler):
        scaler.step(adamw)
        scaler.update()

    jobs += [(name, len(ps), what, fn) for what, fn in (("SGD, momentum", sgd.step), ("AdamW", adamw.step), ("clip_grad_norm_", clip), ("AdamW, clipped", clipped), ("AdamW, GradScaler", scaled))]
torch.cuda.synchronize()
if turn is not None:
    open(turn + ".ready", "w").close()
    while not os.path.exists(turn):
        time.sleep(0.02)
for name, count, what, fn in jobs:
    ms, host, row = times(fn)
    print(f"{name:10s} {what:20s} {count} tensors  {ms:.3f} ms  host {host:.3f} ms  in a row {row:.3f} ms", flush=True)
