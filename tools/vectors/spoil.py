"""Mutates valid cases so that PyTorch raises: spoil.py OUT SEED FOLDER"""
import sys, json, random, hashlib, os, warnings, copy
warnings.filterwarnings("ignore")
import torch
from safetensors.torch import load_file, save_file
out, seed, src = sys.argv[1], int(sys.argv[2]), sys.argv[3]
T = load_file(f"{src}/tensors.safetensors"); rng = random.Random(seed)
cs = [json.loads(l) for l in open(f"{src}/cases.jsonl")]
DTS = ["float32", "int64", "bool", "float16"]
by = {}
for c in cs:
    if "rand" in c["target"] or "dropout" in c["target"] or "empty" in c["target"]: continue
    by.setdefault(c["target"], []).append(c)
cases, tens = [], {}
def dec(a, ins):
    if a is None: return None
    k, v = next(iter(a.items()))
    if k == "tensor": return ins[v]
    if k == "list": return [dec(x, ins) for x in v]
    if k == "float": return float(v)
    if k == "dtype": return getattr(torch, v)
    if k == "memory_format": return getattr(torch, v)
    if k == "layout": return getattr(torch, v)
    if k == "device": return torch.device(v)
    return v
def ints(a, path, acc):
    if a is None: return
    k, v = next(iter(a.items()))
    if k == "int": acc.append(path)
    if k == "list":
        acc.append(path + ["L"])
        for i, x in enumerate(v): ints(x, path + [i], acc)
for target, lst in by.items():
    ns, name, ov = target.split(".")
    try: op = getattr(getattr(getattr(torch.ops, ns), name), ov)
    except Exception: continue
    tries = 0; got = 0
    while tries < 60 and got < 8:
        tries += 1
        c = rng.choice(lst); a = copy.deepcopy(c["args"]); kw = c["kwargs"]
        ins = []
        for t in c["inputs"]:
            ins.append(T[t["data"]].reshape(t["shape"]).clone())
        kind = rng.randrange(6); what = ""
        try:
            if ins and kind in (0, 1, 2, 3):
                i = rng.randrange(len(ins)); t = ins[i]
                if kind == 0: t = t.unsqueeze(rng.randrange(t.ndim + 1)); t = t.expand([2 if s == 1 and rng.random() < .5 else s for s in t.shape]).contiguous(); what = "rank+"
                elif kind == 1 and t.ndim: t = t.select(rng.randrange(t.ndim), 0).contiguous(); what = "rank-"
                elif kind == 2 and t.ndim:
                    d = rng.randrange(t.ndim); t = torch.cat([t, t.narrow(d, 0, 1)], d); what = "size+"
                elif kind == 3: t = t.to(getattr(torch, rng.choice(DTS))); what = "dtype"
                ins[i] = t
            else:
                acc = []
                for i, x in enumerate(a): ints(x, [i], acc)
                if not acc: continue
                p = rng.choice(acc); x = a[p[0]]
                for q in p[1:]:
                    if q == "L": break
                    x = x["list"][q]
                if p[-1] == "L":
                    if rng.random() < .5 and x["list"]: x["list"].pop()
                    else: x["list"].append({"int": 1})
                    what = "list"
                else: x["int"] = rng.choice([-1, -7, 0, 9, 100]); what = "int"
        except Exception: continue
        try: op(*[dec(x, [t.clone() for t in ins]) for x in a], **{k: dec(v, ins) for k, v in kw.items()}); continue
        except NotImplementedError as e: continue
        except Exception as e: msg = str(e).split("\n")[0][:160]
        if "not implemented for" in msg or "expected scalar type" in msg and False: continue
        got += 1
        h = "m" + hashlib.sha1(json.dumps([target, a, tries, seed]).encode()).hexdigest()[:11]
        I = []
        for i, t in enumerate(ins):
            tens[f"{h}.in{i}"] = t.reshape(-1).clone()
            I.append({"data": f"{h}.in{i}", "dtype": str(t.dtype).split(".")[1], "shape": list(t.shape), "stride": list(t.stride())})
        cases.append({"id": h, "target": target, "args": a, "kwargs": kw, "inputs": I, "outputs": [], "grads": None, "error": what + ": " + msg})
os.makedirs(out, exist_ok=True)
save_file(tens, f"{out}/tensors.safetensors"); open(f"{out}/cases.jsonl", "w").write("".join(json.dumps(c) + "\n" for c in cases))
print(len(cases), len({c["target"] for c in cases}))
