"""Exports a program of 250 small linear layers with 150 parameters and a softmax behind each: for bench/cuda_host.ts.

    python bench/peers/many_kernels.py FILE.pt2
"""
import sys

import torch


class Deep(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(32, 32) for _ in range(75))

    def forward(self, x):
        for i in range(250):
            x = self.layers[i % 75](x).softmax(1)
        return x


torch.manual_seed(0)
torch.export.save(torch.export.export(Deep(), (torch.randn(32, 32),)), sys.argv[1])
