"""Darknet's `.cfg` and `.weights` in Python: read, run, compare and carry on with any network the original knows.

    import darknet_compat as dc

    detector = dc.Detector("yolov2-voc")
    found = detector("dog.jpg")
    found.boxes, found.scores, found.names

Importing this package imports neither torch nor OpenCV nor any runtime: each name below is fetched from its room
when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from darknet_compat.errors import DarknetCompatError

if TYPE_CHECKING:
    from darknet_compat.evaluation.job import evaluate
    from darknet_compat.evaluation.options import EvaluateOptions
    from darknet_compat.export.onnx.export import export_onnx
    from darknet_compat.export.tensorrt.engine import build_engine
    from darknet_compat.inference.classifier import Classifier
    from darknet_compat.inference.detector import Detector
    from darknet_compat.inference.results import Detections
    from darknet_compat.network.load import load_network, save_weights
    from darknet_compat.network.network import Network
    from darknet_compat.training.job import train
    from darknet_compat.training.options import TrainOptions

__version__ = "0.1.0"

__all__ = [
    "Classifier",
    "DarknetCompatError",
    "Detections",
    "Detector",
    "EvaluateOptions",
    "Network",
    "TrainOptions",
    "__version__",
    "build_engine",
    "evaluate",
    "export_onnx",
    "load_network",
    "save_weights",
    "train",
]

_ROOMS = {
    "Classifier": "darknet_compat.inference.classifier",
    "Detections": "darknet_compat.inference.results",
    "Detector": "darknet_compat.inference.detector",
    "EvaluateOptions": "darknet_compat.evaluation.options",
    "Network": "darknet_compat.network.network",
    "TrainOptions": "darknet_compat.training.options",
    "build_engine": "darknet_compat.export.tensorrt.engine",
    "evaluate": "darknet_compat.evaluation.job",
    "export_onnx": "darknet_compat.export.onnx.export",
    "load_network": "darknet_compat.network.load",
    "save_weights": "darknet_compat.network.load",
    "train": "darknet_compat.training.job",
}


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_ROOMS[name]), name)
    globals()[name] = value  # the next access finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
