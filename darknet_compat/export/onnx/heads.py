"""A network's answers as nodes of a graph: `darknet_compat.heads` on its values."""

from __future__ import annotations

from collections.abc import Sequence

from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.definition.weights.network_weights import LayerArrays, NetworkWeights
from darknet_compat.export.onnx.graph import Graph
from darknet_compat.export.onnx.graph_ops import GraphOps, GraphValue
from darknet_compat.formats.arrays import Ints
from darknet_compat.heads.answers import HEADS, boxes, detects, probabilities, splits, uncertain, uncertainties
from darknet_compat.heads.region import Region
from darknet_compat.heads.split import RowNumbers, SplitWeights, best_of_each_anchor

BOXES = ("boxes", "objectness", "classes")
CANDIDATES = (*BOXES, "every_objectness")
"""The outputs' names. `every_objectness` [N, all of them] tells a reader how many candidates had no room."""


def sources(spec: NetworkSpec) -> list[int]:
    """The layers that the answers are made of; -1: the images."""
    if not detects(spec):
        return [spec.heads[-1].sources[0] if spec.heads else spec.output_index]
    if splits(spec):
        return [spec.layers[-2].sources[0]]
    images = [-1] if any(HEADS[type(head)].needs_input_size for head in spec.heads) else []
    return [head.sources[0] for head in spec.heads] + images


def names(spec: NetworkSpec) -> tuple[str, ...]:
    """What the answers are called."""
    if not detects(spec):
        return ("classes",)
    if uncertain(spec):
        return (*BOXES, "uncertainties")
    return CANDIDATES if splits(spec) else BOXES


def whole_parts(spec: NetworkSpec, candidates: int) -> int:
    """As many candidates, rounded up so that each anchor has an equal part (`heads.split`); 0, for no limit, where the
    head is not split."""
    region = spec.layers[-1]
    return region.num * -(-candidates // region.num) if splits(spec) and isinstance(region, s.Region) else 0


def answers(graph: Graph, trained: NetworkWeights, values: Sequence[GraphValue], limit: int) -> list[GraphValue]:
    """Add the nodes that make a network's answers of its `sources`; the outputs, as `names` has them.

    `limit`: how many candidates there are of a network with many classes.
    """
    ops, spec = GraphOps(graph), trained.spec
    if splits(spec):
        return _split(graph, trained, values[0], limit)
    if not spec.heads:
        return [ops.reshape(values[0], (0, -1))]
    heads = [HEADS[type(head)](head, trained.batchnorm) for head in spec.heads]
    if not detects(spec):
        return [probabilities(ops, heads[-1], values[0])]
    raws = values[: len(heads)]
    found: list[GraphValue] = list(boxes(ops, heads, raws, values[-1]))
    if uncertain(spec):
        found.append(uncertainties(ops, heads, raws))
    return found


def _split(graph: Graph, trained: NetworkWeights, features: GraphValue, limit: int) -> list[GraphValue]:
    """The last convolution and its [region], for candidates."""
    convolution, spec = trained.spec.layers[-2:]
    assert isinstance(spec, s.Region)
    region, arrays, ops = Region(spec, trained.batchnorm), LayerArrays(trained, convolution), GraphOps(graph)
    numbers, channels = RowNumbers(region), arrays.shape("weights")[1]

    def weights(name: str, rows: Ints) -> GraphValue:
        return ops.value(graph.weight(name, (len(rows), channels, 1, 1), lambda: arrays["weights"][rows]))

    def biases(name: str, rows: Ints) -> GraphValue:
        return ops.value(graph.weight(name, (len(rows),), lambda: arrays["biases"][rows]))

    rows = SplitWeights(
        weights("box weights", numbers.boxes),
        biases("box biases", numbers.boxes),
        tuple(weights(f"class weights {at}", rows) for at, rows in enumerate(numbers.classes)),
        tuple(biases(f"class biases {at}", rows) for at, rows in enumerate(numbers.classes)),
    )
    found, every = best_of_each_anchor(ops, region, rows, features, limit // spec.num)
    return [*found, every]
