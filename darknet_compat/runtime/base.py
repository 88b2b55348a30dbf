"""The one protocol of all runtimes, and what an artefact says of itself.

A runtime takes pixels and gives arrays; everything before (decoding, resizing) and after (thresholds, NMS, names) is
`inference`'s, the same for every one of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypedDict

from darknet_compat.definition.dialects import DialectName
from darknet_compat.errors import BackendError
from darknet_compat.formats.arrays import Floats
from darknet_compat.formats.words import Build, Mode, Precision, Resize, Task, WidthHeight
from darknet_compat.formats.wordtree import WordTree

__all__ = ["Description", "Runtime", "Use", "UseOptions"]


@dataclass(frozen=True)
class Description:
    """How an artefact wants to be used. `width` and `height` are of its input, in pixels; `names` of its classes, where
    it carries them. `nms_kind` and `beta_nms` say how boxes suppress others (`vision.boxes.distance_exponent`). The
    thresholds are those it is meant to be used with, and with `suppressed` those it has been: what
    scores less has not come out, nor what overlaps more. With `named_inside` nodes of a WordTree have been chosen by
    `hier_thresh` too, and are classes like any others. `leaves_first`: how a WordTree's answer is chosen,
    `labels_beside`: where it learned from labels (`definition.dialects`). `are_probabilities`: whether a classifier's
    answers are, or only its last layer's values."""

    name: str
    task: Task
    width: int
    height: int
    channels: int
    classes: int
    resize: Resize = "letterbox"
    precision: Precision = "fp32"
    tree: WordTree | None = None
    map: tuple[int, ...] | None = None
    names: tuple[str, ...] | None = None
    thresh: float = 0.5
    hier_thresh: float = 0.5
    nms: float = 0.45
    nms_kind: str = "default"
    beta_nms: float = 0.6
    suppressed: bool = False
    named_inside: bool = False
    leaves_first: bool = False
    labels_beside: bool = False
    are_probabilities: bool = True


@dataclass(frozen=True)
class Use:
    """How a model is going to be used, from whoever opens it to the runtime: by which `backend`, in which `precision`,
    at which `size` of its input, (width, height), and pictures fitted how (None: as it was made for); many pictures or
    one at a time, on how many cores (None: all), and on which device, as torch names them: "cpu", "cuda", "cuda:1"
    (None: what the runtime takes by itself). `dialect` is whose words a `.cfg` is read as, None for what its own words
    tell; `batchnorm` which build of the original it equals (`definition.builds`)."""

    backend: str = "auto"
    precision: Precision = "fp32"
    size: WidthHeight | None = None
    resize: Resize | None = None
    mode: Mode = "latency"
    threads: int | None = None
    device: str | None = None
    dialect: DialectName | None = None
    batchnorm: Build = "cuda"

    @property
    def gpu(self) -> int:
        """The number of the GPU: 1 of "cuda:1"."""
        return int((self.device or "cuda").partition(":")[2] or 0)


class UseOptions(TypedDict, total=False):
    """The fields of `Use` as the keyword arguments of a Detector or Classifier, where a side may stand for a square."""

    backend: str
    precision: Precision
    size: int | WidthHeight | None
    resize: Resize | None
    mode: Mode
    threads: int | None
    device: str | None
    dialect: DialectName | None
    batchnorm: Build


def too_large(name: object, images: Floats) -> BackendError:
    """What to say where the memory does not suffice for `images` [N, C, H, W]."""
    count, _, height, width = images.shape
    return BackendError(
        f"{name}: not enough memory for {count} x {width}x{height} pixels at once; a smaller size or batch needs less"
    )


class Runtime(Protocol):
    """A network ready to run. Safe to share between threads.

    `streams` is how many calls of `infer` at once use the machine best: 1 in mode "latency".
    """

    description: Description
    streams: int

    def infer(self, images: Floats, thresh: float = 0.0) -> Mapping[str, Floats]:
        """Run the network on float32 [N, C, H, W], RGB, 0..1.

        For detectors `boxes` [N, D, 4], centre and size as fractions of the input; `objectness` [N, D]; `classes`
        [N, D, C], each class's probability given an object; where the network has them `uncertainties` [N, D, 4], 0..1,
        of a box's four numbers. For classifiers `classes` [N, C]. A tree's classes have
        their probability given their parent.

        Where classes are many, D may be fewer than the network has cells and anchors: the best by objectness, among
        which is every candidate above `thresh`, except the number `dropped` [N] for which there was no room.
        """
        ...


def expect_not_forked(process: int, where: str) -> None:
    """Raise BackendError in any process but the one of that number, where only it can use a GPU."""
    if os.getpid() != process:
        raise BackendError(
            f"{where}: runs on a GPU, which a forked process cannot use; start processes by spawn:"
            " multiprocessing.set_start_method('spawn')"
        )
