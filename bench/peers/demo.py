"""The demo's training step in PyTorch: eager and torch.compile. Prints one JSON object.

    python bench/peers/demo.py --batch 64 --threads 2 --seconds 3 [--no-compile]
"""
import argparse
import json
import time

import torch
from torch import nn


class DigitNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(32)
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(0.25)
        self.fc1 = nn.Linear(32 * 7 * 7, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        relu = nn.functional.relu
        a = self.pool(relu(self.bn1(self.conv1(x))))
        b = self.pool(relu(self.bn2(self.conv2(a))))
        return self.fc2(relu(self.fc1(self.dropout(self.flatten(b)))))


def make_step():
    torch.manual_seed(1)
    model = DigitNet()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, foreach=True)

    def step(images, labels):
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


def measure(step, images, labels, seconds):
    start = time.perf_counter()
    step(images, labels).item()
    first = time.perf_counter() - start
    for _ in range(3):
        step(images, labels).item()
    times = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        start = time.perf_counter()
        step(images, labels).item()
        times.append(time.perf_counter() - start)
    times.sort()
    return {"first_call_ms": first * 1e3, "median_ms": times[len(times) // 2] * 1e3, "p10_ms": times[len(times) // 10] * 1e3, "calls": len(times)}


parser = argparse.ArgumentParser()
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--seconds", type=float, default=3)
parser.add_argument("--no-compile", action="store_true")
args = parser.parse_args()
torch.set_num_threads(args.threads)
torch.manual_seed(0)
images = torch.rand(args.batch, 1, 28, 28)
labels = torch.arange(args.batch) % 10
out = {"version": torch.__version__, "eager": measure(make_step(), images, labels, args.seconds)}
if not args.no_compile:
    try:
        # The whole step: forward and backward are compiled graphs, the optimiser is another.
        out["compile"] = measure(torch.compile(make_step()), images, labels, args.seconds)
    except Exception as error:  # a report, not a reason to lose the eager figure
        out["compile_error"] = str(error).splitlines()[0]
print(json.dumps(out))
