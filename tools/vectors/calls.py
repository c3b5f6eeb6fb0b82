"""ATen calls as the vectors write them: arguments as data, inputs, results, gradients."""
import hashlib, json, os, signal, tempfile
import torch
from safetensors.torch import load_file, save_file
from torch.utils._pytree import tree_flatten, tree_map

DTYPES = {getattr(torch, n): n for n in "float16 bfloat16 float32 float64 complex64 int8 int16 int32 int64 uint8 bool".split()}


def encode(x, ins):
    """`x` as data; the tensors in it are collected in `ins`. Raises a TypeError for what is no data."""
    if x is None: return None
    if isinstance(x, torch.Tensor):
        for i, t in enumerate(ins):
            if t is x: return {"tensor": i}
        ins.append(x)
        return {"tensor": len(ins) - 1}
    if isinstance(x, bool): return {"bool": x}
    if isinstance(x, int): return {"int": x}
    if isinstance(x, float): return {"float": repr(x)}
    if isinstance(x, complex): return {"complex": [repr(x.real), repr(x.imag)]}
    if isinstance(x, str): return {"string": x}
    if isinstance(x, torch.dtype): return {"dtype": str(x).split(".")[1]}
    if isinstance(x, torch.device): return {"device": str(x)}
    if isinstance(x, torch.memory_format): return {"memory_format": str(x).split(".")[1]}
    if isinstance(x, torch.layout): return {"layout": str(x).split(".")[1]}
    if isinstance(x, (list, tuple)): return {"list": [encode(y, ins) for y in x]}
    raise TypeError(type(x))


def decode(a, ins):
    """The argument that `encode` wrote."""
    if a is None: return None
    kind, v = next(iter(a.items()))
    if kind == "tensor": return ins[v]
    if kind == "list": return [decode(x, ins) for x in v]
    if kind == "float": return float(v)
    if kind == "complex": return complex(float(v[0]), float(v[1]))
    if kind in ("dtype", "memory_format", "layout"): return getattr(torch, v)
    return torch.device(v) if kind == "device" else v


def storable(t):
    """Whether the tensor can stand in a folder of vectors."""
    return t.layout == torch.strided and t.device.type == "cpu" and not t.is_quantized and t.dtype in DTYPES


def overload(target):
    """The operator of a name such as aten.add.Tensor, or None."""
    try:
        ns, name, kind = target.split(".")
        return getattr(getattr(getattr(torch.ops, ns), name), kind)
    except (ValueError, AttributeError, RuntimeError): return None


def load(folder):
    """Cases and tensors of a folder."""
    return [json.loads(line) for line in open(f"{folder}/cases.jsonl")], load_file(f"{folder}/tensors.safetensors")


def preserved(t):
    """A copy with the same strides."""
    return torch.empty_strided(t.shape, t.stride(), dtype=t.dtype).copy_(t.detach())


def gradients(call, ins, limit):
    """Gradients of the weighted sum of float32 results with respect to float32 inputs, or None."""
    chosen = [t.dtype == torch.float32 for t in ins]
    if not any(chosen): return None
    leaves = [t.detach().clone().requires_grad_(f) for t, f in zip(ins, chosen)]
    try:
        torch.manual_seed(0)
        with torch.enable_grad():
            outs = [o for o in tree_flatten(call(leaves))[0] if o.requires_grad and o.dtype == torch.float32]
            if not outs or sum(o.numel() for o in outs) > limit: return None
            loss = sum((o * torch.sin(torch.arange(1, o.numel() + 1, dtype=torch.float64)).to(torch.float32).reshape(o.shape)).sum() for o in outs)
        found = iter(torch.autograd.grad(loss, [l for l in leaves if l.requires_grad], allow_unused=True))
    except Exception: return None
    grads = [next(found) if l.requires_grad else None for l in leaves]
    if all(g is None for g in grads) or any(g is not None and g.layout != torch.strided for g in grads): return None
    return grads


class Folder:
    """A folder of vectors that is being written."""

    def __init__(self, path, seed, largest_input=12000, largest_output=60000):
        self.path, self.seed, self.largest_input, self.largest_output = path, seed, largest_input, largest_output
        self.cases, self.tensors, self.seen = [], {}, set()

    def put(self, name, t):
        self.tensors[name] = t.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).clone()
        return {"data": name, "dtype": DTYPES[t.dtype], "shape": list(t.shape), "stride": list(t.stride())}

    def describe(self, target, args, kwargs, prefix=""):
        """Id, arguments as data and input tensors of a call that is not there yet; None if it is, or is no data. Raises what `encode` raises."""
        ins = []
        a, k = [encode(x, ins) for x in args], {n: encode(v, ins) for n, v in kwargs.items()}
        if any(not storable(t) for t in ins) or sum(t.numel() for t in ins) > self.largest_input: return None
        key = json.dumps([str(target), a, k, [(str(t.dtype), list(t.shape), list(t.stride())) for t in ins]])
        if key in self.seen: return None
        self.seen.add(key)
        size = 12 - len(prefix)
        return prefix + hashlib.sha1((key + str(self.seed)).encode()).hexdigest()[:size], a, k, ins

    def error(self, target, args, kwargs, message, prefix="e"):
        """Records a call that raises."""
        described = self.describe(target, args, kwargs, prefix)
        if described is not None: self._append(target, *described, [], None, error=message)

    def call(self, target, args, kwargs, wanted=lambda ins: True):
        """Records a call with its results and gradients; whether it was recorded. Raises what the call raises."""
        described = self.describe(target, args, kwargs)
        if described is None: return False
        ins = described[3]
        if not wanted(ins): return False

        def call(sub):
            own = lambda x: tree_map(lambda y: sub[next(i for i, t in enumerate(ins) if t is y)] if isinstance(y, torch.Tensor) else y, x)
            return target(*own(args), **own(kwargs))

        written = target._schema.is_mutable
        # Written to, memory that several elements share would be refused, and a copy of it would not be the same call.
        if written and any(s == 0 and n > 1 for t in ins for n, s in zip(t.shape, t.stride())): return False
        torch.manual_seed(0)
        with torch.no_grad(): outs, _ = tree_flatten(call([preserved(t) if written else t.detach() for t in ins]))
        if any(not isinstance(o, torch.Tensor) or not storable(o) for o in outs): return False
        if sum(o.numel() for o in outs) > self.largest_output: return False
        grads = None if written else gradients(call, ins, self.largest_output)
        self._append(target, *described, outs, grads)
        return True

    def _append(self, target, h, a, k, ins, outs, grads, **more):
        self.cases.append({
            "id": h, "target": str(target), "args": a, "kwargs": k,
            "inputs": [dict(self.put(f"{h}.in{i}", t), stride=list(t.stride())) for i, t in enumerate(ins)],
            "outputs": [self.put(f"{h}.out{i}", t) for i, t in enumerate(outs)],
            "grads": None if grads is None else [None if g is None else self.put(f"{h}.g{i}", g) for i, g in enumerate(grads)],
            **more})

    def save(self):
        os.makedirs(self.path, exist_ok=True)
        save_file(self.tensors, f"{self.path}/tensors.safetensors")
        open(f"{self.path}/cases.jsonl", "w").write("".join(json.dumps(c) + "\n" for c in self.cases))


def isolated(folders, work, seconds=60, careful=True):
    """Runs `work`, which yields after each call, in a process of its own, since PyTorch crashes on some calls. Whether all went well; else, with `careful`, what was recorded before
    the crash comes into the folders, otherwise nothing."""
    with tempfile.TemporaryDirectory() as place:
        path = f"{place}/found.pt"

        def store():
            torch.save([(f.cases, f.tensors) for f in folders], f"{path}.part")
            os.rename(f"{path}.part", path)

        # Writing after each call costs much: only where a first attempt ended early.
        for each in (False, True) if careful else (False,):
            child = os.fork()
            if child == 0:
                signal.alarm(seconds)
                for f in folders: f.cases, f.tensors = [], {}
                for _ in work():
                    if each: store()
                store()
                os._exit(0)
            whole = os.waitpid(child, 0)[1] == 0
            if whole: break
        if os.path.exists(path):
            for f, (found, data) in zip(folders, torch.load(path)):
                f.cases += found
                f.tensors.update(data)
        return whole
