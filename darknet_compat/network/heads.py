"""The layers that give a network's answers, as torch modules: `darknet_compat.heads` on tensors.

`forward` activates (raw → what the original's `layer.output` holds); `boxes` decodes the activated output of the heads
that detect.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from darknet_compat.definition import spec as s
from darknet_compat.formats.words import Build
from darknet_compat.heads import region
from darknet_compat.heads.answers import HEADS
from darknet_compat.heads.boxes import Boxes as Boxes
from darknet_compat.network.layers import Modules
from darknet_compat.network.torch_ops import TorchOps


class Head(nn.Module):
    """A head as it is written in `heads`: what a network's raw output means."""

    head: Any

    def __init__(self, spec: Any, build: Build) -> None:
        super().__init__()
        self.spec, self.head, self.ops = spec, HEADS[type(spec)](spec, build), TorchOps()

    def forward(self, x: Tensor) -> Tensor:
        """The raw output [N, C, H, W] activated; of a head with a grid in the same shape."""
        found = self.head.activate(self.ops, x)
        if not self.spec.detects:
            return _tensor(found)
        joined = torch.cat(found, self.head.axis)
        return joined.reshape(x.shape) if self.head.axis > 1 else joined

    def boxes(self, activated: Tensor, input_size: tuple[int, int]) -> Boxes:
        """Decode `forward`'s result [N, C, H, W]; `input_size` is the network's (width, height), in pixels."""
        size = self.ops.sides(*input_size, activated) if self.head.needs_input_size else None
        found: Boxes = self.head.boxes(self.ops, self.head.parts(self.ops, activated), activated, size)
        return found


class Region(Head):
    """YOLOv2's and YOLO9000's head; `anchors` [num, 2] are in cells."""

    head: region.Region
    anchors: Tensor

    def __init__(self, spec: s.Region, build: Build) -> None:
        super().__init__(spec, build)
        self.register_buffer("anchors", torch.tensor(spec.anchors), persistent=False)
        self.masks_activated = self.head.masks_activated

    def locate(self, x: Tensor) -> Tensor:
        """The coordinates, [N, num, coords, H, W], of raw [N, num, coords + …, H, W]."""
        coords = self.spec.coords
        parts = self.ops.split(x[:, :, :coords], [2, 2, coords - 4], 2)
        return torch.cat(self.head.locate(self.ops, parts), 2)

    def objects(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes [N, D, 4] and objectness [N, D] of raw [N, num·(coords + 1), H, W], without any classes."""
        return self.head.objects(self.ops, x)

    def decode(self, located: Tensor) -> Tensor:
        """[N, num, 4, H, W] → [N, D, 4]; anchors are in cells of the grid."""
        centre, size = located.flatten(3).split(2, 2)
        return _tensor(self.head.decode(self.ops, centre, size, located[:, 0])).mT.flatten(1, 2)


class Yolo(Head):
    """YOLOv3's head, and the fork's with uncertainties; `anchors` [masks, 2] are in pixels of the network's input."""

    anchors: Tensor

    def __init__(self, spec: s.YoloHead, build: Build) -> None:
        super().__init__(spec, build)
        anchors = torch.tensor([spec.anchors[number] for number in spec.mask])
        self.register_buffer("anchors", anchors, persistent=False)

    def decode(self, located: Tensor, input_size: tuple[int, int]) -> Tensor:
        """[N, masks, 4, H, W] → the boxes that these coordinates mean, the same shape."""
        centre, size = located.flatten(3).split(2, 2)
        sides = self.ops.sides(*input_size, located)
        return _tensor(self.head.decode(self.ops, centre, size, located[:, 0], sides)).reshape(located.shape)

    def uncertainties(self, activated: Tensor) -> Tensor:
        """Of a [Gaussian_yolo] those of x, y, w and h, [N, D, 4], for each of `boxes`."""
        return _tensor(self.head.uncertainties(self.ops, self.head.parts(self.ops, activated)))


def by_anchor(x: Tensor, anchors: int) -> Tensor:
    """[N, A·K, H, W] → [N, A, K, H, W]."""
    return x.reshape(x.shape[0], anchors, -1, x.shape[2], x.shape[3])


def _tensor(x: Any) -> Tensor:
    assert isinstance(x, Tensor)
    return x


MODULES: Modules = {**dict.fromkeys(HEADS, Head), s.Region: Region, s.Yolo: Yolo, s.GaussianYolo: Yolo}
"""A head's spec → the module that computes it: one with more to say in training has a class of its own."""
