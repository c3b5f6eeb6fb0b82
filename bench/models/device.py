"""Exported models on one device, ours beside PyTorch's, many of them in one command of limited time.

    python bench/models/device.py --list ../shared/peers/models_gpu.txt --out rows.jsonl --seconds 400
    python bench/models/device.py timm:levit_128 hf:fnet@full --out rows.jsonl
    python bench/models/device.py timm:resnet18 --device cpu --dtype float32 --batch 1 --out rows.jsonl

Four stages, so that a run that is cut has lost little:
  export   all models side by side, those that take longest first: the file, its inputs, and what PyTorch computes in float32
  cold     `tessera run` with nothing kept, --jobs at a time
  warm     a second process a model, alone on the machine: times, and results compared
  torch    PyTorch compiles --jobs models at a time, then each is timed alone; as many as there is time for, the first ones first

Each stage appends a JSON line a model to --out and prints a line; `device_table.ts` makes the page's table of them. A model whose weights
and inputs cannot be exported in --dtype is exported in float32 and run with `tessera run --dtype`; one that PyTorch cannot run so runs there
under autocast, or in float32 if it cannot do that either. A result agrees by the rule of compare.py: its error against float32 is at most the larger of three times PyTorch's own and 1e-2.
"""
import argparse
import contextlib
import copy
import ctypes
import json
import multiprocessing
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

warnings.filterwarnings("ignore")
ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
BEGAN = time.monotonic()
FLOORS = {"float32": 1e-4}  # else 1e-2
# Those whose export takes longest, so that none of them is the last.
SLOW = ("xcit", "hrnet", "deberta", "xlnet", "mt5", "qwen3", "twins", "detr", "convnext", "albert", "coat", "bart", "levit")


def say(*words):
    print(f"{time.monotonic() - BEGAN:6.1f}", *words, flush=True)


def keep(a, model, stage, row):
    with open(a.out, "a") as file:
        file.write(json.dumps(dict(model=model, stage=stage, device=a.device, dtype=a.dtype, **row)) + "\n")


def folder_of(a, model):
    return os.path.join(a.work, model.replace(":", "_").replace("@", "_"))


def sizes_of(a, model):
    """Batch and length: language models, and what else is of transformers, take fewer."""
    return (a.batch or 8, a.seq) if model.startswith("hf:") else (a.batch or 32, a.seq)


def flat(values):
    import torch
    from torch.utils import _pytree as pytree

    return [t for t in pytree.tree_leaves(values) if isinstance(t, torch.Tensor)]


def first_line(error):
    return (str(error).strip() or repr(error)).splitlines()[0][:160]


def load(a, name):
    """The model in float32 and in the dtype asked for, and how PyTorch runs it there: (wide, low, way, inputs, call). `call(way)` gives results."""
    import torch
    from models import build
    from torch.utils import _pytree as pytree

    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    dtype = getattr(torch, a.dtype)
    with torch.device(a.device):
        wide, args, kwargs = build(name, *sizes_of(a, name))
    wide = wide.to(a.device)
    low = copy.deepcopy(wide).to(dtype)  # before anything ran: some models cache what they computed

    def inputs(of):
        cast = lambda t: (t.to(of) if t.is_floating_point() else t).to(a.device)
        return pytree.tree_map(cast, args), pytree.tree_map(cast, kwargs)

    def call(way):
        given, named = inputs(dtype if way == a.dtype else torch.float32)
        with torch.autocast(a.device, dtype=dtype) if way == "autocast" else contextlib.nullcontext():
            return flat((low if way == a.dtype else wide)(*given, **named))

    for way in (a.dtype, "autocast", "float32"):
        try:
            call(way)
            break
        except RuntimeError as error:
            say(f"{name}: not in {way} in PyTorch: {first_line(error)}")
    return wide, low, way, inputs, call


def export(a, name):
    """Writes model.pt2, in.safetensors and reference.pt."""
    import torch
    from compare import relative_error
    from safetensors.torch import save_file

    began = time.monotonic()
    folder, dtype, row = folder_of(a, name), getattr(torch, a.dtype), {}
    os.makedirs(folder, exist_ok=True)
    with torch.no_grad():
        wide, low, way, inputs, call = load(a, name)
        reference = [t.cpu() for t in call("float32")]
        row["eager_error"] = relative_error(call(way), reference)
        row["torch_way"] = way
        for model, of in ((low, dtype), (wide, torch.float32)):
            if of is dtype and way != a.dtype:
                continue
            given, named = inputs(of)
            try:
                program = torch.export.export(model, given, named, strict=False)
            except Exception as error:
                if of is torch.float32:
                    raise
                row["why_float32"] = first_line(error)
                continue
            row["exported_in"] = str(of).removeprefix("torch.")
            torch.export.save(program, f"{folder}/model.pt2")
            tensors = flat((given, named))
            save_file({f"input_{i}": t.contiguous().cpu() for i, t in enumerate(tensors)}, f"{folder}/in.safetensors")
            break
        torch.save(reference, f"{folder}/reference.pt")
    row["seconds"] = round(time.monotonic() - began, 1)
    keep(a, name, "export", row)
    json.dump(row, open(f"{folder}/export.json", "w"))


def ours(a, name, extra):
    """`tessera run` in a process; its report, or an error."""
    folder = folder_of(a, name)
    row = json.load(open(f"{folder}/export.json"))
    command = shlex.split(a.ours) + ["run", f"{folder}/model.pt2", "--inputs", f"{folder}/in.safetensors", "--device", a.device, "--json", *extra]
    if row["exported_in"] != a.dtype:
        command += ["--dtype", a.dtype]
    # A driver and nvrtc keep what they compiled for all programs: cold means without that, too.
    env = dict(os.environ, TESSERA_CACHE_DIR=f"{folder}/cache", CUDA_CACHE_PATH=f"{folder}/driver", XDG_CACHE_HOME=f"{folder}/xdg")
    began = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=a.limit, env=env, cwd=ROOT)
    except subprocess.TimeoutExpired:
        return {"error": f"no answer in {a.limit} s"}
    if done.returncode:
        return {"error": (done.stderr or done.stdout)[-600:]}
    report = json.loads(done.stdout.strip().splitlines()[-1])
    wanted = ("kind", "reason", "load_ms", "compile_ms", "first_call_ms", "median_ms", "p10_ms", "p90_ms", "kernels", "peak_bytes", "profile")
    return {**{k: report[k] for k in wanted if report.get(k) is not None}, "wall_s": round(time.monotonic() - began, 3)}


def cold(a, name):
    row = {**ours(a, name, []), "beside": a.jobs - 1}
    keep(a, name, "cold", row)
    ready = row.get("compile_ms", 0) + row.get("first_call_ms", 0)
    say(f"cold {name}", row.get("error") or f"{ready / 1e3:.2f} s, {row['kernels']} kernels, process {row['wall_s']:.2f} s")


def warm(a, name):
    import torch
    from compare import relative_error
    from safetensors.torch import load_file

    folder = folder_of(a, name)
    out = f"{folder}/out.safetensors"
    row = ours(a, name, ["--outputs", out, "--bench", str(a.iters), *(["--profile"] if a.profile else [])])
    if "error" not in row:
        got, reference = load_file(out), torch.load(f"{folder}/reference.pt")
        results = [got[k] for k in sorted(got, key=lambda k: int(k.rsplit("_", 1)[1]))]
        error = relative_error(results, reference) if len(results) == len(reference) else float("inf")
        own = json.load(open(f"{folder}/export.json"))["eager_error"]
        row |= dict(rel_error=error, eager_error=own, agrees=error <= max(3 * own, FLOORS.get(a.dtype, 1e-2)))
    keep(a, name, "warm", row)
    if "error" in row:
        return say(f"warm {name}", row["error"])
    ready = row["load_ms"] + row["compile_ms"] + row["first_call_ms"]
    told = "agrees" if row["agrees"] else "DISAGREES"
    say(f"warm {name} {row['median_ms']:.3f} ms ({row.get('p10_ms', 0):.3f} to {row.get('p90_ms', 0):.3f}), ready after {ready:.0f} ms,",
        f"process {row['wall_s']:.2f} s, {told}: {row['rel_error']:.1e}, PyTorch {row['eager_error']:.1e}")


def torch_side(a, name, turn):
    """Compiles in every mode, waits for the turn, and times."""
    folder = folder_of(a, name)
    os.makedirs(folder, exist_ok=True)
    os.environ |= dict(TORCHINDUCTOR_CACHE_DIR=f"{folder}/inductor", TRITON_CACHE_DIR=f"{folder}/triton")
    import torch
    from compare import median_ms

    dtype, sync = getattr(torch, a.dtype), torch.cuda.synchronize if a.device == "cuda" else (lambda: None)
    with torch.no_grad():
        wide, low, way, inputs, _ = load(a, name)
        given, named = inputs(dtype if way == a.dtype else torch.float32)
        around = (lambda: torch.autocast(a.device, dtype=dtype)) if way == "autocast" else contextlib.nullcontext
        model = low if way == a.dtype else wide
        del wide, low
        calls, row = [], {}
        for mode in a.modes:
            run = model if mode == "eager" else torch.compile(model, mode=None if mode == "default" else mode)
            row[mode] = {}

            def call(run=run):
                with around():
                    return run(*given, **named)
            try:
                began = time.perf_counter()
                call(), sync()
                if mode != "eager":
                    row[mode]["compile_ms"] = round((time.perf_counter() - began) * 1e3)
                for _ in range(3):
                    call()
                sync()
                calls.append((mode, call))
            except Exception as error:
                row[mode]["error"] = repr(error)[:300]
        open(f"{turn}.ready", "w").close()
        while not os.path.exists(turn):
            time.sleep(0.02)
        for mode, call in calls:
            row[mode]["median_ms"] = round(median_ms(call, a.iters, sync), 4)
    keep(a, name, "torch", {"torch": row, "torch_way": way, "beside": a.jobs - 1, "version": torch.__version__})
    say(f"torch {name}", ", ".join(f"{mode} {found.get('median_ms', found.get('error'))} ms" + (f" after {found['compile_ms'] / 1e3:.1f} s" if "compile_ms" in found else "") for mode, found in row.items()))


def apart(body, a, name, *more):
    """A job in a process of its own, which has PyTorch loaded already. What goes wrong there is a row."""
    def guarded():
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it ends with a run that is cut
        try:
            body(a, name, *more)
        except BaseException as error:
            keep(a, name, body.__name__, {"error": repr(error)[:600]})
            say(f"{body.__name__} {name}: {repr(error)[:300]}")
            os._exit(1)
        sys.stdout.flush()
        os._exit(0)  # without what libraries do at their end
    process = multiprocessing.get_context("fork").Process(target=guarded)
    process.start()
    return process


def side_by_side(body, a, names, jobs):
    waiting, running = list(names), []
    while waiting or running:
        for entry in list(running):
            process, name, began = entry
            if process.is_alive() and time.monotonic() - began > a.limit:
                process.kill()
                keep(a, name, body.__name__, {"error": f"no answer in {a.limit} s"})
                say(f"{body.__name__} {name}: no answer in {a.limit} s")
            if not process.is_alive():
                process.join()
                running.remove(entry)
        while waiting and len(running) < jobs:
            name = waiting.pop(0)
            running.append((apart(body, a, name), name, time.monotonic()))
        time.sleep(0.02)


def torch_stage(a, names):
    """As many as compile side by side are one round; when all are ready, each is timed alone."""
    longest = 60.0
    for at in range(0, len(names), a.jobs):
        began, group = time.monotonic(), names[at:at + a.jobs]
        if began - BEGAN + longest > a.seconds:
            say(f"torch: no time for {len(names) - at} models: {' '.join(names[at:])}")
            return
        turns = [f"{folder_of(a, name)}.turn" for name in group]
        processes = [apart(torch_side, a, name, turn) for name, turn in zip(group, turns)]
        end = began + a.limit
        while time.monotonic() < end and any(p.is_alive() and not os.path.exists(f"{t}.ready") for p, t in zip(processes, turns)):
            time.sleep(0.05)
        say(f"torch: {len(group)} ready after {time.monotonic() - began:.0f} s")
        for process, turn, name in zip(processes, turns, group):
            if process.is_alive() and not os.path.exists(f"{turn}.ready"):
                process.kill()
                keep(a, name, "torch", {"error": f"not compiled in {a.limit} s"})
                continue
            open(turn, "w").close()
            process.join(30)
            if process.is_alive():
                process.kill()
        longest = time.monotonic() - began


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="*")
    p.add_argument("--list", help="a file of names, # begins a comment")
    p.add_argument("--first", type=int, default=0, help="leave out so many of the list")
    p.add_argument("--count", type=int, help="take so many of it")
    p.add_argument("--out", required=True, help="JSON lines are appended to it")
    p.add_argument("--seconds", type=float, default=float("inf"), help="no round of PyTorch is begun that would end later")
    p.add_argument("--device", default="cuda")
    p.add_argument("--dtype", default="float16")
    p.add_argument("--batch", type=int, help="default 32, of transformers 8")
    p.add_argument("--seq", type=int, default=256)
    p.add_argument("--iters", type=int, default=20)
    p.add_argument("--jobs", type=int, default=8, help="compilers side by side, on both sides (8)")
    p.add_argument("--exports", type=int, default=os.cpu_count(), help="exports side by side")
    p.add_argument("--stages", default="export,cold,warm,torch")
    p.add_argument("--modes", default="eager,reduce-overhead", help="PyTorch's")
    p.add_argument("--torch-count", type=int, help="of so many models PyTorch's side is measured; default all that there is time for")
    p.add_argument("--profile", action="store_true", help="with what each kernel takes")
    p.add_argument("--limit", type=int, default=180, help="seconds that one job may take")
    p.add_argument("--ours", default="deno run -A src/cli/main.ts")
    p.add_argument("--peers", default=os.path.join(ROOT, "../shared/peers"), help="the folder of models.py and compare.py")
    p.add_argument("--work", help="the folder of exported models; those that it holds are not exported again")
    a = p.parse_args()
    sys.path.insert(0, os.path.abspath(a.peers))
    a.out = os.path.abspath(a.out)
    a.modes = [mode for mode in a.modes.split(",") if mode]
    listed = [line.partition("#")[0].strip() for line in open(a.list)] if a.list else []
    names = [*a.models, *filter(None, listed)][a.first:][:a.count]
    a.work = os.path.abspath(a.work) if a.work else tempfile.mkdtemp(prefix="models_")
    # Each of 16 would take 16 threads to compile.
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(max(1, (os.cpu_count() or 1) // a.jobs)))
    import models  # noqa: F401, what all processes need is loaded once; nothing of it may touch the device
    import safetensors.torch  # noqa: F401
    import timm  # noqa: F401
    import torch
    import transformers  # noqa: F401
    say(f"{len(names)} models, PyTorch {torch.__version__}, {os.cpu_count()} processors, {a.jobs} compilers side by side")

    is_there = lambda name: os.path.exists(f"{folder_of(a, name)}/export.json")
    rank = lambda name: next((i for i, slow in enumerate(SLOW) if slow in name), len(SLOW))
    if "export" in a.stages:
        side_by_side(export, a, sorted((n for n in names if not is_there(n)), key=rank), a.exports)
    here = [name for name in names if is_there(name)]
    say(f"{len(here)} exported")
    if "cold" in a.stages:
        with ThreadPoolExecutor(a.jobs) as pool:
            list(pool.map(lambda name: cold(a, name), here))
    for name in here if "warm" in a.stages else []:
        warm(a, name)
    if "torch" in a.stages:
        torch_stage(a, names if a.torch_count is None else names[:a.torch_count])
    say("done")


main()
