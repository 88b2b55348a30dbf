"""From labels and WordNet to a WordTree (paper section 4, "Hierarchical classification").

WordNet is a graph: a synset may be a kind of several things. The paper makes it a tree: "many synsets only have one
path through the graph so first we add all of those paths to our tree. Then we iteratively examine the concepts we have
left and add the paths that grow the tree by as little as possible."

What the paper leaves open was settled by holding readings of it against the released `9k.tree`. From its ImageNet
synsets, less four whose pictures it seems to have done without, all of its 9418 nodes and parents come out of this one:

- Paths are those of WordNet 3.0 up to `entity`; they are chosen in passes, of which the first adds what costs no new
  node beside those in the tree, the next what costs one, and so on, the labels in the order of their wnids.
- Of paths that cost the same, the one is taken that comes first in the alphabet, read from the root.
- Three synsets are then hung where a camera sees them (`MOVES`).
- What is neither a label nor on a label's path is cut off.
- A node that is no label and has one child gives its place to that child: its softmax would have one answer.
- A label whose only child is a leaf gets it as a sibling.
- A root that is no label and the only one is left out, for the same reason; its children become the roots.

The order of the nodes is the released one as well: a group of siblings, then, node by node, all that is below it.
Within a group the released tree has the order of a Python 2 set; here it is that of the wnids.

Paths are chosen among all synsets of `among`, not the labels alone, so that trees for different labels agree. The paper
speaks of "the visual nouns in ImageNet": with these there, the 1000 classes of ILSVRC give its 1369 nodes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from darknet_compat.errors import TreeError
from darknet_compat.formats.tree.wordnet import WordNet
from darknet_compat.formats.wordtree import WordTree, from_parents

ENTITY = "n00001740"
"""Everything is an entity."""

MOVES: Mapping[str, str] = {
    "n06791372": "n03183080",  # a signal is a device, no act of communication: traffic lights are below it
    "n06793231": "n06791372",  # a sign is a signal: street signs are below it
    "n09229709": "n03964744",  # a bubble is a plaything, no shape
}
"""Where the released tree departs from WordNet: each synset and what it is a kind of instead.

Without these, three of ILSVRC's classes were no physical entities.
"""

_Parents = dict[str, "str | None"]
"""A tree while it is built: each node's parent, None for the root."""


def build_tree(
    wordnet: WordNet,
    labels: Sequence[str],
    *,
    among: Iterable[str] = (),
    root: str = ENTITY,
    moves: Mapping[str, str] = MOVES,
    source: str = "<labels>",
) -> WordTree:
    """The WordTree of `labels` (wnids), its nodes' names being wnids; the same whatever the labels' order.

    `among` are further synsets whose paths are chosen together with those of the labels, before the tree is cut down
    to the labels; those that WordNet lacks or `root` does not reach are passed over. Raises TreeError for no labels, a
    label twice, one that WordNet lacks, and one that is no kind of `root`.
    """
    _check(wordnet, labels, root, source)
    paths = _Paths(wordnet, root)
    nouns = sorted({*labels, *(wnid for wnid in among if wnid in wordnet)})
    unreached = [label for label in labels if not paths.count(label)]
    if unreached:
        shown = ", ".join(wordnet.title(label) for label in unreached[:5]) + (", ..." if unreached[5:] else "")
        raise TreeError(
            f"{source}: {len(unreached)} of {len(labels)} labels are no kind of {wordnet.title(root)}: {shown};"
            f" leave them out, or take a root above them ({wordnet.title(ENTITY)} is above all)"
        )
    parents = _choose(paths, [wnid for wnid in nouns if paths.count(wnid)])
    _move(parents, moves, paths)
    parents = _cut(parents, labels)
    _merge(parents, frozenset(labels))
    return _in_order(parents, source)


def _check(wordnet: WordNet, labels: Sequence[str], root: str, source: str) -> None:
    if root not in wordnet:
        raise TreeError(f"{source}: the root {root} is no noun of WordNet in {wordnet.source}")
    if not labels:
        raise TreeError(f"{source}: expected labels to build a tree of, found none")
    lines: dict[str, int] = {}
    for number, label in enumerate(labels, start=1):
        if label not in wordnet:
            raise TreeError(
                f"{source}:{number}: {label} is no noun of WordNet in {wordnet.source};"
                " expected a wnid such as n02084071, of the version that ImageNet uses, 3.0"
            )
        if label in lines:
            raise TreeError(f"{source}:{number}: {label} stands twice, first on line {lines[label]}")
        lines[label] = number


class _Paths:
    """The paths in WordNet's graph from `root` down to a synset, and the cheapest of them."""

    def __init__(self, wordnet: WordNet, root: str) -> None:
        self.root = root
        self._above = wordnet.hypernyms
        self._words = wordnet.words
        self._counts: dict[str, int] = {root: 1}
        self._orders: dict[str, list[str]] = {}

    def count(self, wnid: str) -> int:
        """How many paths lead to it."""
        for at in self._upwards(wnid):
            self._counts[at] = sum(self._counts[above] for above in self._above[at])
        return self._counts[wnid]

    def cheapest(self, wnid: str, tree: _Parents) -> tuple[int, list[str]]:
        """What the path to `wnid` that adds the fewest nodes to `tree` adds, and that path, from the root down.

        Of several the first in the alphabet, by each synset's commonest word.
        """
        if wnid not in self._orders:
            self._orders[wnid] = self._between(wnid)
        # Cost and alphabet both follow from the path above and its end: the best path to a synset goes on from the best
        # path to one of its hypernyms.
        best = {self.root: (int(self.root not in tree), [self._letters(self.root)])}
        for at in self._orders[wnid]:
            new, end = int(at not in tree), self._letters(at)
            best[at] = min((best[above][0] + new, [*best[above][1], end]) for above in self._above[at] if above in best)
        cost, letters = best[wnid]
        return cost, [step for _, step in letters]

    def _letters(self, wnid: str) -> tuple[str, str]:
        return self._words[wnid][0].lower(), wnid

    def _between(self, wnid: str) -> list[str]:
        """Everything on any path to `wnid`, after what is above it and without the root."""
        order: dict[str, None] = {}
        stack = [wnid]
        while stack:
            at = stack[-1]
            waiting = [above for above in self._above[at] if above not in order and self.count(above)]
            waiting = [above for above in waiting if above != self.root]
            if waiting and at != self.root:
                stack += waiting
            else:
                order.setdefault(stack.pop())
        order.pop(self.root, None)
        return list(order)

    def _upwards(self, wnid: str) -> Iterable[str]:
        """What has not been counted yet, each after what is above it."""
        stack = [wnid]
        while stack:
            at = stack[-1]
            waiting = [above for above in self._above[at] if above not in self._counts]
            if at in self._counts:
                stack.pop()
            elif waiting:
                stack += waiting
            else:
                yield stack.pop()


def _choose(paths: _Paths, nouns: Sequence[str]) -> _Parents:
    """A tree of WordNet's synsets in which each noun has one path: every node's parent, the root's being None."""
    tree: _Parents = {paths.root: None}
    for wnid in nouns:
        if paths.count(wnid) == 1:
            _add(tree, paths.cheapest(wnid, tree)[1])
    left = [wnid for wnid in nouns if wnid not in tree]
    allowed = 0
    while left:
        still = []
        for wnid in left:
            cost, path = paths.cheapest(wnid, tree)
            if cost > allowed:
                still.append(wnid)
            else:
                _add(tree, path)
        allowed += len(still) == len(left)
        left = still
    return tree


def _add(tree: _Parents, path: Sequence[str]) -> None:
    """Add a path's end, and what is above it up to the first node that the tree has a path to already."""
    for above, at in zip(path[-2::-1], path[:0:-1], strict=True):
        if at in tree:
            return
        tree[at] = above


def _move(tree: _Parents, moves: Mapping[str, str], paths: _Paths) -> None:
    """Hang the synsets of `moves` that are in the tree below others, whose paths are added where they lack."""
    ready = False
    while not ready:  # a target's path may bring another synset that is to be moved
        ready = True
        for wnid, target in moves.items():
            if wnid not in tree or tree[wnid] == target or not paths.count(target):
                continue
            if target not in tree:
                _add(tree, paths.cheapest(target, tree)[1])
            above: str | None = target
            while above is not None:
                if above == wnid:
                    raise TreeError(f"{wnid} cannot be moved below {target}, which is below {wnid} itself")
                above = tree[above]
            tree[wnid] = target
            ready = False


def _cut(tree: _Parents, labels: Iterable[str]) -> _Parents:
    """The labels and what is above them."""
    kept: _Parents = {}
    for label in labels:
        at: str | None = label
        while at is not None and at not in kept:
            kept[at] = tree[at]
            at = tree[at]
    return kept


def _merge(tree: _Parents, labels: frozenset[str]) -> None:
    """Take away what no softmax needs: nodes that are no label and have one child, and a root that stands alone."""
    children = _children(tree)
    for node in list(tree):
        if node not in labels and len(children[node]) == 1 and tree[node] is not None:
            (child,) = children.pop(node)
            above = children[tree[node]]
            above[above.index(node)] = child
            tree[child] = tree.pop(node)
    only_children = [group[0] for parent, group in children.items() if parent in labels and len(group) == 1]
    leaves = [child for child in only_children if not children.get(child)]
    for child in leaves:
        parent = tree[child]
        assert parent is not None
        tree[child] = tree[parent]
    while len(roots := [node for node, parent in tree.items() if parent is None]) == 1 and roots[0] not in labels:
        del tree[roots[0]]
        for node, parent in tree.items():
            if parent == roots[0]:
                tree[node] = None


def _children(tree: _Parents) -> defaultdict[str | None, list[str]]:
    children: defaultdict[str | None, list[str]] = defaultdict(list)
    for node, parent in tree.items():
        children[parent].append(node)
    return children


def _in_order(tree: _Parents, source: str) -> WordTree:
    """The nodes as `.tree` files have them: a group of siblings, then, sibling by sibling, all that is below it."""
    children = _children(tree)
    order: list[str] = []
    stack: list[str | None] = [None]
    while stack:
        group = sorted(children[stack.pop()])
        order += group
        stack += [node for node in reversed(group) if node in children]
    places = {node: place for place, node in enumerate(order)}
    parents = [tree[node] for node in order]
    return from_parents(order, [-1 if parent is None else places[parent] for parent in parents], source)
