"""Calls that PyTorch's own error inputs make and that raise: errors.py OUT

Each error input of op_db, of the Python references and of the modules is called as a person would call it; of the ATen calls that this leads to, the ones that raise are recorded.
"""
import collections, logging, sys, warnings
warnings.filterwarnings("ignore"); logging.disable(logging.CRITICAL)
import torch
from torch.testing._internal.common_methods_invocations import op_db, python_ref_db
from torch.testing._internal.common_modules import module_db
from torch.utils._python_dispatch import TorchDispatchMode
from calls import Folder

torch.set_num_threads(1)
out = sys.argv[1]
folder, stats = Folder(out, 0), collections.Counter()


def note(target, args, kwargs, error):
    try: folder.error(target, args, kwargs, f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}")
    except TypeError: stats["not data"] += 1


class Watch(TorchDispatchMode):
    """Records the ATen calls that raise, before or after PyTorch takes composite operators apart."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        try:
            return func(*args, **(kwargs or {}))
        except NotImplementedError:
            raise
        except Exception as error:
            if "out" not in (kwargs or {}): note(func, args, kwargs or {}, error)
            raise


def watch_before():
    return Watch(_dispatch_key=torch._C.DispatchKey.PreDispatch)


def attempt(call):
    for mode in (watch_before, Watch):
        before = len(folder.cases)
        try:
            with mode(): call()
            stats["returned"] += 1
        except Exception: stats["raised"] += 1
        stats["calls"] += len(folder.cases) - before


for op in [*op_db, *python_ref_db]:
    if op.error_inputs_func is None: continue
    try: errors = list(op.error_inputs("cpu"))
    except Exception:
        stats["no inputs"] += 1
        continue
    for e in errors:
        s = e.sample_input
        if "out" in s.kwargs: continue
        attempt(lambda: op.op(s.input, *s.args, **s.kwargs))
        # The overloads that PyTorch would choose for the arguments as they are, also where Python's own checks raise first.
        for name in sorted({op.aten_name, op.name.split(".")[-1], op.name.replace(".", "_"), op.name.removeprefix("_refs.").replace(".", "_")}):
            packet = getattr(torch.ops.aten, name, None)
            if packet is None: continue
            args = (s.input, *s.args)
            try: chosen = torch._C._jit_resolve_packet("aten::" + name, *args, **s.kwargs)
            except Exception: continue
            overload = getattr(packet, chosen.split(".")[-1] if "." in chosen else (chosen or "default"))
            try: overload(*args, **s.kwargs)
            except NotImplementedError: pass
            except Exception as error: note(overload, args, s.kwargs, error)

for info in module_db:
    if getattr(info, "module_error_inputs_func", None) is None: continue
    for training in (True, False):
        try: errors = list(info.module_error_inputs_func(info, device="cpu", dtype=torch.float32, requires_grad=False, training=training))
        except Exception: continue
        for e in errors:
            c, f = e.module_error_input.constructor_input, e.module_error_input.forward_input
            try: module = info.module_cls(*c.args, **c.kwargs)
            except Exception: continue
            if f is not None: attempt(lambda: module(*f.args, **f.kwargs))

folder.save()
print(dict(stats), len(folder.cases), "cases of", len({c["target"] for c in folder.cases}), "operators")
