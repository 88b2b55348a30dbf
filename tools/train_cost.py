"""What nine thousand classes cost in training: one step of yolo9000 with its full or sparse head, or with 20 classes.

    python tools/train_cost.py [--runs 5] [--size 544] [--batch 2] [--device cpu] [--cpu-time]

From images to updated weights (forward, loss, backward, SGD with momentum and decay), seeded weights, in turn; half of
the images have eight boxes each, the others a label as a whole. Medians, ratios, and the peak of memory of each in a
process of its own. `--cpu-time` counts the processor's time instead of the clock's, for a machine that has other work;
set OMP_NUM_THREADS=1 with it, or waiting counts too. The last line is the same as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from darknet_compat.definition.lower import lower
from darknet_compat.formats.cfg import Cfg, CfgOption, Section, read_cfg
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.network.network import Network
from darknet_compat.parity.seeded import seed_weights
from darknet_compat.runtime.machine import machine
from darknet_compat.runtime.timing import interleaved
from darknet_compat.training.batches.truth import Truth
from darknet_compat.training.losses import Losses
from darknet_compat.training.update.optimizer import make_optimizer
from darknet_compat.training.update.sparse_region import Features, SparseHead, SparseSGD

HEADS = ("20 classes", "sparse", "full")
BOXES = 8


def step(head: str, size: int, batch: int, device: str, clock: Callable[[], float]) -> Callable[[], float]:
    """One update of yolo9000's layers with one of the heads, each time on other truths; it gives its seconds."""
    cfg = read_cfg(cfg_dir() / "yolo9000.cfg")
    cfg = _with_20_classes(cfg) if head == "20 classes" else cfg
    network = Network(lower(cfg, [cfg_dir()])).train()
    seed_weights(network)
    network.to(device).to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(0)
    classes = 20 if head == "20 classes" else 9418
    forward: Callable[[torch.Tensor], Any]
    losses: Callable[..., Any]
    optimizer: Any
    if head == "sparse":
        losses = SparseHead(network)
        forward, optimizer = Features(network), SparseSGD(network, losses)
    else:
        forward, losses, optimizer = network, Losses(network), make_optimizer(network)
    images = torch.rand(batch, 3, size, size, generator=generator).to(device, memory_format=torch.channels_last)

    def run() -> float:
        boxes = torch.rand(batch, BOXES, 4, generator=generator) * 0.5 + 0.1
        label = torch.randint(0, classes, (batch, BOXES), generator=generator)
        boxes[batch // 2 + batch % 2 :] = 0
        label[batch // 2 + batch % 2 :, 1:] = -1
        truth = Truth(boxes.to(device), label.to(device))
        started = clock()
        losses(forward(images), truth, 100_000).loss.backward()
        optimizer.step(1e-6)
        optimizer.zero_grad()
        if device != "cpu":
            torch.cuda.synchronize()
        return clock() - started

    return run


def peak_memory(head: str, arguments: argparse.Namespace) -> int:
    """Bytes at the peak of three steps, of a process of its own; of the GPU's where there is one.

    Every tensor gets pages of its own, which go back when it is freed: else the peak is that of a fragmented heap.
    """
    given = [head, str(arguments.size), str(arguments.batch), arguments.device]
    command = [sys.executable, __file__, "--child", *given]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    return int(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)


def _child(head: str, size: str, batch: str, device: str) -> None:
    run = step(head, int(size), int(batch), device, time.perf_counter)
    for _ in range(3):
        run()
    print(torch.cuda.max_memory_allocated() if device != "cpu" else _peak())


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


def _with_20_classes(cfg: Cfg) -> Cfg:
    """The same layers with a head for 20 classes and no tree."""
    *rest, convolution, region = cfg.sections
    return Cfg((*rest, _replaced(convolution, {"filters": "75"}), _replaced(region, {"classes": "20"})), cfg.name)


def _replaced(section: Section, values: dict[str, str]) -> Section:
    options = [
        CfgOption(option.key, values.get(option.key, option.value), option.line)
        for option in section.options
        if option.key not in ("tree", "map")
    ]
    return Section(section.type, tuple(options), section.line)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", type=int, default=544)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _child(*arguments.child)
        return
    memory = {head: peak_memory(head, arguments) for head in HEADS}
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    tasks = {head: step(head, arguments.size, arguments.batch, arguments.device, clock) for head in HEADS}
    timed = interleaved(tasks, arguments.runs, 1)
    base = HEADS[0]
    ratios = {
        head: sorted(a / b for a, b in zip(timing.seconds, timed[base].seconds, strict=True))[len(timing.seconds) // 2]
        for head, timing in timed.items()
    }
    print(f"{machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads; {arguments.runs} runs in turn")
    for head, timing in timed.items():
        print(
            f"{head:12} {timing.median:7.3f} s  {ratios[head]:6.2f} x {base}"
            f"  {memory[head] / 1e6:8.1f} MB at the peak  {memory[head] / memory[base]:6.2f} x"
        )
    record = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "size": arguments.size,
        "batch": arguments.batch,
        "clock": "processor" if arguments.cpu_time else "wall",
        "seconds": {head: timing.median for head, timing in timed.items()},
        "ratio": ratios,
        "memory": memory,
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
