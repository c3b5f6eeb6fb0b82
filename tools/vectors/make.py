"""Generates operator vectors from op_db: make.py OUT SEED SHARD NSHARDS [OPNAMES]"""
import json, logging, os, random, sys, time, warnings
warnings.filterwarnings("ignore"); logging.disable(logging.CRITICAL)
import torch
torch.set_num_threads(1)
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils._pytree import tree_flatten, tree_unflatten
from calls import DTYPES as NAMES, Folder
out, seed, shard, nshards = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
only = sys.argv[5].split(",") if len(sys.argv) > 5 else None
DT = [getattr(torch, n) for n in os.environ.get("DTYPES","float32,float16,bfloat16,int64,int32,uint8,bool").split(",")]
EXTRA = [torch.complex64, torch.float64] if "DTYPES" not in os.environ else []
PER = int(os.environ.get("PER","5"))
rng = random.Random(seed)
folder, per = Folder(out, seed), {}
LIMIT_S = 12
def record(target, args, kwargs):
    if target.name() in ("aten::item",): return
    kinds = []
    def rare(ins):
        kinds.append((str(target), tuple(sorted({NAMES[t.dtype] for t in ins}))))
        return per.get(kinds[0], 0) < PER
    try:
        if folder.call(target, args, kwargs, rare): per[kinds[0]] = per.get(kinds[0], 0) + 1
    except TypeError: return
class Rec(torch.fx.Interpreter):
    def call_function(s, target, args, kwargs):
        if isinstance(target, torch._ops.OpOverload):
            try: record(target, args, kwargs)
            except Exception as e: print("record", target, type(e).__name__, str(e)[:100], flush=True)
        return super().call_function(target, args, kwargs)
class M(torch.nn.Module):
    def __init__(s, f, spec, consts, slots): super().__init__(); s.f=f; s.spec=spec; s.consts=consts; s.slots=slots
    def forward(s, *ts):
        flat = list(s.consts)
        for i, t in zip(s.slots, ts): flat[i] = t
        a, k = tree_unflatten(flat, s.spec)
        return s.f(*a, **k)
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
                with torch.no_grad(): Rec(gm).run(*ts)
            except Exception as e:
                fails.setdefault(op.name, str(e)[:100].replace("\n", " "))
    print(n, op.name, len(folder.cases), round(time.time() - t0, 1), flush=True)
    if n // nshards % 20 == 0: folder.save()
folder.save()
json.dump(fails, open(f"{out}/fails.json", "w"), indent=1)
print("done", len(folder.cases), time.time() - start)
