"""The layers that give a network's answers, as torch modules: `darknet_compat.heads` on tensors.

`forward` activates (raw → what the original's `layer.output` holds); `boxes` decodes the activated output of the heads
that detect.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from darknet_compat.definition import spec as s
from darknet_compat.heads import classes, detection, gaussian, region, yolo
from darknet_compat.heads.boxes import Boxes as Boxes
from darknet_compat.network.layers import Build
from darknet_compat.network.torch_ops import TorchOps


class Softmax(nn.Module):
    """The answer of a classifier: [N, …] → [N, values]; with `spatial` [N, C, H, W]."""

    def __init__(self, spec: s.Softmax, build: Build) -> None:
        super().__init__()
        self.head, self.ops = classes.Softmax(spec, build), TorchOps()

    def forward(self, x: Tensor) -> Tensor:
        """See `heads.classes.Softmax`."""
        return _tensor(self.head.activate(self.ops, x))


class Logistic(nn.Module):
    """The logistic function: any shape → the same shape."""

    def __init__(self, spec: s.Logistic, build: Build) -> None:
        super().__init__()
        self.head, self.ops = classes.Logistic(spec, build), TorchOps()

    def forward(self, x: Tensor) -> Tensor:
        """See `heads.classes.Logistic`."""
        return _tensor(self.head.activate(self.ops, x))


class Iseg(nn.Module):
    """Class maps and embeddings: [N, classes + ids, H, W] → the same shape."""

    def __init__(self, spec: s.Iseg, build: Build) -> None:
        super().__init__()
        self.head, self.ops = classes.Iseg(spec, build), TorchOps()

    def forward(self, x: Tensor) -> Tensor:
        """See `heads.classes.Iseg`."""
        return _tensor(self.head.activate(self.ops, x))


class Region(nn.Module):
    """YOLOv2's and YOLO9000's head; `anchors` [num, 2] are in cells."""

    anchors: Tensor

    def __init__(self, spec: s.Region, build: Build) -> None:
        super().__init__()
        self.spec, self.head, self.ops = spec, region.Region(spec, build), TorchOps()
        self.register_buffer("anchors", torch.tensor(spec.anchors), persistent=False)
        self.masks_activated = self.head.masks_activated

    def forward(self, x: Tensor) -> Tensor:
        """[N, num·(coords + 1 + classes), H, W] → the same shape, activated."""
        return torch.cat(self.head.activate(self.ops, x), 2).reshape(x.shape)

    def locate(self, x: Tensor) -> Tensor:
        """The coordinates, [N, num, coords, H, W], of raw [N, num, coords + …, H, W]."""
        coords = self.spec.coords
        parts = self.ops.split(x[:, :, :coords], [2, 2, coords - 4], 2)
        return torch.cat(self.head.locate(self.ops, parts), 2)

    def boxes(self, activated: Tensor, input_size: tuple[int, int]) -> Boxes:
        """Decode `forward`'s result."""
        return self.head.boxes(self.ops, self.head.parts(self.ops, activated), activated)

    def objects(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes [N, D, 4] and objectness [N, D] of raw [N, num·(coords + 1), H, W], without any classes."""
        return self.head.objects(self.ops, x)

    def decode(self, located: Tensor) -> Tensor:
        """[N, num, 4, H, W] → [N, D, 4]; anchors are in cells of the grid."""
        centre, size = located.flatten(3).split(2, 2)
        return _tensor(self.head.decode(self.ops, centre, size, located[:, 0])).mT.flatten(1, 2)


class Yolo(nn.Module):
    """YOLOv3's head; `anchors` [masks, 2] are in pixels of the network's input."""

    anchors: Tensor

    def __init__(self, spec: s.Yolo, build: Build) -> None:
        super().__init__()
        self.spec, self.head, self.ops = spec, yolo.Yolo(spec, build), TorchOps()
        anchors = torch.tensor([spec.anchors[number] for number in spec.mask])
        self.register_buffer("anchors", anchors, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, masks·(5 + classes), H, W] → the same shape, activated."""
        return torch.cat(self.head.activate(self.ops, x), 2).reshape(x.shape)

    def boxes(self, activated: Tensor, input_size: tuple[int, int]) -> Boxes:
        """Decode `forward`'s result; `input_size` is the network's (width, height)."""
        size = self.ops.sides(*input_size, activated)
        return self.head.boxes(self.ops, self.head.parts(self.ops, activated), activated, size)

    def decode(self, located: Tensor, input_size: tuple[int, int]) -> Tensor:
        """[N, masks, 4, H, W] → the boxes that these coordinates mean, the same shape."""
        return _decoded(self, located, input_size)


class GaussianYolo(nn.Module):
    """The fork's head with uncertainties; `anchors` [masks, 2] are in pixels of the network's input."""

    anchors: Tensor

    def __init__(self, spec: s.GaussianYolo, build: Build) -> None:
        super().__init__()
        self.spec, self.head, self.ops = spec, gaussian.GaussianYolo(spec, build), TorchOps()
        anchors = torch.tensor([spec.anchors[number] for number in spec.mask])
        self.register_buffer("anchors", anchors, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, masks·(9 + classes), H, W] → the same shape, activated."""
        return torch.cat(self.head.activate(self.ops, x), 2).reshape(x.shape)

    def boxes(self, activated: Tensor, input_size: tuple[int, int]) -> Boxes:
        """Decode `forward`'s result; `input_size` is the network's (width, height)."""
        size = self.ops.sides(*input_size, activated)
        return self.head.boxes(self.ops, self.head.parts(self.ops, activated), activated, size)

    def decode(self, located: Tensor, input_size: tuple[int, int]) -> Tensor:
        """[N, masks, 4, H, W] → the boxes that these coordinates mean, the same shape."""
        return _decoded(self, located, input_size)

    def uncertainties(self, activated: Tensor) -> Tensor:
        """Those of x, y, w and h, [N, D, 4], for each of `boxes`."""
        return _tensor(self.head.uncertainties(self.ops, self.head.parts(self.ops, activated)))


class Detection(nn.Module):
    """YOLO's first head."""

    def __init__(self, spec: s.Detection, build: Build) -> None:
        super().__init__()
        self.spec, self.head, self.ops = spec, detection.Detection(spec, build), TorchOps()

    def forward(self, x: Tensor) -> Tensor:
        """[N, side²·(classes + num·(1 + coords))] → the same shape, with `softmax` on each cell's classes."""
        return torch.cat(self.head.activate(self.ops, x), 1)

    def boxes(self, activated: Tensor, input_size: tuple[int, int]) -> Boxes:
        """Decode `forward`'s result."""
        return self.head.boxes(self.ops, self.head.parts(self.ops, activated))


def _decoded(module: Yolo | GaussianYolo, located: Tensor, input_size: tuple[int, int]) -> Tensor:
    centre, size = located.flatten(3).split(2, 2)
    sides = module.ops.sides(*input_size, located)
    return _tensor(module.head.decode(module.ops, centre, size, located[:, 0], sides)).reshape(located.shape)


def by_anchor(x: Tensor, anchors: int) -> Tensor:
    """[N, A·K, H, W] → [N, A, K, H, W]."""
    return x.reshape(x.shape[0], anchors, -1, x.shape[2], x.shape[3])


def _tensor(x: Any) -> Tensor:
    assert isinstance(x, Tensor)
    return x
