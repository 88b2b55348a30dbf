"""Where ONNX Runtime has to round so that it computes convolutions in integers, and how, with the least error.

It makes an integer convolution of one only where its result is rounded at once, before LeakyRelu or Relu, and again
behind that. Both roundings have the same step here, so that values above zero are rounded once: the second finds them
on its grid. Of those below, LeakyRelu leaves a tenth, and of their error too. What a step is worth is spent unevenly:
there are few values far below zero, so the zero point moves towards the end, and 255 steps reach further up.

Tensors that are moved and not changed (pooled, joined, enlarged) have one rounding, and so are moved as bytes; but
what is joined and read by itself as well has one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto

from darknet_compat.export.quantize.ranges import LEAST_SCALE, LEVELS, Observed, Signed
from darknet_compat.formats.arrays import Array, Doubles

Rounding = tuple[float, int]
"""A scale, and the zero point among 0 to 255."""

MOVING = frozenset({"Concat", "Identity", "MaxPool", "Reshape", "Resize", "Slice", "Split", "Transpose"})
"""Operators whose results are values that they read; of these the first input, and of Concat all, are values."""

ACTIVATING = frozenset({"LeakyRelu", "Relu"})
"""Activations that leave large values as they are, so that one scale serves before and after."""

SHARES = np.geomspace(0.12, 1.0, 64)
"""Which parts of the step that reaches the largest value on both sides are tried."""

ZEROS = np.arange(0, 161, 4)
"""Which zero points are."""


@dataclass(frozen=True)
class RoundingSource:
    """Where values come into a group: `before` is what its activation reads, where that is
    rounded too; `slope` is what the activation makes of 1 below zero. `measured` has those of its values that
    matter: where they are all that is read, what is left of them by pooling."""

    measured: str
    before: str | None = None
    slope: float = 1.0


@dataclass(frozen=True)
class Group:
    """Tensors that have one rounding."""

    tensors: tuple[str, ...]
    sources: tuple[RoundingSource, ...]


def group_of(convolution: NodeProto) -> int:
    """How many groups it has."""
    return next((attribute.i for attribute in convolution.attribute if attribute.name == "group"), 1)


def followed(nodes: Sequence[NodeProto]) -> set[str]:
    """The tensors whose values a convolution is still to read; what only chooses which are read is none of them."""
    found: set[str] = set()
    for node in reversed(nodes):
        if node.op_type == "Conv" or found.intersection(node.output):
            found.update(node.input[:1] if node.op_type in ("Gather", "GatherND") else node.input)
    return found


def picked(nodes: Sequence[NodeProto]) -> set[str]:
    """The tensors of a few candidates, which depend on which are the best."""
    found: set[str] = set()
    for node in nodes:
        if node.op_type == "TopK" or found.intersection(node.input):
            found.update(node.output)
    return found


def moved(node: NodeProto) -> list[str]:
    """The values that a node moves or activates."""
    return list(node.input) if node.op_type == "Concat" else [node.input[0]]


class Flow:
    """What the values of a graph go through."""

    def __init__(self, model: ModelProto, integer: Iterable[NodeProto]) -> None:
        """`integer`: the convolutions that are to be computed in integers."""
        self.nodes = list(model.graph.node)
        self.outputs = {output.name for output in model.graph.output}
        self.made_by = {name: node for node in self.nodes for name in node.output}
        self.readers: dict[str, list[NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.integer = list(integer)
        self._names = {node.output[0] for node in self.integer}

    def groups(self) -> list[Group]:
        """The tensors to be rounded."""
        rounded, root = self._rounded(), self._roots()
        members: dict[str, list[str]] = {}
        for name in sorted(rounded):
            members.setdefault(root(name), []).append(name)
        return [
            Group(tuple(names), tuple(source for name in names for source in self._sources(name, rounded, root)))
            for names in members.values()
        ]

    def measured(self) -> set[str]:
        """The tensors whose values tell how to round, whichever of the integer convolutions remain so."""
        groups = self.groups()
        found = {self._after_pooling(name) for group in groups for name in group.tensors}
        return found | {source.measured for group in groups for source in group.sources}

    def reading(self, rounded: Iterable[str]) -> list[str]:
        """The names of all convolutions that read rounded values."""
        found = set(rounded)
        for node in self.nodes:
            if node.op_type in MOVING and found.intersection(moved(node)):
                found.update(node.output)
        return [node.name for node in self.nodes if node.op_type == "Conv" and node.input[0] in found]

    def _roots(self) -> Callable[[str], str]:
        """What tells which tensors have one rounding: it gives the same tensor for all of them.

        What a convolution reads itself keeps its own where it is joined to others, which may reach much further.
        """
        parents: dict[str, str] = {}

        def root(name: str) -> str:
            while (above := parents.get(name, name)) != name:
                name = above
            return name

        read = {node.input[0] for node in self.integer}
        for node in self.nodes:
            if node.op_type in MOVING:
                for name in [name for name in moved(node) if node.op_type != "Concat" or name not in read]:
                    parents[root(name)] = root(node.output[0])
                for name in node.output[1:]:
                    parents[root(name)] = root(node.output[0])
        return root

    def _rounded(self) -> set[str]:
        """What the integer convolutions read, what they give to no others than convolutions, and what these two are
        moved from if that is made of nothing but integers."""
        found, whole = {node.input[0] for node in self.integer} | self._results(), self._from_integers()
        for node in reversed(self.nodes):
            if node.op_type in MOVING and found.intersection(node.output):
                found.update(whole.intersection(moved(node)))
        return found - self.outputs

    def _results(self) -> set[str]:
        """What they give, behind their activations, where nothing but plain convolutions reads it.

        Rounding what grouped ones and sums read costs Yolo-Fastest 3 points, so that a convolution before them is
        computed in float32.
        """

        def plain(name: str) -> bool:
            return name not in self.outputs and all(
                all(map(plain, node.output))
                if node.op_type in MOVING
                else node.op_type == "Conv" and group_of(node) == 1
                for node in self.readers.get(name, [])
            )

        return {name for node in self.integer if plain(name := self._behind(node.output[0]))}

    def _behind(self, name: str) -> str:
        """What the activation makes of a convolution's result; that itself where none follows."""
        readers = self.readers.get(name, [])
        return readers[0].output[0] if len(readers) == 1 and readers[0].op_type in ACTIVATING else name

    def _from_integers(self) -> set[str]:
        """The tensors that are made of nothing but the results of integer convolutions."""
        found = set(self._names)
        for node in self.nodes:
            if node.op_type in MOVING | ACTIVATING and found.issuperset(moved(node)):
                found.update(node.output)
        return found

    def _sources(self, name: str, rounded: set[str], root: Callable[[str], str]) -> Iterator[RoundingSource]:
        """Where the values of a tensor come from, unless from others of its group."""
        maker = self.made_by.get(name)
        if maker is not None and maker.op_type in MOVING and rounded.issuperset(moved(maker)):
            yield from (RoundingSource(part) for part in moved(maker) if root(part) != root(name))
            return
        measured = self._after_pooling(name)
        if maker is None or maker.op_type not in ACTIVATING or maker.input[0] not in self._names:
            yield RoundingSource(measured)
            return
        slope = next((float(one.f) for one in maker.attribute if one.name == "alpha"), 0.01)
        yield RoundingSource(measured, maker.input[0], slope if maker.op_type == "LeakyRelu" else 0.0)

    def _after_pooling(self, name: str) -> str:
        """What pooling leaves of a tensor where nothing else reads it."""
        while len(readers := self.readers.get(name, [])) == 1 and readers[0].op_type == "MaxPool":
            name = readers[0].output[0]
        return name


def roundings(groups: Iterable[Group], seen: Mapping[str, Signed]) -> Iterator[tuple[str, Rounding]]:
    """Each tensor of `groups`, and what its activation reads, with its rounding; `seen` are the `measured` ones."""
    for group in groups:
        scale, zero, before = common([(seen[one.measured], one.slope, one.before) for one in group.sources])
        yield from ((name, (scale, zero)) for name in group.tensors)
        yield from ((name, (scale, below)) for name, below in before.items())


def common(sources: Sequence[tuple[Signed, float, str | None]]) -> tuple[float, int, dict[str, int]]:
    """Scale and zero point with which tensors are rounded with the least squared error, and the zero points before
    their activations, by name. A source has its values, the slope of its activation and what that reads, or None."""
    largest = max(seen.largest for seen, _, _ in sources)
    if largest == 0:
        return 1.0, 128, {before: 128 for _, _, before in sources if before is not None}
    sides = [(Side(seen.above), Side(seen.below)) for seen, _, _ in sources]
    afters = np.unique(
        np.concatenate([np.ceil(ZEROS * (1.0 if before is None else slope)) for _, slope, before in sources])
    )
    best, found = np.inf, (1.0, 128, dict[str, int]())
    for scale in np.maximum(LEAST_SCALE, largest / LEVELS * SHARES).tolist():
        total, zeros = np.zeros(len(afters)), {}
        for (above, below), (_, slope, before) in zip(sides, sources, strict=True):
            if before is None:
                total += above.error(scale, 255 - afters) + below.error(scale, afters)
                continue
            # [zeros before, zeros after]
            reach = 255 - np.maximum(ZEROS[:, None], afters)
            error = above.error(scale, reach) + below.error(scale, ZEROS[:, None], slope)
            error = np.where(np.ceil(ZEROS * slope)[:, None] <= afters, error, np.inf)
            zeros[before] = ZEROS[error.argmin(0)]
            total += error.min(0)
        at = int(total.argmin())
        if total[at] < best:
            best = float(total[at])
            found = scale, int(afters[at]), {name: int(rows[at]) for name, rows in zeros.items()}
    return found


class Side:
    """What rounding costs the values on one side of zero."""

    def __init__(self, seen: Observed) -> None:
        self.counts, self.values = seen.counts.astype(np.float64), seen.centres
        moments = [self.counts * self.values**power for power in range(3)]
        self.beyond = [np.append(np.cumsum(moment[::-1])[::-1], 0.0) for moment in moments]

    def error(self, scale: float, most: Array, slope: float = 1.0) -> Doubles:
        """The squared error where at most so many steps of `scale` reach, by their number; before an activation that
        multiplies by `slope`, of which the values are the results, and whose results are rounded alike."""
        if slope == 0:  # Relu: nothing is left of them
            return np.zeros(np.shape(most))
        rounded = scale * np.rint(np.rint(self.values / (slope * scale)) * slope)
        within = np.append(0.0, np.cumsum(self.counts * (rounded - self.values) ** 2))
        last = scale * np.rint(slope * most)
        first = np.searchsorted(self.values, slope * scale * (np.asarray(most) + 0.5))
        zeroth, firsts, seconds = (moment[first] for moment in self.beyond)
        error: Doubles = within[first] + seconds - 2 * last * firsts + last**2 * zeroth
        return error
