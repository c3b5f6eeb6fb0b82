"""Exports a model with its inputs, and measures what PyTorch's eager run holds beside the weights.

    python activations.py PEERS NAME DIRECTORY

PEERS is the folder of `models.py`, which builds NAME. Leaves model.pt2, in.safetensors and info.json (bytes of weights; the most bytes of inputs and results
that were alive at once, added up by a dispatch mode) in the directory, for `bench/models/memory.ts`.
"""
import sys, os, json, warnings, weakref
warnings.filterwarnings("ignore")
sys.path.insert(0, sys.argv[1])
os.environ["HF_HUB_OFFLINE"]="1"
import torch, models
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from safetensors.torch import save_file
torch.set_num_threads(1)
name, d = sys.argv[2], sys.argv[3]
os.makedirs(d, exist_ok=True)
m,a,k = models.build(name, 2, 64)
weights = {}
for t in list(m.parameters())+list(m.buffers()):
    s=t.untyped_storage(); weights[s.data_ptr()]=s.nbytes()
class Peak(TorchDispatchMode):
    def __init__(s): super().__init__(); s.live=0; s.peak=0; s.seen={}
    def drop(s,key,n):
        if s.seen.pop(key,None) is not None: s.live-=n
    def __torch_dispatch__(s,f,types,args=(),kwargs=None):
        out=f(*args,**(kwargs or {}))
        for t in pytree.tree_leaves(out):
            if isinstance(t,torch.Tensor):
                st=t.untyped_storage(); key=st._cdata
                if st.data_ptr() in weights or key in s.seen: continue
                n=st.nbytes(); s.seen[key]=n; s.live+=n; s.peak=max(s.peak,s.live)
                weakref.finalize(st,s.drop,key,n)
        return out
with torch.no_grad():
    ins={t.untyped_storage().data_ptr():t.untyped_storage().nbytes() for t in pytree.tree_leaves((a,k)) if isinstance(t,torch.Tensor)}
    weights.update({p:0 for p in ins if p not in weights})
    with Peak() as p: out=m(*a,**k)
    del out
    prog=torch.export.export(m,a,k,strict=False)
torch.export.save(prog,d+'/model.pt2')
flat=[t for t in pytree.tree_leaves((a,k)) if isinstance(t,torch.Tensor)]
save_file({f"input_{i}":t.contiguous() for i,t in enumerate(flat)}, d+'/in.safetensors')
json.dump(dict(name=name,weights=sum(weights.values()),activations=p.peak+sum(ins.values())),open(d+'/info.json','w'))
print(open(d+'/info.json').read())
