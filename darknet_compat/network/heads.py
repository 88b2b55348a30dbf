"""What a raw output means: the layers that give a network's answers, each in two steps.

`forward` activates (raw → what the original's `layer.output` holds); `boxes` decodes the activated output of the heads
that detect. Nothing else in the package knows these formulas. Torch code throughout, so that it exports.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from darknet_compat.definition import spec as s
from darknet_compat.network.layers import Build
from darknet_compat.network.tree import TreeSoftmax


class Boxes(NamedTuple):
    """Candidates of one head, D = anchors · cells, in the original's order.

    That is anchor by anchor, and for each row by row, for [region]; cell by cell for [yolo] and [detection].
    `xywh`: [N, D, 4], centre and size as fractions of the network's input. `objectness`: [N, D]. `classes`: [N, D, C],
    each class's probability given an object; of a tree's nodes given their parent.
    """

    xywh: Tensor
    objectness: Tensor
    classes: Tensor


class Softmax(nn.Module):
    """The answer of a classifier."""

    def __init__(self, spec: s.Softmax, build: Build) -> None:
        super().__init__()
        self.groups, self.temperature = spec.groups, spec.temperature
        self.spatial = spec.spatial and build == "cuda"  # the CPU build reads the option and ignores it
        self.tree = TreeSoftmax(spec.tree, spec.temperature) if spec.tree else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, …] → [N, values]; with `spatial` [N, C, H, W], each location by itself."""
        if self.tree is not None:
            nodes: Tensor = self.tree(x.flatten(1))
            return nodes
        if self.spatial:
            return x.softmax(1)
        values: Tensor = x.flatten(1).unflatten(1, (self.groups, -1)) / self.temperature
        return values.softmax(2).flatten(1)


class Logistic(nn.Module):
    """The logistic function."""

    def __init__(self, spec: s.Logistic, build: Build) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Any shape → the same shape."""
        return x.sigmoid()


class Iseg(nn.Module):
    """The logistic function on the class maps; embeddings as they are."""

    def __init__(self, spec: s.Iseg, build: Build) -> None:
        super().__init__()
        self.classes = spec.classes

    def forward(self, x: Tensor) -> Tensor:
        """[N, classes + ids, H, W] → the same shape."""
        return torch.cat([x[:, : self.classes].sigmoid(), x[:, self.classes :]], 1)


class Region(nn.Module):
    """YOLOv2 and YOLO9000: x, y, objectness through the logistic function, classes through softmax, tree or logistic.

    The CPU build of the original walks a tree's groups as if classes were the outermost axis, so that its output is
    not the model's; this is the CUDA build's, with which the weights were trained.
    """

    anchors: Tensor

    def __init__(self, spec: s.Region, build: Build) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("anchors", torch.tensor(spec.anchors), persistent=False)  # [num, 2] in cells
        self.tree = TreeSoftmax(spec.tree) if spec.tree else None
        self.masks_activated = build == "cuda"

    def forward(self, x: Tensor) -> Tensor:
        """[N, num·(coords + 1 + classes), H, W] → the same shape, activated."""
        coords = self.spec.coords
        x = by_anchor(x, self.spec.num)  # [N, num, coords + 1 + classes, H, W]
        if self.spec.background:
            parts = [self.locate(x), self._background(x[:, :, coords:])]
        else:
            parts = [
                self.locate(x),
                x[:, :, coords : coords + 1].sigmoid(),
                self.activate_classes(x[:, :, coords + 1 :]),
            ]
        return torch.cat(parts, 2).flatten(1, 2)

    def locate(self, x: Tensor) -> Tensor:
        """The coordinates, [N, num, coords, H, W], of raw [N, num, coords + …, H, W]."""
        masks = x[:, :, 4 : self.spec.coords]
        return torch.cat([x[:, :, :2].sigmoid(), x[:, :, 2:4], masks.sigmoid() if self.masks_activated else masks], 2)

    def activate_classes(self, x: Tensor, dim: int = 2) -> Tensor:
        """Class logits along `dim` → probabilities, those of a tree's nodes given their parent."""
        if self.tree is not None:
            result: Tensor = self.tree(x, dim)
            return result
        return x.softmax(dim) if self.spec.softmax else x.sigmoid()

    def _background(self, x: Tensor) -> Tensor:
        """[N, num, 1 + classes, H, W] where the first is no objectness but a class of its own."""
        if self.spec.softmax and self.tree is None:
            return x.softmax(2)
        return torch.cat([x[:, :, :1], self.activate_classes(x[:, :, 1:])], 2)

    def boxes(self, activated: Tensor, input_size: tuple[int, int]) -> Boxes:
        """Decode `forward`'s result (paper section 2, direct location prediction; original: `get_region_box`)."""
        x = by_anchor(activated, self.spec.num)  # [N, num, coords + 1 + classes, H, W]
        objectness = x[:, :, self.spec.coords].flatten(1)  # [N, D]
        if self.spec.background:
            objectness = torch.ones_like(objectness)
        return Boxes(self.decode(x[:, :, :4]), objectness, _last(x[:, :, self.spec.coords + 1 :]))

    def objects(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes [N, D, 4] and objectness [N, D] of raw [N, num, coords + 1, H, W], without any classes."""
        return self.decode(self.locate(x)[:, :, :4]), x[:, :, self.spec.coords].sigmoid().flatten(1)

    def decode(self, located: Tensor) -> Tensor:
        """[N, num, 4, H, W] → [N, D, 4]; anchors are in cells of the grid."""
        return _last(_grid_boxes(located, _fractions(self.anchors, located.shape[4], located.shape[3])))


class Yolo(nn.Module):
    """YOLOv3: everything but width and height through the logistic function."""

    anchors: Tensor

    def __init__(self, spec: s.Yolo, build: Build) -> None:
        super().__init__()
        self.spec = spec
        anchors = torch.tensor([spec.anchors[number] for number in spec.mask])
        self.register_buffer("anchors", anchors, persistent=False)  # [masks, 2] in pixels of the network's input

    def forward(self, x: Tensor) -> Tensor:
        """[N, masks·(5 + classes), H, W] → the same shape, activated."""
        x = by_anchor(x, len(self.spec.mask))  # [N, masks, 5 + classes, H, W]
        centre, scale = x[:, :, :2].sigmoid(), self.spec.scale_x_y
        centre = centre if scale == 1 else centre * scale - (scale - 1) / 2
        return torch.cat([centre, x[:, :, 2:4], x[:, :, 4:].sigmoid()], 2).flatten(1, 2)

    def boxes(self, activated: Tensor, input_size: tuple[int, int]) -> Boxes:
        """Decode `forward`'s result; `input_size` is the network's (width, height) (original: `get_yolo_box`)."""
        x = by_anchor(activated, len(self.spec.mask))  # [N, masks, 5 + classes, H, W]
        xywh = self.decode(x[:, :, :4], input_size)
        cells = torch.cat([xywh, x[:, :, 4:]], 2).permute(0, 3, 4, 1, 2).flatten(1, 3)  # [N, D, 5 + classes]
        return Boxes(cells[..., :4], cells[..., 4], cells[..., 5:])

    def decode(self, located: Tensor, input_size: tuple[int, int]) -> Tensor:
        """[N, masks, 4, H, W] → the boxes that these coordinates mean, the same shape."""
        return _grid_boxes(located, _fractions(self.anchors, *input_size))


class Detection(nn.Module):
    """YOLO's first head: per cell `classes` probabilities, `num` confidences, `num` boxes of 4 numbers."""

    def __init__(self, spec: s.Detection, build: Build) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, x: Tensor) -> Tensor:
        """[N, side²·(classes + num·(1 + coords))] → the same shape; with `softmax` on each cell's classes."""
        x = x.flatten(1)
        if not self.spec.softmax:
            return x
        cells = self.spec.side**2 * self.spec.classes
        classes = x[:, :cells].unflatten(1, (-1, self.spec.classes)).softmax(2).flatten(1)
        return torch.cat([classes, x[:, cells:]], 1)

    def boxes(self, activated: Tensor, input_size: tuple[int, int]) -> Boxes:
        """Decode `forward`'s result, D = side²·num, cell by cell (original: `get_detection_detections`)."""
        side, num, classes = self.spec.side, self.spec.num, self.spec.classes
        sizes = [side**2 * classes, side**2 * num, side**2 * num * self.spec.coords]
        probabilities, objectness, boxes = activated.split(sizes, 1)
        boxes = boxes.unflatten(1, (side, side, num, self.spec.coords))[..., :4]  # [N, rows, columns, num, 4]
        at = torch.arange(side, dtype=boxes.dtype, device=boxes.device)
        x = (boxes[..., 0] + at[None, :, None]) / side
        y = (boxes[..., 1] + at[:, None, None]) / side
        size = boxes[..., 2:4].square() if self.spec.sqrt else boxes[..., 2:4]
        xywh = torch.cat([torch.stack([x, y], -1), size], -1).flatten(1, 3)  # [N, D, 4]
        shared = probabilities.unflatten(1, (side**2, 1, classes)).expand(-1, -1, num, -1).flatten(1, 2)
        return Boxes(xywh, objectness, shared)


def by_anchor(x: Tensor, anchors: int) -> Tensor:
    """[N, A·K, H, W] → [N, A, K, H, W]; not by `unflatten`, after which a traced height and width are constants."""
    return x.reshape(x.shape[0], anchors, -1, x.shape[2], x.shape[3])


def _fractions(anchors: Tensor, width: int, height: int) -> Tensor:
    """[A, 2] as fractions of `width` and `height`; these stay numbers: an export would freeze a tensor of them."""
    return torch.stack([anchors[:, 0] / width, anchors[:, 1] / height], 1)


def _grid_boxes(x: Tensor, anchors: Tensor) -> Tensor:
    """[N, A, 4, H, W] activated x, y and raw w, h; `anchors` [A, 2] as fractions of the input → boxes, same shape."""
    height, width = x.shape[3], x.shape[4]
    columns = torch.arange(width, device=x.device).to(x.dtype)
    rows = torch.arange(height, device=x.device).to(x.dtype)[:, None]
    centre = torch.stack([(x[:, :, 0] + columns) / width, (x[:, :, 1] + rows) / height], 2)  # [N, A, 2, H, W]
    size = x[:, :, 2:4].exp() * anchors[None, :, :, None, None]  # [N, A, 2, H, W]
    return torch.cat([centre, size], 2)


def _last(x: Tensor) -> Tensor:
    """[N, A, K, H, W] → [N, A·H·W, K]."""
    return x.permute(0, 1, 3, 4, 2).flatten(1, 3)
