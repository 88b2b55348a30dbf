"""What nine thousand classes cost at inference: yolo9000's full and split head, and one of 20 classes, on its layers.

    python tools/head_cost.py [--backend torch] [--runs 9] [--candidates 20] [--one-thread]

From the network's input (544x544, batch 1, seeded weights) to final detections, in turn; medians, ratios and the peak
of memory of each in a process of its own. `--candidates` sets the threshold so that this many boxes pass it. With
`--one-thread` the processor's time is measured, which other programs on the machine change little. The last line is
the same as JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from darknet_compat.benchmark.measure import PAUSE
from darknet_compat.definition.lower import lower
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.formats.cfg import Cfg, CfgOption, Section, read_cfg
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.heads import answers
from darknet_compat.inference.select import Criteria, select
from darknet_compat.network.network import Network
from darknet_compat.parity.picture import seeded_image
from darknet_compat.parity.reference import Original, find_original
from darknet_compat.parity.seeded import seed_weights
from darknet_compat.runtime.base import Runtime
from darknet_compat.runtime.machine import machine
from darknet_compat.runtime.timing import interleaved
from darknet_compat.runtime.torch import TorchRuntime
from darknet_compat.vision.boxes import nms, xywh_to_xyxy

HEADS = ("20 classes", "split", "full")
SIZE = 544


def runtime(head: str, backend: str, threads: int | None) -> Runtime:
    """yolo9000's layers with one of the heads, on torch or exported."""
    cfg = read_cfg(cfg_dir() / "yolo9000.cfg")
    network = Network(lower(_with_20_classes(cfg) if head == "20 classes" else cfg, [cfg_dir()]))
    seed_weights(network)
    answers.SPLIT_FROM = 200 if head == "split" else 10**9
    if backend == "torch":
        return TorchRuntime(network)
    from darknet_compat.runtime.onnxruntime import OnnxRuntime
    from darknet_compat.runtime.openvino import OpenVinoRuntime

    kinds: dict[str, Any] = {"onnxruntime": OnnxRuntime, "openvino": OpenVinoRuntime}
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(network.eval(), Path(folder) / "m.onnx")
        ready: Runtime = kinds[backend](Path(folder) / "m.onnx", size=(SIZE, SIZE), threads=threads)
        ready.infer(np.zeros((1, 3, SIZE, SIZE), np.float32))  # OpenVINO reads the weights when it compiles
        return ready


def in_processor_time(task: Callable[[], None]) -> Callable[[], float]:
    """The same, timing itself by what the processor spends on this process."""

    def run() -> float:
        start = time.process_time()
        task()
        return time.process_time() - start

    return run


def detect(runtime: Runtime, thresh: float) -> Callable[[], None]:
    """From the network's input to final detections."""
    images = seeded_image((3, SIZE, SIZE), 1)[None]
    tree = runtime.description.tree

    def run() -> None:
        outputs = {name: array[0] for name, array in runtime.infer(images, thresh).items()}
        kept, scores, _ = select(outputs, Criteria(thresh), tree)
        nms(xywh_to_xyxy(outputs["boxes"][kept]), scores)

    return run


def threshold(runtime: Runtime, candidates: int) -> float:
    """The objectness that this many candidates exceed."""
    objectness = runtime.infer(seeded_image((3, SIZE, SIZE), 1)[None], 0.0)["objectness"][0]
    return float(np.sort(objectness)[-candidates - 1])


def peak_memory(head: str, backend: str, thresh: float) -> dict[str, int]:
    """Resident bytes of a process of its own: once the runtime is made, and at the peak of three detections."""
    command = [sys.executable, __file__, "--backend", backend, "--child", head, str(thresh)]
    result: dict[str, int] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return result


def _child(head: str, backend: str, thresh: float) -> None:
    import gc

    ready = runtime(head, backend, None)
    run = detect(ready, thresh)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _status("VmRSS")
    for _ in range(3):
        run()
    print(json.dumps({"ready": before, "peak": _status("VmHWM")}))


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(key)))


def _with_20_classes(cfg: Cfg) -> Cfg:
    """The same layers with a head for 20 classes and no tree."""
    *rest, convolution, region = cfg.sections
    drop = ("tree", "map")
    return Cfg((*rest, _replaced(convolution, {"filters": "75"}), _replaced(region, {"classes": "20"}, drop)), cfg.name)


def _replaced(section: Section, values: dict[str, str], drop: tuple[str, ...] = ()) -> Section:
    options = [
        CfgOption(option.key, values.get(option.key, option.value), option.line)
        for option in section.options
        if option.key not in drop
    ]
    return Section(section.type, tuple(options), section.line)


def _original(thresh: float) -> Callable[[], float] | None:
    """One pass of the original over the same layers; it times itself. None where it is not installed."""
    if find_original() is None:
        return None
    original = Original()
    images = seeded_image((3, SIZE, SIZE), 1)[None]
    return lambda: original.time_forward(cfg_dir() / "yolo9000.cfg", None, images)[0]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--backend", choices=("torch", "onnxruntime", "openvino"), default="torch")
    parser.add_argument("--one-thread", action="store_true")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _child(arguments.child[0], arguments.backend, float(arguments.child[1]))
        return
    if arguments.one_thread:
        torch.set_num_threads(1)
    threads = 1 if arguments.one_thread else None
    runtimes = {head: runtime(head, arguments.backend, threads) for head in HEADS}
    # Objectness, and so the threshold, is the same with the split head as with the full one.
    limits = {head: threshold(runtimes["full" if head == "split" else head], arguments.candidates) for head in HEADS}
    tasks: dict[str, Callable[[], float | None]] = {head: detect(runtimes[head], limits[head]) for head in HEADS}
    if arguments.one_thread:
        tasks = {head: in_processor_time(detect(runtimes[head], limits[head])) for head in HEADS}
    elif original := _original(limits["full"]):
        tasks["original"] = original
    timed = interleaved(tasks, arguments.runs, 1, pause=PAUSE)
    memory = {head: peak_memory(head, arguments.backend, limits[head]) for head in HEADS}
    base = timed["20 classes"].median
    cores = "one thread's processor time" if arguments.one_thread else f"{torch.get_num_threads()} threads"
    print(f"{machine()}, {arguments.backend}, {cores}; {arguments.runs} runs in turn")
    for name, timing in timed.items():
        extra = f"  {(memory[name]['peak'] - memory[name]['ready']) / 1e6:8.1f} MB extra" if name in memory else ""
        print(f"{name:12} {1000 * timing.median:9.1f} ms  {timing.median / base:7.2f} x 20 classes{extra}")
    record = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "backend": arguments.backend,
        "one_thread": arguments.one_thread,
        "candidates": arguments.candidates,
        "ms": {name: 1000 * timing.median for name, timing in timed.items()},
        "memory": memory,
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
