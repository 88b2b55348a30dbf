"""The WordTree: `.tree` files ⇄ arrays (paper section 4; original: `read_tree` in tree.c).

A line a node: its name (a WordNet id, usually) and the line number, counted from 0, of its parent; -1 for a root.
Siblings are contiguous and form a group, the unit of one softmax. A parent stands before its children, so one pass in
file order reaches every node after its parent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from darknet_compat.errors import TreeError
from darknet_compat.formats.arrays import Bools, Floats, Int32s
from darknet_compat.formats.textfile import MAX_LIST_BYTES, count, read_lines, shown

_FIELDS = re.compile(r"[^ \t\n\v\f\r]+")  # what C's scanf takes for blanks
_INDEX = re.compile(r"-?[0-9]{1,9}")


@dataclass(frozen=True, eq=False)
class WordTree:
    """Nodes in file order. Build one with `read_tree`, `parse_tree` or `from_parents`, which check everything.

    `parents[n]` is the index of node n's parent, -1 for roots; always smaller than n. `group_offsets[g]` and
    `group_sizes[g]` delimit group g's nodes; group 0 holds the first roots.
    """

    names: tuple[str, ...]
    parents: Int32s
    group_offsets: Int32s
    group_sizes: Int32s
    source: str = field(default="<tree>", repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WordTree) and self.names == other.names and np.array_equal(self.parents, other.parents)

    def __hash__(self) -> int:
        return hash((self.names, self.parents.tobytes()))

    @cached_property
    def groups(self) -> Int32s:
        """The group each node belongs to, [nodes]."""
        return np.repeat(np.arange(len(self.group_sizes), dtype=np.int32), self.group_sizes)

    @cached_property
    def child_groups(self) -> Int32s:
        """The group of each node's children, -1 for leaves, [nodes] (original: `tree.child`)."""
        children = np.full(len(self), -1, np.int32)
        parent_of_group = self.parents[self.group_offsets]
        below = parent_of_group >= 0
        children[parent_of_group[below]] = np.flatnonzero(below)
        return children

    @cached_property
    def leaves(self) -> Bools:
        """Whether a node has no children, [nodes]."""
        return self.child_groups < 0

    @cached_property
    def depths(self) -> Int32s:
        """Steps from a root, 0 for roots, [nodes]."""
        depths = np.zeros(len(self), np.int32)
        for offset, size in zip(self.group_offsets.tolist(), self.group_sizes.tolist(), strict=True):
            parent = self.parents[offset]
            depths[offset : offset + size] = depths[parent] + 1 if parent >= 0 else 0
        return depths

    def absolute(self, conditional: Floats) -> Floats:
        """Every node's absolute probability, the product down its path, [..., nodes], from those given the parent.

        Original: `hierarchy_predictions`.
        """
        absolute: Floats = conditional.copy()
        for depth in range(1, int(self.depths.max()) + 1):
            nodes = np.flatnonzero(self.depths == depth)
            absolute[..., nodes] *= absolute[..., self.parents[nodes]]
        return absolute

    def path(self, node: int) -> list[int]:
        """The nodes from the root down to `node`, both included."""
        path = [node]
        while (parent := int(self.parents[path[-1]])) >= 0:
            path.append(parent)
        return path[::-1]


def read_tree(path: str | Path) -> WordTree:
    """Read a `.tree` file. Raises TreeError with the line that makes it no WordTree."""
    return parse_tree(read_lines(path, TreeError, "a .tree", MAX_LIST_BYTES), source=str(path))


def parse_tree(lines: Sequence[str], source: str = "<tree>") -> WordTree:
    """A tree from the lines of a `.tree` file: `name parent` each, blank lines only at the end."""
    names, parents = [], []
    for number, line in enumerate(lines, start=1):
        fields = _FIELDS.findall(line)
        if not fields and not any(_FIELDS.search(rest) for rest in lines[number:]):
            break
        if len(fields) != 2 or not _INDEX.fullmatch(fields[1]):
            raise TreeError(f"{source}:{number}: expected a name and its parent's number, found {shown(line)}")
        names.append(fields[0])
        parents.append(int(fields[1]))
    return from_parents(names, parents, source)


def from_parents(names: Sequence[str], parents: Sequence[int], source: str = "<tree>") -> WordTree:
    """A tree from names and parent indices. Raises TreeError for what `WordTree` promises not to be.

    Checked: at least one node; names unique and without blanks; every parent -1 or an earlier node (which rules out
    cycles); siblings contiguous, so that a group is one softmax.
    """
    if not names or len(names) != len(parents):
        found = f"{count(len(names), 'name')}, {count(len(parents), 'parent')}"
        raise TreeError(f"{source}: expected as many parents as names and at least one, found {found}")
    seen: dict[str, int] = {}
    closed: set[int] = set()
    offsets: list[int] = []
    for node, (name, parent) in enumerate(zip(names, parents, strict=True)):
        problem = ""
        if name in seen:
            problem = f"stands twice, first on line {seen[name] + 1}"
        elif not _FIELDS.fullmatch(name):
            problem = "is no name: it is empty or has blanks"
        elif not -1 <= parent < len(names):
            problem = f"has parent {parent}; expected -1 for a root, or a node from 0 to {len(names) - 1}"
        elif parent >= node:
            kind = "a cycle" if _is_cyclic(node, parents) else "a parent must stand before its children"
            problem = f"has parent {parent} on line {parent + 1}: {kind}"
        elif node == 0 or parent != parents[node - 1]:
            if parent in closed:
                others = f"children of node {parent}" if parent >= 0 else "roots"
                problem = f"is apart from the other {others}: siblings must be contiguous"
            offsets.append(node)
            closed.add(parent)
        if problem:
            raise TreeError(f"{source}:{node + 1}: {shown(name)} {problem}")
        seen[name] = node
    sizes = np.diff([*offsets, len(names)])
    return WordTree(
        tuple(names), np.array(parents, np.int32), np.array(offsets, np.int32), sizes.astype(np.int32), source
    )


def format_tree(tree: WordTree) -> str:
    """The text of a `.tree` file; parsing it gives the same tree."""
    return "".join(f"{name} {parent}\n" for name, parent in zip(tree.names, tree.parents.tolist(), strict=True))


def _is_cyclic(node: int, parents: Sequence[int]) -> bool:
    """Whether following parents from `node` comes back to it."""
    at, steps = parents[node], 0
    while 0 <= at < len(parents) and at != node and steps <= len(parents):
        at, steps = parents[at], steps + 1
    return at == node
