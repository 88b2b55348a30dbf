"""Images a second in training: our update on the CPU or a GPU against the original's `train_network`, in turn.

    python tools/step_speed.py [--cfg cfg/yolov3-tiny.cfg] [--batch 8] [--runs 5] [--device cpu] [--no-original]
    python tools/step_speed.py --processor     # in seconds of one core, which other load on the machine hardly changes

Forward, loss, backward and update, on random pictures with three objects each, from the same random weights; in fp32
with channels first and last, and in bf16. The original gets one image at a time: its cost an image does not depend on
their number, and it uses one core. Medians and their ratios; the last line is the same as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch

from darknet_compat.definition import spec as s
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.network.network import Network
from darknet_compat.parity.reference import Original, find_original
from darknet_compat.parity.seeded import seed_weights
from darknet_compat.runtime.machine import machine
from darknet_compat.runtime.timing import interleaved
from darknet_compat.training.batches.truth import stack
from darknet_compat.training.losses import Losses
from darknet_compat.training.update.optimizer import make_optimizer

WAYS = {
    "fp32": (torch.float32, torch.contiguous_format),
    "fp32, channels last": (torch.float32, torch.channels_last),
    "bf16, channels last": (torch.bfloat16, torch.channels_last),
}
OBJECTS = 3
RATE = 1e-6


def objects(classes: int, images: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Boxes [OBJECTS, 4] and classes of each image."""
    random = np.random.default_rng(0)
    centres, sizes = random.uniform(0.2, 0.8, (images, OBJECTS, 2)), random.uniform(0.1, 0.5, (images, OBJECTS, 2))
    boxes = np.concatenate([centres, sizes], 2)
    return list(zip(boxes, random.integers(0, classes, (images, OBJECTS)), strict=True))


def ours(network: Network, way: str, pictures: np.ndarray, classes: int, device: str) -> Callable[[], None]:
    """One update of a copy of `network`."""
    dtype, layout = WAYS[way]
    network = network.to(device).to(memory_format=layout).train()  # type: ignore[call-overload]
    losses, optimizer = Losses(network), make_optimizer(network)
    images = torch.from_numpy(pictures).to(device, memory_format=layout)
    truth = stack(objects(classes, len(pictures)))
    truth = type(truth)(*(values.to(device) for values in truth))

    def run() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=dtype == torch.bfloat16):
            raw = network(images)
        losses(raw, truth, 100_000).loss.backward()
        optimizer.step(RATE)
        optimizer.zero_grad()
        if device != "cpu":
            torch.cuda.synchronize()

    return run


def theirs(
    original: Original, cfg: Path, weights: Path, pictures: np.ndarray, classes: int, processor: bool
) -> Callable[[], float]:
    """One update of the original on one image; gives its own seconds."""
    head = load_network(cfg).spec.heads[-1]
    assert isinstance(head, s.Region | s.Yolo)
    truth = np.zeros((1, head.max_boxes, 5), np.float32)
    for row, (box, label) in zip(truth[0], zip(*objects(classes, 1)[0], strict=True), strict=False):
        row[:] = (*box, label)
    return lambda: original.time_train(cfg, weights, pictures[:1], truth.reshape(1, -1), processor=processor)[0]


def by_processor(run: Callable[[], None]) -> Callable[[], float]:
    """Gives the seconds that all threads together took."""

    def timed() -> float:
        start = time.process_time()
        run()
        return time.process_time() - start

    return timed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cfg", type=Path, default=Path("cfg/yolov3-tiny.cfg"))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-original", action="store_true")
    parser.add_argument("--processor", action="store_true")
    arguments = parser.parse_args()
    if arguments.processor:
        torch.set_num_threads(1)
    cfg, device = arguments.cfg.absolute(), arguments.device
    network = load_network(cfg)
    seed_weights(network)
    classes = network.spec.heads[-1].classes  # type: ignore[attr-defined]
    pictures = np.random.default_rng(1).random((arguments.batch, *network.spec.net.input[:3]), np.float32)
    with ExitStack() as stacked:
        folder = Path(stacked.enter_context(tempfile.TemporaryDirectory()))
        save_weights(network, folder / "start.weights")
        runs = {way: ours(load_network(cfg, folder / "start.weights"), way, pictures, classes, device) for way in WAYS}
        tasks: dict[str, Callable[[], float | None]] = {
            way: by_processor(run) if arguments.processor else run for way, run in runs.items()
        }
        if find_original() and not arguments.no_original:
            original = stacked.enter_context(Original())
            start = folder / "start.weights"
            tasks["original"] = theirs(original, cfg, start, pictures, classes, arguments.processor)
        timed = interleaved(tasks, arguments.runs, 1)
    images = {name: (1 if name == "original" else arguments.batch) / timing.median for name, timing in timed.items()}
    threads = f"{torch.get_num_threads()} threads" if device == "cpu" else torch.cuda.get_device_name()
    unit = "images/s" + (" of one core" if arguments.processor else "")
    print(f"{machine()}, torch {torch.__version__}, {threads}; {cfg.name}, batch {arguments.batch}, medians of "
          f"{arguments.runs} in turn, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    for name, rate in images.items():
        against = f"  {rate / images['original']:6.1f} times the original's" if "original" in images else ""
        print(f"{name:20} {rate:9.2f} {unit}{against}")
    print(
        json.dumps(
            {"date": time.strftime("%Y-%m-%d"), "machine": machine(), "cfg": cfg.name, "images_a_second": images}
        )
    )


if __name__ == "__main__":
    main()
