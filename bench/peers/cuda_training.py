"""The training steps of bench/cuda_training.ts in PyTorch: timm's and transformers' networks, bfloat16 autocast, dropout 0.

    python bench/peers/cuda_training.py eager,default resnet50 vit_base [--dump DIR] [--json FILE]

With --dump: weights, inputs, loss and float32 gradients as NAME.safetensors. Milliseconds are between events, medians of 30; each step is forward, loss and
backward, gradients dropped after it. Networks of convolutions have channels last.
"""
import json
import os
import sys
import time

import torch
import torch.nn.functional as F

TOKENS = {"gpt2": (4, 512, 50257), "bert_base": (16, 128, 30522)}


def build(name):
    torch.manual_seed(0)
    if name in TOKENS:
        import transformers

        batch, length, vocabulary = TOKENS[name]
        if name == "gpt2":
            config = transformers.GPT2Config(resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, use_cache=False)
            model = transformers.GPT2LMHeadModel(config)
        else:
            config = transformers.BertConfig(hidden_dropout_prob=0, attention_probs_dropout_prob=0)
            model = transformers.BertForMaskedLM(config)
        x = torch.randint(3, vocabulary, (batch, length), device="cuda")
        y = torch.randint(3, vocabulary, (batch * length,), device="cuda")
        model = model.cuda().train()
        return model, x, y, lambda m, a, b: F.cross_entropy(m(a).logits.view(-1, vocabulary), b)
    try:  # a torchvision built against another torch cannot load its native operators: timm needs none of them
        import torchvision  # noqa: F401
    except RuntimeError:
        for module in [m for m in sys.modules if m.startswith("torchvision")]:
            del sys.modules[module]
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import timm

    model = timm.create_model({"resnet50": "resnet50", "vit_base": "vit_base_patch16_224"}[name]).cuda().train()
    x = torch.randn(32, 3, 224, 224, device="cuda")
    y = torch.randint(0, 1000, (32,), device="cuda")
    if name == "resnet50":
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    return model, x, y, lambda m, a, b: F.cross_entropy(m(a), b)


def dump(name, folder):
    from safetensors.torch import save_file

    model, x, y, loss_of = build(name)
    state = {f"model.{k}": v.detach().clone().cpu().contiguous() for k, v in model.named_parameters()}
    for k, v in model.named_buffers():
        if name == "resnet50":
            state[f"model.{k}"] = v.detach().clone().cpu().contiguous()
    loss = loss_of(model, x, y)
    loss.backward()
    grads = {k: p.grad.detach().clone() for k, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        low = loss_of(model, x, y)
    low.backward()
    wrong = sum(float((p.grad.double() - grads[k].double()).square().sum()) for k, p in model.named_parameters() if k in grads)
    total = sum(float(g.double().square().sum()) for g in grads.values())
    print(f"{name}: loss {loss.item():.6f}, under autocast {low.item():.6f}, its gradients off by {(wrong / total) ** 0.5:.4f}", flush=True)
    state |= {f"grad.{k}": g.cpu().contiguous() for k, g in grads.items()}
    state |= {"x": x.cpu().contiguous(), "y": y.cpu(), "loss": loss.detach().cpu().reshape(1)}
    save_file(state, f"{folder}/{name}.part")
    os.rename(f"{folder}/{name}.part", f"{folder}/{name}.safetensors")


def prepare(name, mode, adamw):
    """A step that has run a few times, and what its first run took."""
    model, x, y, loss_of = build(name)
    run = model if mode == "eager" else torch.compile(model, mode=None if mode == "default" else mode)
    opt = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True) if adamw else None

    def step():
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = loss_of(run, x, y)
        loss.backward()
        if opt is not None:
            opt.step()
        model.zero_grad(set_to_none=True)

    begin = time.perf_counter()
    step()
    torch.cuda.synchronize()
    cold = time.perf_counter() - begin
    for _ in range(8):
        step()
    torch.cuda.synchronize()
    return step, cold


def measure(name, mode, adamw, step, cold):
    for _ in range(3):
        step()
    times = []
    for _ in range(30):
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record()
        step()
        b.record()
        b.synchronize()
        times.append(a.elapsed_time(b))
    row = dict(model=name, mode=mode, adamw=adamw, ms=sorted(times)[15], cold_s=cold)
    print(json.dumps(row), flush=True)
    return row


def wait_for(turn):
    """Timing waits for its turn where several programs compile side by side: the file `turn` appears."""
    if turn is None:
        return
    open(f"{turn}.ready", "w").close()
    while not os.path.exists(turn):
        time.sleep(0.02)


def main():
    args = sys.argv[1:]

    def take(flag):
        if flag not in args:
            return None
        at = args.index(flag)
        value = args[at + 1]
        del args[at:at + 2]
        return value

    folder, out, turn = take("--dump"), take("--json"), take("--turn")
    adamw = "--adamw" in args
    args = [a for a in args if not a.startswith("--")]
    modes, names = args[0].split(","), args[1:] or ["resnet50", "vit_base", "gpt2", "bert_base"]
    rows = []
    for name in names:
        if folder:
            dump(name, folder)
        steps = [(mode, *prepare(name, mode, adamw)) for mode in modes if mode != "none"]
        if steps:
            wait_for(turn)
        rows += [measure(name, mode, adamw, step, cold) for mode, step, cold in steps]
    if out:
        json.dump(rows, open(out, "w"))


main()
