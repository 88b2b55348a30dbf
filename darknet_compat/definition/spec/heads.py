"""The layers that give a network's answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from darknet_compat.definition.spec.base import LayerSpec
from darknet_compat.formats.words import NmsKind
from darknet_compat.formats.wordtree import WordTree

BoxMeasure = Literal["mse", "iou", "giou", "diou", "ciou"]
"""How far a box is from its truth."""


@dataclass(frozen=True, kw_only=True)
class Head(LayerSpec):
    """A layer whose input is a raw answer of the network and whose output that answer's meaning."""

    answers: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class BoxHead(Head):
    """A head that gives boxes. `max_boxes`: the most truths of a picture in training."""

    detects: ClassVar[bool] = True

    classes: int
    max_boxes: int
    jitter: float
    random: float


@dataclass(frozen=True, kw_only=True)
class Softmax(Head):
    """Softmax over each of `groups` equal parts, or over each sibling group of `tree`."""

    groups: int
    temperature: float
    tree: WordTree | None
    spatial: bool
    noloss: bool

    @property
    def fixes_size(self) -> bool:
        """See `LayerSpec`."""
        return True


@dataclass(frozen=True, kw_only=True)
class Logistic(Head):
    """The logistic function with a cross-entropy cost."""

    @property
    def fixes_size(self) -> bool:
        """See `LayerSpec`."""
        return True


@dataclass(frozen=True, kw_only=True)
class Region(BoxHead):
    """YOLOv2's and YOLO9000's head. `anchors` are (width, height) in grid cells.

    Without softmax and tree the classes go through the logistic function if `logistic`; else they stay raw.
    `raw_deltas`: see `region_raw` of `definition.dialects`.
    """

    keeps_size: ClassVar[bool] = True

    coords: int
    num: int
    anchors: tuple[tuple[float, float], ...]
    softmax: bool
    background: bool
    tree: WordTree | None
    map: tuple[int, ...] | None
    rescore: bool
    thresh: float
    bias_match: bool
    object_scale: float
    noobject_scale: float
    class_scale: float
    coord_scale: float
    mask_scale: float
    logistic: bool = True
    raw_deltas: bool = False
    focal_loss: bool = False
    nms_kind: NmsKind = "default"
    beta_nms: float = 0.6


@dataclass(frozen=True, kw_only=True)
class YoloHead(BoxHead):
    """What [yolo] and [Gaussian_yolo] share. `anchors` are all of them, in pixels of the network's input; `mask`
    chooses this head's. All after `scale_x_y` is the fork's; its defaults here leave the original's formulas.

    `max_delta`: None for no limit. `counters_per_class`: how many boxes of each class there are, empty where all
    classes count alike.
    """

    keeps_size: ClassVar[bool] = True

    anchors: tuple[tuple[float, float], ...]
    mask: tuple[int, ...]
    map: tuple[int, ...] | None
    ignore_thresh: float
    truth_thresh: float
    scale_x_y: float
    resize: float = 1.0
    iou_thresh: float = 1.0
    iou_thresh_kind: BoxMeasure = "iou"
    iou_loss: BoxMeasure = "mse"
    iou_normalizer: float = 1.0
    obj_normalizer: float = 1.0
    cls_normalizer: float = 1.0
    delta_normalizer: float = 1.0
    max_delta: float | None = None
    objectness_smooth: bool = False
    label_smooth_eps: float = 0.0
    counters_per_class: tuple[int, ...] = ()
    nms_kind: NmsKind = "default"
    beta_nms: float = 0.6
    show_details: bool = True


@dataclass(frozen=True, kw_only=True)
class Yolo(YoloHead):
    """YOLOv3's head. With `new_coords` its input is activated already, and a size is 4·value²·anchor."""

    new_coords: bool = False
    focal_loss: bool = False


@dataclass(frozen=True, kw_only=True)
class GaussianYolo(YoloHead):
    """The fork's [Gaussian_yolo]: an uncertainty beside each of a box's four numbers.

    `yolo_point`: what x and y mean, the centre or a corner. `uc_normalizer`: a factor of the uncertainties' loss.
    """

    yolo_point: Literal["center", "left_top", "right_bottom"] = "center"
    uc_normalizer: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Detection(BoxHead):
    """YOLO's first head: `side`² cells with `num` boxes each and one class distribution."""

    coords: int
    num: int
    side: int
    softmax: bool
    sqrt: bool
    forced: bool
    rescore: bool
    object_scale: float
    noobject_scale: float
    class_scale: float
    coord_scale: float

    @property
    def fixes_size(self) -> bool:
        """See `LayerSpec`."""
        return True

    @property
    def lack(self) -> str:
        """Why no box comes of it, which may still be read and computed, in words that follow its place; empty where one
        does."""
        if self.coords < 4:
            return f"has boxes of {self.coords} numbers (coords), and 4 make one"
        return "" if self.classes else "has classes=0, and a box is told by its class"


@dataclass(frozen=True, kw_only=True)
class Iseg(Head):
    """Instance segmentation: class maps, then `ids` embedding maps."""

    keeps_size: ClassVar[bool] = True

    classes: int
    ids: int
