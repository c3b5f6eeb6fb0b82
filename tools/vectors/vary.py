"""Varies calls of a folder of vectors: vary.py OUT SEED FOLDER [TRIES] [GLOB]

What PyTorch computes goes to OUT with its results, what it refuses to OUT.errors. Varied are layouts (transposed, strided, expanded, channels last), ranks and sizes (empty and
0-dim among them), dtypes (of one input or of all), values (NaN, infinities, signed zeros, extremes), numbers (negative axes, integers for floats, wrong ones), flags, and
whether the in-place operator is called. TRIES calls an operator (24); VALUES=0 leaves values as they are, DTYPES=float32,int64 chooses dtypes.
"""
import copy, fnmatch, os, random, sys, warnings
warnings.filterwarnings("ignore")
import torch
from calls import Folder, decode, isolated, load, overload

torch.set_num_threads(1)
out, seed, source = sys.argv[1], int(sys.argv[2]), sys.argv[3]
tries = int(sys.argv[4]) if len(sys.argv) > 4 else 24
glob = sys.argv[5] if len(sys.argv) > 5 else "*"
rng = random.Random(seed)
torch.manual_seed(seed)
names = os.environ.get("DTYPES", "float32,int64,bool,float16,bfloat16,int32,uint8").split(",")
DTYPES = [getattr(torch, n) for n in names]
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, float("nan"), float("inf"), float("-inf"), 1e-30, 1e30, -1e4, 3.5, 2.5, 1e-3]


def spread(t):
    """The same elements in every other place of a larger memory."""
    d = rng.randrange(t.ndim)
    return torch.stack([t, t], d + 1).flatten(d, d + 1).narrow(d, 0, 2 * t.shape[d])[tuple(slice(None, None, 2) if i == d else slice(None) for i in range(t.ndim))]


def transposed(t):
    a, b = rng.randrange(t.ndim), rng.randrange(t.ndim)
    return t.transpose(a, b).contiguous().transpose(a, b)


def expanded(t):
    d = rng.randrange(t.ndim)
    return t.narrow(d, 0, 1).expand(t.shape) if t.shape[d] > 0 else t


def channels_last(t):
    return t.contiguous(memory_format=torch.channels_last if t.ndim == 4 else torch.channels_last_3d) if t.ndim in (4, 5) else transposed(t)


def extremes(t):
    t = t.clone()
    flat = t.reshape(-1)
    if t.numel() == 0 or t.dtype == torch.bool: return t
    for _ in range(rng.randrange(1, 4)):
        i = rng.randrange(t.numel())
        if t.is_floating_point(): flat[i] = rng.choice(FLOATS)
        elif not t.is_complex(): flat[i] = rng.choice([0, 1, torch.iinfo(t.dtype).max, torch.iinfo(t.dtype).min, 7])
    return flat.reshape(t.shape)


def longer(t):
    d = rng.randrange(t.ndim)
    return torch.cat([t, t.narrow(d, 0, min(1, t.shape[d]))], d)


def more_rank(t):
    t = t.unsqueeze(rng.randrange(t.ndim + 1))
    return t.expand([2 if s == 1 and rng.random() < .3 else s for s in t.shape]).contiguous()


ONE = {"layout": lambda t: rng.choice([spread, transposed, expanded, channels_last])(t) if t.ndim else t, "values": extremes, "size+": lambda t: longer(t) if t.ndim else t,
       "rank+": more_rank, "rank-": lambda t: t.select(rng.randrange(t.ndim), 0).contiguous() if t.ndim and t.numel() else t,
       "empty": lambda t: t.narrow(rng.randrange(t.ndim), 0, 0) if t.ndim else t, "0-dim": lambda t: t.reshape(-1)[0].clone() if t.numel() else t,
       "dtype": lambda t: t.to(rng.choice(DTYPES))}
KINDS = ["layout"] * 5 + ["values"] * (3 if os.environ.get("VALUES", "1") == "1" else 0) + ["dtype"] * 3 + ["number"] * 4 + ["flag"] * 2 + ["all dtypes"] * 3 + ["all empty"] * 2 + \
        ["size+", "rank+", "rank-", "empty", "0-dim", "all 0-dim", "all layouts", "list"]


def places(arg, found, kinds):
    """Arguments of these kinds, as (holder, key)."""
    items = arg.items() if isinstance(arg, dict) else enumerate(arg)
    for k, x in list(items):
        if x is None: continue
        kind, v = next(iter(x.items()))
        if kind in kinds: found.append((arg, k, kind, v))
        if kind == "list": places(v, found, kinds)
    return found


def change(args, kwargs, ins):
    """Changes a call by one kind of variation; its name, or None if it has nothing of the kind."""
    kind = rng.choice(KINDS)
    if kind in ONE:
        if not ins: return None
        i = rng.randrange(len(ins))
        ins[i] = ONE[kind](ins[i])
    elif kind == "all dtypes":
        to, of = rng.choice(DTYPES), [t.dtype for t in ins]
        if not ins: return None
        for i, t in enumerate(ins):
            if t.dtype == of[0]: ins[i] = t.to(to)
    elif kind == "all empty":
        sizes = [s for t in ins for s in t.shape]
        if not sizes: return None
        size = rng.choice(sizes)
        for i, t in enumerate(ins):
            if size in t.shape: ins[i] = t.narrow(list(t.shape).index(size), 0, 0)
    elif kind == "all 0-dim": ins[:] = [t.reshape(-1)[0].clone() if t.numel() else t for t in ins]
    elif kind == "all layouts": ins[:] = [ONE["layout"](t) for t in ins]
    elif kind == "number":
        found = places(args, [], ("int", "float")) + places(kwargs, [], ("int", "float"))
        if not found: return None
        holder, key, what, v = rng.choice(found)
        rank = max([t.ndim for t in ins], default=1)
        choices = [{"int": int(float(v)) - rank}, {"int": rng.choice([-1, 0, 1, 2, 3, -7, 100])}] if what == "int" and abs(v) < 1e9 else [{"float": repr(rng.choice(FLOATS))}, {"int": rng.choice([0, 1, 2, -3])}]
        holder[key] = rng.choice(choices)
    elif kind == "flag":
        found = [p for p in places(args, [], ("bool",)) + places(kwargs, [], ("bool",)) if p[1] != "pin_memory"]
        if not found: return None
        holder, key, _, v = rng.choice(found)
        holder[key] = {"bool": not v}
    else:
        found = places(args, [], ("list",))
        if not found: return None
        items = rng.choice(found)[3]
        if rng.random() < .5 and items: items.pop()
        else: items.append({"int": 1})
    return kind


cases, tensors = load(source)
by = {}
for c in cases:
    if fnmatch.fnmatch(c["target"], glob): by.setdefault(c["target"], []).append(c)
good, bad = Folder(out, seed), Folder(f"{out}.errors", seed)


def vary(target, calls):
    """Some varied calls of an operator; PyTorch may crash on one."""
    operator = overload(target)
    if operator is None: return
    ns, name, kind = target.split(".")
    in_place = None if operator._schema.is_mutable else overload(f"{ns}.{name}_.{kind}")
    for _ in range(tries):
        c = rng.choice(calls)
        args, kwargs = copy.deepcopy(c["args"]), copy.deepcopy(c["kwargs"])
        ins = [tensors[t["data"]].reshape(t["shape"]).clone() for t in c["inputs"]]
        if sum(t.numel() for t in ins) > 3000: continue
        try: what = [change(args, kwargs, ins) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
        except (RuntimeError, ValueError, OverflowError, IndexError): continue
        if all(w is None for w in what): continue
        to = in_place if in_place is not None and rng.random() < .25 else operator
        try: a, k = [decode(x, ins) for x in args], {n: decode(x, ins) for n, x in kwargs.items()}
        except (ValueError, AttributeError): continue
        try: good.call(to, a, k)
        except NotImplementedError: pass
        except Exception as error:
            message = str(error).split("\n")[0][:160]
            if "not implemented for" in message or "INTERNAL ASSERT" in message: continue
            bad.error(to, a, k, f"{'+'.join(w for w in what if w)}: {type(error).__name__}: {message}", "m")
        yield


def work(targets):
    for target in targets:
        rng.seed(f"{seed} {target}")
        yield from vary(target, by[target])


# A process for each operator costs much: only where one of a few crashes PyTorch.
crashes, names = 0, list(by)
for at in range(0, len(names), 16):
    group = names[at:at + 16]
    if not isolated((good, bad), lambda: work(group), careful=False):
        for target in group: crashes += not isolated((good, bad), lambda: work([target]))
    for folder in (good, bad): folder.save()
print(len(good.cases), "calls,", len(bad.cases), "errors of", len(by), "operators; PyTorch crashed in", crashes)
