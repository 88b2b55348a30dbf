"""A target's folder, made of the detector of digits that comes along, and a scene to find digits in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from darknet_compat.datasets.readers.digits import DigitScenes
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.network_weights import StoredWeights
from darknet_compat.evaluation.material.entries import read_entries
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.onnx.options import OnnxOptions
from darknet_compat.export.targets.table import TARGETS
from darknet_compat.export.targets.write import write_target
from darknet_compat.formats.exported.artefact import Artefact

REPOSITORY = Path(__file__).resolve().parents[3]
THRESH = 0.3


def detector(name: str) -> tuple[Path, Path]:
    """The cfg and the weights of a detector that comes along."""
    return REPOSITORY / "cfg" / f"{name}.cfg", REPOSITORY / "weights" / f"{name}.weights"


def make(target: str, folder: Path, name: str = "yolov2-digits") -> tuple[Path, Artefact, list[str]]:
    """The folder of a target: the model's path, what it says of itself, and what was said."""
    row, (cfg, weights) = TARGETS[target], detector(name)
    path = row.model_in(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    names = {"yolov2-digits": [str(number) for number in range(10)]}.get(name)
    options = row.asked(OnnxOptions(thresh=THRESH, names=names))
    artefact = export_onnx(StoredWeights(load_spec(cfg), weights), path, options=options, cfg=cfg)
    return path, artefact, write_target(row, folder, artefact)


def scene(number: int = 0) -> NDArray[np.uint8]:
    """A picture with digits, [H, W, 3], BGR."""
    entries = read_entries(DigitScenes("test", number + 1))
    return np.asarray([picture for picture in entries.images()][number])


def planes(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """[1, 3, H, W], RGB, 0..1, of a picture of the network's size."""
    return np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1)[None], np.float32) / np.float32(255)
