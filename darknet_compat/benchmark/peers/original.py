"""The original as a peer of our runtimes: the same model in the installed Darknet, timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from darknet_compat.benchmark.runners import darknet_files
from darknet_compat.catalogue.locate import Sources
from darknet_compat.formats.arrays import Floats
from darknet_compat.formats.words import WidthHeight
from darknet_compat.parity.reference import Original


@dataclass
class OriginalPeer:
    """A network loaded in a process of the original's own, which runs one picture at a time on one core."""

    cfg: Path
    weights: Path
    size: WidthHeight
    detects: bool
    letterbox: bool
    thresh: float
    original: Original
    channels: int = 3
    label: str = "original"
    precision: str = "fp32"
    batches: bool = False

    def network(self, images: Floats) -> float:
        """One forward pass, timed inside the process."""
        return self.original.time_forward(self.cfg, self.weights, images, size=self.size)[0]

    def pictures(self, files: Sequence[Path], batch: int) -> None:
        """Reading, fitting, forward, boxes and suppression, as `darknet detector test` or `classifier predict`."""
        for file in files:
            if self.detects:
                self.original.detections(
                    self.cfg, self.weights, file, thresh=self.thresh, letterbox=self.letterbox, size=self.size
                )
            else:
                self.original.classify(self.cfg, self.weights, file, size=self.size)

    def close(self) -> None:
        """End the process."""
        self.original.close()


def original_peer(sources: Sources, size: WidthHeight, detects: bool, letterbox: bool, thresh: float) -> OriginalPeer:
    """Raises OriginalError where the original is not installed, BackendError for what it cannot read."""
    cfg, weights = darknet_files(sources)
    return OriginalPeer(cfg, weights, size, detects, letterbox, thresh, Original())
