"""What `gpu_check.py` measures of torch on a GPU: products of matrices, networks, training steps."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator

import torch
from gpu_record import Check

from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.network.load import load_network

TRAINING_GFLOP = 88.0
"""Billion operations an image of a training step of yolov2-voc at 416."""


def check_torch(check: Check) -> None:
    """The rate of large products, which is what all else is held against, and torch eager and compiled."""
    side = 512 if check.rehearse else 8192
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        left, right = (torch.randn(side, side, device=check.device, dtype=dtype) for _ in range(2))
        rate = 2 * side**3 / check.timed(lambda a=left, b=right: a @ b) / 1e12  # type: ignore[misc]
        check.add("torch", f"matrix rate, {name}", rate, "TFLOP/s", side=side)
    network = check.network("yolov2-tiny-voc" if check.rehearse else "yolov2-voc").folded()
    network = network.to(check.device, torch.float16 if check.device == "cuda" else torch.float32)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for kind, run in (("eager", network), ("compiled", torch.compile(network))):
        for batch in (1,) if check.rehearse else (1, 64):
            images = torch.rand(batch, 3, 416, 416, device=check.device, dtype=next(network.parameters()).dtype)
            images = images.contiguous(memory_format=torch.channels_last)
            with check.attempt("torch", f"{kind}, batch {batch}"), torch.inference_mode():
                seconds = check.timed(lambda r=run, x=images: r(x))  # type: ignore[misc]
                check.add("torch", f"{kind}, batch {batch}", batch / seconds, "images/s", ms=1000 * seconds)


def check_training(check: Check) -> None:
    """Whole training steps of yolov2-voc at 416 in bf16 on synthetic pictures that lie on the GPU already."""
    from darknet_compat.training.batches.loader import Batch
    from darknet_compat.training.batches.truth import Truth
    from darknet_compat.training.trainer import Trainer, TrainerSettings

    name, count, side = ("yolov2-tiny-voc", 2, 96) if check.rehearse else ("yolov2-voc", 64, 416)
    text = (cfg_dir() / f"{name}.cfg").read_text()
    for key, value in (("batch", count), ("subdivisions", 1), ("width", side), ("height", side), ("random", 0)):
        text = re.sub(rf"(?m)^{key}\s*=.*$", f"{key}={value}", text)
    (check.folder / "train.cfg").write_text(text)
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(count, 5, 4, generator=generator) * 0.4 + 0.2
    truth = Truth(boxes.to(check.device), torch.randint(20, (count, 5), generator=generator).to(check.device))
    images = torch.rand(count, 3, side, side, generator=generator).to(check.device)
    steps = 3 if check.rehearse else 30

    def batches(start: int) -> Iterator[Batch]:
        for number in range(start, start + steps):
            yield Batch(images, truth, number, ())

    for compiled in (False,) if check.rehearse else (False, True):
        what = "training step, compiled" if compiled else "training step"
        with check.attempt("training", what):
            network = load_network(check.folder / "train.cfg")
            settings = TrainerSettings(precision="bf16", compile=compiled, checkpoint_every=10**9)
            trainer = Trainer(network, batches, check.folder / "training", name="check", settings=settings)
            seconds = [step.seconds for step in trainer.run()][steps // 3 :]
            rate = count / statistics.median(seconds)
            tflops = rate * TRAINING_GFLOP / 1000
            check.add("training", what, rate, "images/s", tflops=tflops, batch=count, side=side)
