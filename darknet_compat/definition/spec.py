"""What a network is once its `.cfg` has been understood: frozen values, absolute indices, known shapes.

Nothing here is a string option or a relative index any more (`lower` sees to that), and nothing here computes.
Field names are Darknet's own option names where one exists; the original's `make_*_layer` function is the source of
each layer's shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from darknet_compat.definition.shape import Shape as Shape
from darknet_compat.definition.shape import flat as flat
from darknet_compat.formats.wordtree import WordTree

ActivationName = Literal[
    "logistic", "relu", "relie", "linear", "ramp", "tanh", "plse", "leaky", "elu", "loggy", "stair", "hardtan",
    "lhtan", "selu", "swish", "mish", "relu6", "gelu",
]  # fmt: skip
"""The original's activations, and after `selu` its best-known fork's."""


@dataclass(frozen=True, kw_only=True)
class LayerSpec:
    """What every layer has. `sources` are the layers it reads, -1 being the network's input."""

    index: int
    line: int
    type: str
    sources: tuple[int, ...]
    input: Shape
    output: Shape
    learning_rate: float = 1.0
    stopbackward: bool = False
    onlyforward: bool = False
    truth: bool = False
    smooth: float = 0.0
    dontload: bool = False
    dontsave: bool = False
    dontloadscales: bool = False
    numload: int = 0


@dataclass(frozen=True, kw_only=True)
class Convolutional(LayerSpec):
    """Weights [filters, c / groups, size, size]; `padding` cells on every side."""

    filters: int
    size: int
    stride: int
    padding: int
    groups: int
    activation: ActivationName
    batch_normalize: bool
    binary: bool
    xnor: bool
    flipped: bool


@dataclass(frozen=True, kw_only=True)
class Deconvolutional(LayerSpec):
    """A transposed convolution, weights [c, filters, size, size]."""

    filters: int
    size: int
    stride: int
    padding: int
    activation: ActivationName
    batch_normalize: bool


@dataclass(frozen=True, kw_only=True)
class Connected(LayerSpec):
    """Weights [outputs, inputs]."""

    activation: ActivationName
    batch_normalize: bool


@dataclass(frozen=True, kw_only=True)
class Local(LayerSpec):
    """A convolution with weights of its own at each location; `padding` is 0 or 1."""

    filters: int
    size: int
    stride: int
    padding: int
    activation: ActivationName


@dataclass(frozen=True, kw_only=True)
class Batchnorm(LayerSpec):
    """Batch normalization by itself."""


@dataclass(frozen=True, kw_only=True)
class Activation(LayerSpec):
    """An activation by itself."""

    activation: ActivationName


@dataclass(frozen=True, kw_only=True)
class Maxpool(LayerSpec):
    """`padding` is the total of both sides; half of it, rounded down, is left and above."""

    size: int
    stride: int
    padding: int


@dataclass(frozen=True, kw_only=True)
class Avgpool(LayerSpec):
    """The mean of each channel."""


@dataclass(frozen=True, kw_only=True)
class Dropout(LayerSpec):
    """Values dropped in training with `probability`, the others scaled up."""

    probability: float


@dataclass(frozen=True, kw_only=True)
class Crop(LayerSpec):
    """A random crop in training, the central one otherwise; pixels go to x·2-1 unless `noadjust`."""

    flip: bool
    angle: float
    saturation: float
    exposure: float
    shift: float
    noadjust: bool


@dataclass(frozen=True, kw_only=True)
class Normalization(LayerSpec):
    """Local response normalization over `size` neighbouring channels."""

    size: int
    alpha: float
    beta: float
    kappa: float


@dataclass(frozen=True, kw_only=True)
class L2norm(LayerSpec):
    """Each location's channels divided by their Euclidean length."""


@dataclass(frozen=True, kw_only=True)
class Route(LayerSpec):
    """The channels of `sources` one after another; of each source the `group_id`-th of `groups` parts (the fork's)."""

    groups: int = 1
    group_id: int = 0


@dataclass(frozen=True, kw_only=True)
class Shortcut(LayerSpec):
    """`alpha` · the previous layer + `beta` · the layer `sources[1]`, of shape `other`, strided or cut to fit."""

    other: Shape
    alpha: float
    beta: float
    activation: ActivationName

    @property
    def steps(self) -> tuple[int, int]:
        """Every how many cells the other layer is read, and every how many of its own the sum goes to."""
        return max(self.other.w // self.output.w, 1), max(self.output.w // self.other.w, 1)


@dataclass(frozen=True, kw_only=True)
class Upsample(LayerSpec):
    """Each value `stride`² times, or with `reverse` the sum of `stride`² values; both times `scale`."""

    stride: int
    reverse: bool
    scale: float


@dataclass(frozen=True, kw_only=True)
class Reorg(LayerSpec):
    """Darknet's own rearrangement of blocks into channels (and back with `reverse`); see `network.layers`."""

    stride: int
    reverse: bool
    flatten: bool
    extra: int


@dataclass(frozen=True, kw_only=True)
class Rnn(LayerSpec):
    """A plain recurrent layer of three connected ones: input, self, output."""

    outputs: int
    steps: int
    activation: ActivationName
    batch_normalize: bool
    shortcut: bool


@dataclass(frozen=True, kw_only=True)
class Gru(LayerSpec):
    """A gated recurrent unit; `tanh` chooses the candidate's activation (logistic otherwise)."""

    outputs: int
    steps: int
    batch_normalize: bool
    tanh: bool


@dataclass(frozen=True, kw_only=True)
class Lstm(LayerSpec):
    """A long short-term memory."""

    outputs: int
    steps: int
    batch_normalize: bool


@dataclass(frozen=True, kw_only=True)
class Crnn(LayerSpec):
    """A recurrent layer of three 3x3 convolutions."""

    hidden_filters: int
    output_filters: int
    steps: int
    activation: ActivationName
    batch_normalize: bool
    shortcut: bool


@dataclass(frozen=True, kw_only=True)
class Softmax(LayerSpec):
    """Softmax over each of `groups` equal parts, or over each sibling group of `tree`."""

    groups: int
    temperature: float
    tree: WordTree | None
    spatial: bool
    noloss: bool


@dataclass(frozen=True, kw_only=True)
class Logistic(LayerSpec):
    """The logistic function with a cross-entropy cost."""


@dataclass(frozen=True, kw_only=True)
class Cost(LayerSpec):
    """A cost against the truth; passes nothing on."""

    cost: Literal["sse", "masked", "L1", "seg", "smooth", "wgan"]
    scale: float
    ratio: float
    noobj: float
    thresh: float


@dataclass(frozen=True, kw_only=True)
class Region(LayerSpec):
    """YOLOv2's and YOLO9000's head. `anchors` are (width, height) in grid cells."""

    classes: int
    coords: int
    num: int
    anchors: tuple[tuple[float, float], ...]
    softmax: bool
    background: bool
    tree: WordTree | None
    map: tuple[int, ...] | None
    max_boxes: int
    jitter: float
    random: float
    rescore: bool
    thresh: float
    bias_match: bool
    absolute: bool
    classfix: int
    object_scale: float
    noobject_scale: float
    class_scale: float
    coord_scale: float
    mask_scale: float


@dataclass(frozen=True, kw_only=True)
class Yolo(LayerSpec):
    """YOLOv3's head. `anchors` are all of them, in pixels of the network's input; `mask` chooses this head's."""

    classes: int
    anchors: tuple[tuple[float, float], ...]
    mask: tuple[int, ...]
    map: tuple[int, ...] | None
    max_boxes: int
    jitter: float
    random: float
    ignore_thresh: float
    truth_thresh: float
    scale_x_y: float


@dataclass(frozen=True, kw_only=True)
class Detection(LayerSpec):
    """YOLO's first head: `side`² cells with `num` boxes each and one class distribution."""

    classes: int
    coords: int
    num: int
    side: int
    softmax: bool
    sqrt: bool
    forced: bool
    rescore: bool
    reorg: bool
    max_boxes: int
    jitter: float
    random: float
    object_scale: float
    noobject_scale: float
    class_scale: float
    coord_scale: float


@dataclass(frozen=True, kw_only=True)
class Iseg(LayerSpec):
    """Instance segmentation: class maps, then `ids` embedding maps."""

    classes: int
    ids: int


HEADS = (Softmax, Logistic, Region, Yolo, Detection, Iseg)
"""The layers whose input is a raw answer of the network and whose output is its meaning."""


@dataclass(frozen=True, kw_only=True)
class Net:
    """The `[net]` section: input and training (original: `parse_net_options`); `batch` is the whole one as written.

    `flip` and `letter_box` are the fork's: the original mirrors every other training picture whatever it shows.
    """

    batch: int
    subdivisions: int
    time_steps: int
    width: int
    height: int
    channels: int
    inputs: int
    learning_rate: float
    momentum: float
    decay: float
    adam: bool
    B1: float
    B2: float
    eps: float
    policy: Literal["constant", "step", "steps", "exp", "sigmoid", "poly", "random"]
    burn_in: int
    power: float
    step: int
    scale: float
    gamma: float
    steps: tuple[int, ...]
    scales: tuple[float, ...]
    max_batches: int
    min_crop: int
    max_crop: int
    min_ratio: float
    max_ratio: float
    center: bool
    clip: float
    angle: float
    aspect: float
    saturation: float
    exposure: float
    hue: float
    flip: bool
    random: int
    notruth: bool
    letter_box: bool | None

    @property
    def rows(self) -> int:
        """How many rows of input go through at once in training (original: `net->batch`)."""
        return self.batch // self.subdivisions * self.time_steps

    @property
    def step_rows(self) -> int:
        """How many rows one update sums over (original: `get_current_batch`, `update_network`)."""
        return self.rows * self.subdivisions

    @property
    def input(self) -> Shape:
        """The shape of one input."""
        if self.channels and self.height and self.width:
            return Shape(self.channels, self.height, self.width)
        return flat(self.inputs)


@dataclass(frozen=True)
class NetworkSpec:
    """A whole network. `notes` are one-line remarks for a person, such as options nobody read, each with its line."""

    net: Net
    layers: tuple[LayerSpec, ...]
    name: str = "<cfg>"
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict, compare=False)
    """The files that options of the cfg led to (`tree`, `map`): name in the cfg → path read."""

    @property
    def heads(self) -> tuple[LayerSpec, ...]:
        """The layers that give the answers, in order."""
        return tuple(layer for layer in self.layers if isinstance(layer, HEADS))

    @property
    def output_index(self) -> int:
        """The layer whose output is the network's: the last that is no cost (original: `get_network_output_layer`)."""
        return max((layer.index for layer in self.layers if not isinstance(layer, Cost)), default=-1)

    @property
    def tree(self) -> WordTree | None:
        """The WordTree of the classes, where there is one."""
        return next((head.tree for head in self.heads if isinstance(head, Softmax | Region) and head.tree), None)

    @property
    def resize(self) -> Literal["letterbox", "stretch"]:
        """How pictures are fitted to the input: as the fork's `letter_box` says, else stretched for YOLO's first head
        (original: `test_yolo`), which knows of no border, and letterboxed for all others (`test_detector`,
        `predict_classifier`)."""
        letterboxed = self.net.letter_box
        if letterboxed is None:
            letterboxed = not any(isinstance(head, Detection) for head in self.heads)
        return "letterbox" if letterboxed else "stretch"
