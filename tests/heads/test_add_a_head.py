"""A head that nobody has, added by the steps of `docs/develop/add-a-head.md` alone: every stage then takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from darknet_compat import Detector
from darknet_compat.definition import spec as s
from darknet_compat.definition.context import Context
from darknet_compat.definition.layers.table import LOWERINGS
from darknet_compat.definition.spec import LayerSpec
from darknet_compat.errors import TrainingError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.formats.cfg import SectionOptions
from darknet_compat.heads.answers import HEADS
from darknet_compat.heads.boxes import Boxes, BoxHead
from darknet_compat.heads.ops import Ops, Value
from darknet_compat.inference.about import gather
from darknet_compat.network.heads import MODULES as MODULES_OF_HEADS
from darknet_compat.network.heads import Head
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.network.network import MODULES
from darknet_compat.parity.seeded import seed_weights
from darknet_compat.training.losses.network import Losses

CFG = """[net]
width=64
height=32
channels=3
[convolutional]
filters=5
size=3
stride=16
pad=1
activation=linear
[dots]
classes=2
side=0.25
"""


# 1: definition/spec/heads.py
@dataclass(frozen=True, kw_only=True)
class Dots(s.BoxHead):
    """Places only: x, y, objectness and classes of each cell; every box is a square of `side`, a share of the input."""

    keeps_size: ClassVar[bool] = True

    side: float


# 2: definition/layers/heads.py
def dots(options: SectionOptions, context: Context) -> LayerSpec:
    classes = options.integer("classes", 20, minimum=1)
    output = context.image(options)
    if output.c != 3 + classes:
        raise options.error(f"classes={classes} needs {3 + classes} channels, found {output.c}", "classes")
    common = context.common(options, output)
    more = {"classes": classes, "max_boxes": 90, "jitter": 0.2, "random": 0.0}
    return Dots(**common, **more, side=options.real("side", 0.1))


# 3: heads/dots.py
class DotsHead(BoxHead):
    def __init__(self, spec: Dots, build: str) -> None:
        self.spec = spec

    def parts(self, ops: Ops, x: Value) -> list[Value]:
        """[N, 3 + classes, H, W] → place, objectness, classes, [N, 1, K, cells] each."""
        return ops.split(ops.reshape(x, (0, 1, 3 + self.spec.classes, -1)), [2, 1, self.spec.classes], 2)

    def activate(self, ops: Ops, x: Value) -> list[Value]:
        return [ops.sigmoid(part) for part in self.parts(ops, x)]

    def boxes(self, ops: Ops, activated: Sequence[Value], like: Value, size_of_input: Value = None) -> Boxes:
        place, objectness, classes = activated
        centre = (place + ops.cells(like)) / ops.size(like)  # [N, 1, 2, cells]
        every = ops.concat([centre, centre * 0 + self.spec.side, objectness, classes], 2)
        every = ops.reshape(ops.transpose(every, (0, 1, 3, 2)), (0, -1, 5 + self.spec.classes))
        xywh, objectness, classes = ops.split(every, [4, 1, self.spec.classes], 2)
        return Boxes(xywh, ops.reshape(objectness, (0, -1)), classes)


@pytest.fixture
def cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(LOWERINGS, "dots", dots)  # the row of 2
    monkeypatch.setitem(HEADS, Dots, DotsHead)  # 4: heads/answers.py
    monkeypatch.setitem(MODULES, Dots, Head)  # what network/heads.py makes of it
    path = tmp_path / "dots.cfg"
    path.write_text(CFG)
    network = load_network(path)
    seed_weights(network, 0)
    save_weights(network, path.with_suffix(".weights"))
    path.with_suffix(".names").write_text("one\ntwo\n")
    return path


def test_modules_are_made_of_whatever_heads_there_are() -> None:
    assert set(HEADS) == set(MODULES_OF_HEADS)
    assert all(MODULES[kind] is module for kind, module in MODULES_OF_HEADS.items())


def test_every_runtime_gives_its_boxes(cfg: Path, tmp_path: Path) -> None:
    network = load_network(cfg, cfg.with_suffix(".weights"))
    export_onnx(network, tmp_path / "dots.onnx", sizes="fixed")
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    by_torch = Detector(cfg, backend="torch", resize="stretch", thresh=0.1, nms=1)(picture)
    assert len(by_torch) > 0
    widths = by_torch.boxes[:, 2:] - by_torch.boxes[:, :2]
    np.testing.assert_allclose(widths, np.broadcast_to([15, 10], widths.shape), atol=1e-3)
    for backend in ("onnxruntime", "openvino"):
        ours = Detector(tmp_path / "dots.onnx", backend=backend, resize="stretch", thresh=0.1, nms=1)(picture)
        np.testing.assert_allclose(ours.boxes, by_torch.boxes, atol=1e-2)
        np.testing.assert_allclose(ours.scores, by_torch.scores, atol=1e-5)
        assert ours.names == by_torch.names


def test_the_numbers_by_hand(cfg: Path) -> None:
    """One cell's raw values → its box: (x + column) / columns, (y + row) / rows."""
    head = load_network(cfg).layers[1]
    raw = torch.zeros(1, 5, 2, 4)
    found = head.boxes(head(raw), (64, 32))
    np.testing.assert_allclose(found.xywh[0, 6], [(0.5 + 2) / 4, (0.5 + 1) / 2, 0.25, 0.25])
    assert found.objectness[0, 6] == 0.5 and found.classes.shape == (1, 8, 2)


def test_info_knows_it_and_training_refuses_it_by_name(cfg: Path) -> None:
    about = gather(str(cfg))
    assert (about.spec.layers[-1].type, about.names, about.problem) == ("dots", ("one", "two"), None)
    with pytest.raises(TrainingError, match=r"dots\.cfg:11: layer 1 \[dots\] cannot be trained here"):
        Losses(load_network(cfg))
