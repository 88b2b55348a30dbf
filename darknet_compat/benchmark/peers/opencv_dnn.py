"""OpenCV's DNN module as a peer: the same model through its reader of Darknet's files, and of ONNX."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from darknet_compat.benchmark.runners import Exports, darknet_files
from darknet_compat.errors import BackendError
from darknet_compat.formats.arrays import Floats
from darknet_compat.formats.words import WidthHeight
from darknet_compat.vision.opencv import opencv


@dataclass
class OpenCv:
    """A net of OpenCV's, used as its own samples use it: stretched pictures, scores of all cells, its own NMS."""

    label: str
    size: WidthHeight
    net: Any
    detects: bool
    thresh: float
    nms: float = 0.45
    channels: int = 3
    batches: bool = True
    precision: str = "fp32"
    names: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = self.net.getUnconnectedOutLayersNames()

    def network(self, images: Floats) -> None:
        """See `Runner.network`."""
        self._forward(images)

    def pictures(self, files: Sequence[Path], batch: int) -> None:
        """See `Runner.pictures`."""
        cv2 = opencv()
        for start in range(0, len(files), batch):
            pictures = [cv2.imread(str(file)) for file in files[start : start + batch]]
            outputs = self._forward(cv2.dnn.blobFromImages(pictures, 1 / 255, self.size, swapRB=True))
            for number, picture in enumerate(pictures):
                if self.detects:
                    self._detections(*_decoded(self.names, outputs, number), picture.shape)
                else:
                    np.argsort(-outputs[0][number].ravel())[:5]

    def close(self) -> None:
        """See `Runner.close`: there is nothing to release."""

    def _forward(self, images: Floats) -> Sequence[Floats]:
        self.net.setInput(images)
        outputs: Sequence[Floats] = self.net.forward(self.names)
        return outputs

    def _detections(self, boxes: Floats, scores: Floats, shape: tuple[int, ...]) -> list[Any]:
        """Boxes [D, 4] as centre and size in fractions, scores [D, C] → what is left after suppression."""
        cv2 = opencv()
        class_ids = scores.argmax(1)
        best = scores[np.arange(len(scores)), class_ids]
        likely = best > self.thresh
        sides = boxes[likely] * np.array([shape[1], shape[0]] * 2, np.float32)
        sides[:, :2] -= sides[:, 2:] / 2
        kept = cv2.dnn.NMSBoxesBatched(sides, best[likely], class_ids[likely], self.thresh, self.nms)
        return [(sides[number], best[likely][number], class_ids[likely][number]) for number in kept]


def darknet_reader(exports: Exports, size: WidthHeight, detects: bool, thresh: float) -> OpenCv:
    """The `.cfg` and `.weights` themselves. Raises BackendError where OpenCV does not take them."""
    cv2 = opencv()
    if not hasattr(cv2.dnn, "readNetFromDarknet"):
        raise BackendError(f"OpenCV {cv2.__version__} reads no Darknet files, 4.x does")
    cfg, weights = darknet_files(exports.sources)
    arguments = (str(cfg), str(weights))
    return _opened("opencv", cv2.dnn.readNetFromDarknet, arguments, size, detects, thresh)


def onnx_reader(exports: Exports, size: WidthHeight, detects: bool, thresh: float) -> OpenCv:
    """Our own export, of one size. Raises BackendError where OpenCV does not take it."""
    cv2 = opencv()
    path = exports.boxes(size, fixed=True)
    net = _opened("opencv-onnx", cv2.dnn.readNetFromONNX, (str(path),), size, detects, thresh)
    net.batches = False
    return net


READERS = {"opencv": darknet_reader, "opencv-onnx": onnx_reader}


_TRIAL = """
import sys, cv2, numpy
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
reader, width, height, *files = sys.argv[1:]
net = getattr(cv2.dnn, reader)(*files)
net.setInput(numpy.zeros((1, 3, int(height), int(width)), numpy.float32))
net.forward(net.getUnconnectedOutLayersNames())
"""
"""OpenCV 5.0.0 ends the whole process inside `forward` on some valid graphs: a process of its own tries it first."""


def _expect_to_survive(reader: str, files: tuple[str, ...], size: WidthHeight) -> None:
    """Raise BackendError for a net that ends the process; what it refuses in words is told when it is opened here."""
    line = [sys.executable, "-c", _TRIAL, reader, *map(str, size), *files]
    code = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True).returncode
    if code < 0:
        raise BackendError(f"OpenCV {opencv().__version__}: ends its process on this network (signal {-code})")


def _opened(
    label: str, read: Any, arguments: tuple[str, ...], size: WidthHeight, detects: bool, thresh: float
) -> OpenCv:
    """Read a net, and run it once: OpenCV finds out only then what it cannot do."""
    cv2 = opencv()
    _expect_to_survive(read.__name__, arguments, size)
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        net = OpenCv(label, size, read(*arguments), detects, thresh)
        net.network(np.zeros((1, 3, size[1], size[0]), np.float32))
    except cv2.error as error:
        reason = str(error.err or error).strip().splitlines()
        raise BackendError(f"OpenCV {cv2.__version__}: {reason[0] if reason else 'fails'}") from None
    finally:
        cv2.utils.logging.setLogLevel(level)
    return net


def _decoded(names: Sequence[str], outputs: Sequence[Floats], number: int) -> tuple[Floats, Floats]:
    """One picture's boxes [D, 4] and scores [D, C] of all heads together.

    The Darknet reader's heads give rows of box, objectness, and scores that it has multiplied already.
    """
    if "objectness" in names:
        found = {name: output[number] for name, output in zip(names, outputs, strict=True)}
        return found["boxes"], found["objectness"][:, None] * found["classes"]
    rows = np.concatenate([output[number] if output.ndim == 3 else output for output in outputs])
    return rows[:, :4], rows[:, 5:]
