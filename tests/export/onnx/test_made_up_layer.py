"""A layer that nobody has, added by the steps of `docs/develop/add-a-layer.md` alone; and what fails without them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from darknet_compat.definition import spec as s
from darknet_compat.definition.complexity import costs
from darknet_compat.definition.context import Context
from darknet_compat.definition.layers.table import LOWERINGS
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.spec import LayerSpec
from darknet_compat.definition.spec.slot import Slot
from darknet_compat.definition.weights.network_weights import LayerArrays
from darknet_compat.errors import ExportError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.onnx.graph import Graph
from darknet_compat.export.onnx.layers import EMIT
from darknet_compat.formats.cfg import SectionOptions
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.network.network import MODULES, Network
from tests.export.support import assert_raw_same, pictures

CFG = "[net]\nwidth=8\nheight=6\nchannels=3\n[conv]\nfilters=4\nactivation=leaky\n[blend]\nfrom=0\nby=2\n[upsample]\n"


@dataclass(frozen=True, kw_only=True)
class Blend(LayerSpec):
    """The previous layer plus another times a weight a channel, times `by`: a join with weights."""

    keeps_size: ClassVar[bool] = True

    by: float

    def slots(self, transposed: bool) -> Iterator[Slot]:
        yield Slot(self.index, "weights", (self.output.c,))

    @property
    def positions(self) -> int:
        return self.output.h * self.output.w


def blend(options: SectionOptions, context: Context) -> LayerSpec:
    source = context.source(options, "from", options.integer("from", -1))
    image = context.image(options)
    common = context.common(options, image, (context.index - 1, source))
    return Blend(**common, by=options.real("by", 1.0))


class BlendModule(nn.Module):
    def __init__(self, spec: Blend, build: str) -> None:
        super().__init__()
        self.by, self.weights = spec.by, nn.Parameter(torch.ones(spec.output.c))

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        return (x + other * self.weights[:, None, None]) * self.by


def emit_blend(graph: Graph, layer: Blend, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    shape = (layer.output.c, 1, 1)
    weights = graph.weight("weights", shape, lambda: arrays["weights"].reshape(shape))
    total = graph.add("Add", inputs[0], graph.add("Mul", inputs[1], weights))
    return graph.add("Mul", total, graph.constant(layer.by))


STEPS: dict[str, tuple[dict[Any, Any], Any, Any]] = {
    "lowering": (LOWERINGS, "blend", blend),
    "module": (MODULES, Blend, BlendModule),
    "nodes": (EMIT, Blend, emit_blend),
}


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    (tmp_path / "made-up.cfg").write_text(CFG)
    return tmp_path / "made-up.cfg"


def take(monkeypatch: pytest.MonkeyPatch, *steps: str) -> None:
    for step in steps:
        table, key, value = STEPS[step]
        monkeypatch.setitem(table, key, value)


def test_a_layer_by_the_documented_steps(cfg: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    take(monkeypatch, *STEPS)
    network = load_network(cfg)
    network.layers[1].weights.data.copy_(torch.tensor([0.5, 1, 2, -1]))
    save_weights(network, tmp_path / "made-up.weights")
    network = load_network(cfg, tmp_path / "made-up.weights")
    x = pictures(3, 8, 6)
    first, found, _ = (output.numpy() for output in network.layer_outputs(torch.from_numpy(x)))
    np.testing.assert_allclose(found, 2 * first * (1 + np.array([0.5, 1, 2, -1])[:, None, None]), rtol=1e-6)
    export_onnx(network, tmp_path / "made-up.onnx", outputs="heads", sizes=(8, 16))
    assert_raw_same(network, tmp_path / "made-up.onnx", x)
    assert_raw_same(network, tmp_path / "made-up.onnx", pictures(3, 16, 12))
    cost = costs(network.spec)[1]
    assert (cost.parameters, cost.operations) == (4, 2 * 4 * 8 * 6)


def test_without_a_step_the_next_one_fails_and_says_where(
    cfg: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(Exception, match=r"made-up\.cfg:8: layer 1 \[blend\] unknown section"):
        load_spec(cfg)
    take(monkeypatch, "lowering")
    spec = load_spec(cfg)
    with monkeypatch.context() as without:
        without.delattr(Blend, "positions")
        with pytest.raises(NotImplementedError, match="Blend says nothing of how often its weights are used"):
            costs(spec)
    with pytest.raises(KeyError, match="Blend"):
        Network(spec)
    take(monkeypatch, "module")
    with pytest.raises(ExportError, match=r"layer 1 \[blend\] is of a kind that has no nodes yet"):
        export_onnx(load_network(cfg), tmp_path / "m.onnx", outputs="heads")
    monkeypatch.setattr(Blend, "keeps_size", False)
    take(monkeypatch, "nodes")
    with pytest.raises(NotImplementedError, match="Blend says nothing of its output's sides"):
        export_onnx(load_network(cfg), tmp_path / "m.onnx", outputs="heads")


def test_every_kind_of_layer_says_what_becomes_of_height_and_width() -> None:
    for kind in MODULES:
        says = kind.keeps_size or kind.settles or kind.recurrent or kind.output_side is not LayerSpec.output_side
        assert says or kind.fixes_size is not LayerSpec.fixes_size, kind
    assert s.Contrastive.silent and s.Cost.silent
