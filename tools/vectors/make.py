"""Generates operator vectors from op_db: make.py OUT SEED SHARD NSHARDS [OPNAMES]"""
import sys, json, random, hashlib, math, time, warnings, logging, struct, traceback
warnings.filterwarnings("ignore"); logging.disable(logging.CRITICAL)
import torch
torch.set_num_threads(1)
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils._pytree import tree_flatten, tree_unflatten, tree_map
from safetensors.torch import save_file
out, seed, shard, nshards = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
only = sys.argv[5].split(",") if len(sys.argv) > 5 else None
DT = [getattr(torch, n) for n in __import__("os").environ.get("DTYPES","float32,float16,bfloat16,int64,int32,uint8,bool").split(",")]
EXTRA = [torch.complex64, torch.float64] if "DTYPES" not in __import__("os").environ else []
OKDT = [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool, torch.complex64, torch.float64]
rng = random.Random(seed)
cases, tensors, seen, per = [], {}, set(), {}
LIMIT_S = 12
def enc(x, ins):
    if x is None: return None
    if isinstance(x, torch.Tensor):
        for i, t in enumerate(ins):
            if t is x: return {"tensor": i}
        ins.append(x); return {"tensor": len(ins) - 1}
    if isinstance(x, bool): return {"bool": x}
    if isinstance(x, int): return {"int": x}
    if isinstance(x, float): return {"float": repr(x)}
    if isinstance(x, str): return {"string": x}
    if isinstance(x, torch.dtype): return {"dtype": str(x).split(".")[1]}
    if isinstance(x, torch.device): return {"device": str(x)}
    if isinstance(x, torch.memory_format): return {"memory_format": str(x).split(".")[1]}
    if isinstance(x, torch.layout): return {"layout": str(x).split(".")[1]}
    if isinstance(x, (list, tuple)): return {"list": [enc(y, ins) for y in x]}
    raise TypeError(type(x))
def put(name, t):
    tensors[name] = t.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).clone()
    return {"data": name, "dtype": str(t.dtype).split(".")[1], "shape": list(t.shape), "stride": list(t.stride())}
def record(opname, target, args, kwargs):
    ins = []
    if target.name() in ("aten::item",): return
    try: a = [enc(x, ins) for x in args]; k = {n: enc(v, ins) for n, v in kwargs.items()}
    except TypeError: return
    if any(t.layout != torch.strided or t.is_quantized for t in ins): return
    if sum(t.numel() for t in ins) > 12000: return
    if any(t.dtype not in OKDT for t in ins): return
    key = json.dumps([str(target), a, k, [(str(t.dtype), list(t.shape), list(t.stride())) for t in ins]])
    if key in seen: return
    dk = (str(target), tuple(sorted({str(t.dtype) for t in ins})))
    if per.get(dk, 0) >= PER: return
    seen.add(key); 
    h = hashlib.sha1((key + str(seed)).encode()).hexdigest()[:12]
    pre = [t.detach().clone(memory_format=torch.preserve_format) if t.is_contiguous() else t.detach().clone() .as_strided(t.shape, t.stride()) if False else t.detach().clone() for t in ins]
    def call(sub):
        def s(x):
            return tree_map(lambda y: sub[next(i for i, t in enumerate(ins) if t is y)] if isinstance(y, torch.Tensor) else y, x)
        return target(*s(args), **s(kwargs))
    torch.manual_seed(0)
    res = call([t.detach().clone() if not target._schema.is_mutable else t.detach().clone() for t in ins])
    outs, _ = tree_flatten(res)
    if any(not isinstance(o, torch.Tensor) for o in outs): return
    if any(o.layout != torch.strided or o.dtype not in OKDT for o in outs): return
    if sum(o.numel() for o in outs) > 60000: return
    per[dk] = per.get(dk, 0) + 1
    grads = None
    f32 = [t.dtype == torch.float32 for t in ins]
    if any(f32) and not target._schema.is_mutable:
        leaves = [t.detach().clone().requires_grad_(f) for t, f in zip(ins, f32)]
        try:
            torch.manual_seed(0)
            torch.set_grad_enabled(True); os, _ = tree_flatten(call(leaves))
            use = [o for o in os if o.requires_grad and o.dtype == torch.float32]
            if use:
                loss = sum((o * torch.sin(torch.arange(1, o.numel() + 1, dtype=torch.float64)).to(torch.float32).reshape(o.shape)).sum() for o in use)
                gs = torch.autograd.grad(loss, [l for l in leaves if l.requires_grad], allow_unused=True)
                it = iter(gs); grads = [next(it) if l.requires_grad else None for l in leaves]
                if all(g is None for g in grads): grads = None
                elif any(g is not None and g.layout != torch.strided for g in grads): grads = None
        except Exception: grads = None
    c = {"id": h, "target": str(target), "args": a, "kwargs": k, "inputs": [dict(put(f"{h}.in{i}", t), stride=list(t.stride())) for i, t in enumerate(ins)],
         "outputs": [put(f"{h}.out{i}", t) for i, t in enumerate(outs)],
         "grads": None if grads is None else [None if g is None else put(f"{h}.g{i}", g) for i, g in enumerate(grads)]}
    cases.append(c)
class Rec(torch.fx.Interpreter):
    def __init__(s, gm, name): super().__init__(gm); s.name = name
    def call_function(s, target, args, kwargs):
        if isinstance(target, torch._ops.OpOverload):
            try: record(s.name, target, args, kwargs)
            except Exception as e: print("record", target, type(e).__name__, str(e)[:100], flush=True)
        return super().call_function(target, args, kwargs)
class M(torch.nn.Module):
    def __init__(s, f, spec, consts, slots): super().__init__(); s.f=f; s.spec=spec; s.consts=consts; s.slots=slots
    def forward(s, *ts):
        flat = list(s.consts)
        for i, t in zip(s.slots, ts): flat[i] = t
        a, k = tree_unflatten(flat, s.spec)
        return s.f(*a, **k)
PER = int(__import__("os").environ.get("PER","5"))
fails = {}
start = time.time()
ops = [o for o in op_db if (only is None or o.name in only)]
rng0 = random.Random(1); rng0.shuffle(ops)
for n, op in enumerate(ops):
    if n % nshards != shard: continue
    t0 = time.time()
    sup = op.supported_dtypes("cpu")
    for dt in DT + EXTRA:
        if dt not in sup: continue
        if time.time() - t0 > 60: break
        torch.manual_seed(seed)
        try: samples = list(op.sample_inputs("cpu", dt, requires_grad=False))
        except Exception as e: print("samples", op.name, dt, str(e)[:80]); continue
        rng.shuffle(samples)
        lim = {torch.float32: 8}.get(dt, 3 if dt not in EXTRA else 2)
        td = time.time()
        for s in samples[:lim]:
            if time.time() - td > LIMIT_S: break
            flat, spec = tree_flatten(((s.input, *s.args), s.kwargs))
            slots = [i for i, x in enumerate(flat) if isinstance(x, torch.Tensor)]
            ts = tuple(flat[i] for i in slots)
            if not ts or sum(t.numel() for t in ts) > 20000: continue
            f = op.op
            try:
                ep = torch.export.export(M(f, spec, [None if i in slots else x for i, x in enumerate(flat)], slots), ts, strict=False)
                gm = ep.module()
                with torch.no_grad(): Rec(gm, op.name).run(*ts)
            except Exception as e:
                fails.setdefault(op.name, str(e)[:100].replace("\n", " "))
    print(n, op.name, len(cases), round(time.time() - t0, 1), flush=True)
    if n // nshards % 20 == 0 or n + nshards >= len(ops):
        import os
        os.makedirs(out, exist_ok=True)
        save_file(tensors, f"{out}/tensors.safetensors"); open(f"{out}/cases.jsonl", "w").write("".join(json.dumps(c) + "\n" for c in cases))
os.makedirs(out, exist_ok=True)
save_file(tensors, f"{out}/tensors.safetensors"); open(f"{out}/cases.jsonl", "w").write("".join(json.dumps(c) + "\n" for c in cases))
json.dump(fails, open(f"{out}/fails.json", "w"), indent=1)
print("done", len(cases), time.time() - start)
