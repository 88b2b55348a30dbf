"""One file of ours in one runtime of others: exported, read in a child process, compared with torch.

The table of docs/evidence/interop.md (`tools/interop_table.py`) and the tests ask the same.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.network.load import load_network
from darknet_compat.network.network import Network
from darknet_compat.parity.compare import TOLERANCES, compare
from darknet_compat.runtime.torch import TorchRuntime
from tests.export.support import pictures, raw, run_graph, seeded
from tests.interop.runtimes import READERS, RUNTIMES, Runtime, tensorrt

REPOSITORY = Path(__file__).resolve().parents[2]
CFG = REPOSITORY / "cfg"
TOLERANCE, HALF = 1e-3, TOLERANCES["torch", "onnxruntime", "fp16"]
"""Of an output's largest value; of files in fp16."""
LIMIT = 600
"""Seconds that a reader may take: compilers take minutes."""

LAYOUTS: dict[str, dict[str, Any]] = {
    "default": {},
    "fixed": {"sizes": "fixed", "batch": 1},
    "heads": {"outputs": "heads", "sizes": "fixed", "batch": 1},
    "detections": {"outputs": "detections", "sizes": "fixed", "batch": 1},
    "fp16": {"precision": "fp16", "sizes": "fixed", "batch": 1},
}
"""What is exported: by no option, of one size, the network alone, with suppression inside, and in half the bytes."""


TRAINED = ("detections", "fp16")
"""Layouts that a trained network alone is shown in."""


def trained(name: str) -> Callable[[], Network]:
    """With the weights that come along."""
    return lambda: load_network(CFG / f"{name}.cfg", REPOSITORY / "weights" / f"{name}.weights").eval()


def with_seeds(name: str) -> Callable[[], Network]:
    """With seeded weights, whose activations are like those of trained ones."""
    return lambda: seeded(CFG / f"{name}.cfg")


NETWORKS: dict[str, Callable[[], Network]] = {
    "yolov2-voc": with_seeds("yolov2-voc"),
    "yolov2-tiny": with_seeds("yolov2-tiny"),
    "yolov3-tiny": with_seeds("yolov3-tiny"),
    "yolov4-tiny": with_seeds("yolov4-tiny"),
    "yolo-fastest-1.1": with_seeds("yolo-fastest-1.1"),
    "yolov2-digits": trained("yolov2-digits"),
    "yolo9000-digits": trained("yolo9000-digits"),
}


def cells() -> list[tuple[Runtime, str, str]]:
    """The runtimes, layouts and networks that are tried. Detections whose scores lie together, as those of seeded
    weights do, have no order, so that only a trained network's are compared, and so are those in fp16. Compilers,
    which take minutes a file, are shown the default file alone."""
    whole = [layout for layout in LAYOUTS if layout not in TRAINED]
    every = [*product(RUNTIMES, whole, NETWORKS), *product(RUNTIMES, TRAINED, ["yolov2-digits"])]
    return [cell for cell in every if not cell[0].compiles or cell[1] == "default"]


@dataclass(frozen=True)
class Cell:
    """What a runtime made of a file. `difference`: the largest, as a part of the output's largest value; None where
    it did not get so far, or runs nothing. `said`: why not, or what is to be known."""

    agrees: bool
    difference: float | None = None
    version: str = ""
    said: str = ""


class Files:
    """Exported files and what torch answers, each made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._networks: dict[str, Network] = {}

    def network(self, name: str) -> Network:
        """The network of a name."""
        if name not in self._networks:
            self._networks = {name: NETWORKS[name]()}  # one at a time: they are large
        return self._networks[name]

    def make(self, name: str, layout: str) -> tuple[Path, Path, Path]:
        """A network's file in a layout, the picture, and the answers expected."""
        model = self.folder / f"{name}-{layout}.onnx"
        picture, expected = model.with_suffix(".npy"), model.with_suffix(".npz")
        if not expected.exists():
            network = self.network(name)
            net = network.spec.net
            images = pictures(net.channels, net.width, net.height, 1)
            export_onnx(network, model, **LAYOUTS[layout])
            np.save(picture, images)
            np.savez(expected, **answers(network, model, layout, images))
        return model, picture, expected


def answers(network: Network, model: Path, layout: str, images: NDArray[np.float32]) -> dict[str, Any]:
    """By torch where it has the same outputs, else by ONNX Runtime, which the other tests hold against torch."""
    if layout == "heads":
        names = [f"raw_{head.index}" for head in network.spec.heads]
        return dict(zip(names, raw(network, images), strict=True))
    if layout in ("default", "fixed", "fp16"):
        found = TorchRuntime(network).infer(images)
        return {name: found[name] for name in ("boxes", "objectness", "classes")}
    return dict(run_graph("onnxruntime", model, images))


def ask(runtime: Runtime, model: Path, picture: Path, expected: Path) -> Cell:
    """Have a runtime read the file, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="darknet-compat-interop-") as work:
        found = Path(work) / "found.npz"
        arguments = [runtime.program, READERS, runtime.reader or runtime.name, model, picture, found, work]
        env = os.environ | {"OMP_NUM_THREADS": "2", "INTEROP": str(runtime.folder.parent)}
        if runtime.name == "tensorrt":
            env["PYTHONPATH"] = str(tensorrt())
        try:
            done = subprocess.run(arguments, capture_output=True, text=True, timeout=LIMIT, env=env)
        except subprocess.TimeoutExpired:
            return Cell(False, said=f"does not end within {LIMIT} s")
        if done.returncode < 0:
            return Cell(False, said=f"the process ends by signal {-done.returncode}")
        if done.returncode:
            return Cell(False, said=last_word(done.stderr))
        version = json.loads(done.stdout.strip().splitlines()[-1])["version"]
        limit = HALF if model.stem.endswith("-fp16") else TOLERANCE
        return compared(dict(np.load(found)), dict(np.load(expected)), version, limit)


def last_word(text: str) -> str:
    """The line of a program's complaint that says most: the last exception's, else the last."""
    lines = [line.strip("> ") for line in text.splitlines() if line.strip("> ")]
    named = [line for line in lines if re.match(r"[\w.]*(Error|error|Exception)\b", line)]
    return ([*lines[-1:], *named[-1:]] or ["no word"])[-1][:300]


def compared(found: dict[str, Any], expected: dict[str, Any], version: str, limit: float = TOLERANCE) -> Cell:
    """The answers side by side: by their names, or by their order where the runtime has names of its own."""
    if not found:
        return Cell(True, version=version, said="built, not run")
    if len(found) < len(expected):
        return Cell(False, version=version, said=f"gives {', '.join(found)} of {', '.join(expected)}")
    named = set(found) >= set(expected)
    ordered = [found[name] for name in expected] if named else list(found.values())
    worst = 0.0
    for (name, theirs), ours in zip(expected.items(), ordered, strict=False):
        if ours.shape != theirs.shape:
            return Cell(False, version=version, said=f"{name} has shape {ours.shape} for {theirs.shape}")
        if theirs.any():
            worst = max(worst, compare(name, theirs, ours, limit).relative)
    return Cell(worst <= limit, worst, version, "" if named else "names are its own")
