"""A whole network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from darknet_compat.definition.dialects import ORIGINAL, Dialect
from darknet_compat.definition.spec.base import LayerSpec
from darknet_compat.definition.spec.heads import Detection, Region, YoloHead
from darknet_compat.definition.spec.net import Net
from darknet_compat.formats.cfg import place
from darknet_compat.formats.words import NmsKind, Resize
from darknet_compat.formats.wordtree import WordTree


@dataclass(frozen=True)
class NetworkSpec:
    """A whole network. `notes` are one-line remarks for a person, such as options nobody read, each with its line."""

    net: Net
    layers: tuple[LayerSpec, ...]
    name: str = "<cfg>"
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict, compare=False)
    """The files that options of the cfg led to (`tree`, `map`): name in the cfg → path read."""
    dialect: Dialect = ORIGINAL
    unfollowed: tuple[str, ...] = ()
    """Options for training that the trainer does not follow: "[net] cutmix (line 3)", a text a kind of section."""

    def place(self, layer: LayerSpec) -> str:
        """What messages about a layer begin with: the definition's name, line, number and section."""
        return place(self.name, layer.line, layer.type, layer.index)

    @property
    def heads(self) -> tuple[LayerSpec, ...]:
        """The layers that give the answers, in order."""
        return tuple(layer for layer in self.layers if layer.answers)

    @property
    def output_index(self) -> int:
        """The layer whose output is the network's: the last that is no cost (original: `get_network_output_layer`)."""
        return max((layer.index for layer in self.layers if not layer.silent), default=-1)

    @property
    def bare_classes(self) -> int:
        """How many classes a network without a head gives scores of: the values of a last layer of one cell, which the
        original's `classifier predict` ranks as they are; 0 for any other network."""
        if self.heads or not self.net.input.image or self.output_index < 0:
            return 0
        last = self.layers[self.output_index]
        return last.output.size if last.output.h == last.output.w == 1 and last.output.size > 1 else 0

    @property
    def tree(self) -> WordTree | None:
        """The WordTree of the classes, where there is one."""
        return next((tree for head in self.heads if (tree := getattr(head, "tree", None))), None)

    @property
    def map(self) -> tuple[int, ...] | None:
        """The heads' map: a class of the labels → the head's own."""
        return next((head.map for head in self.heads if isinstance(head, Region | YoloHead)), None)

    @property
    def resize(self) -> Resize:
        """How pictures are fitted to the input: as `letter_box` says, else as the dialect does; but stretched for
        YOLO's first head (original: `test_yolo`), which knows of no border."""
        letterboxed = self.net.letter_box
        if letterboxed is None:
            letterboxed = self.dialect.letter_box and not any(isinstance(head, Detection) for head in self.heads)
        return "letterbox" if letterboxed else "stretch"

    @property
    def nms_kind(self) -> NmsKind:
        """The suppression of the last head that gives boxes, which is that of all (fork: `do_nms_sort`'s callers)."""
        return getattr(self._last_boxes, "nms_kind", "default") if self.dialect.nms_kind else "default"

    @property
    def beta_nms(self) -> float:
        """The exponent `beta_nms` of the head that `nms_kind` is of."""
        return float(getattr(self._last_boxes, "beta_nms", 0.6))

    @property
    def _last_boxes(self) -> LayerSpec | None:
        return next((layer for layer in reversed(self.layers) if layer.detects), None)
