"""Combining datasets: another list of labels onto a WordTree's nodes, the `.map` files (paper section 4, figure 6).

A label that is a wnid is a node or it is not. A label that is a word is looked up among WordNet's nouns, where most
words mean several things. It is taken as settled only where one of its senses is in the tree and that sense is the
commonest of those that a camera can see, or where WordNet lacks it and one node is called so. All else is for a person
to settle, who is given the senses in question. What a person has settled is a file of lines

    mouse = n03793489    # mouse, computer mouse: a hand-operated electronic device ...

of a label and the wnid or the number of a node; from `#` on a line is a remark.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Literal

from darknet_compat.errors import MetadataError
from darknet_compat.formats.metadata import read_map
from darknet_compat.formats.textfile import plain, read_lines, shown
from darknet_compat.formats.tree.named import NamedTree
from darknet_compat.formats.tree.wordnet import WordNet, squeeze

How = Literal["wnid", "name", "given", "open"]

_REMARK = 120
_WNID = re.compile(r"n\d{8}")
_SETTLED = re.compile(r"(?P<label>.*?)\s*=\s*(?P<node>n?\d+)\s*(#.*)?")


@dataclass(frozen=True)
class Candidate:
    """A node that a label may mean; `sense` is the synset that the label names, a kind of the node's or the node's."""

    node: int
    sense: str | None


@dataclass(frozen=True)
class Match:
    """What became of a label: its node and how it was found, or None, `open` and what it may mean, likeliest first."""

    label: str
    node: int | None
    how: How
    candidates: tuple[Candidate, ...] = ()


def map_labels(
    labels: Sequence[str],
    tree: NamedTree,
    wordnet: WordNet | None = None,
    given: Mapping[str, int] | None = None,
    *,
    first: bool = False,
) -> list[Match]:
    """The node of each label, which is a wnid or a word, as far as it can be told.

    `given` has nodes by label, and comes first. Without `wordnet` words are compared with the tree's own. With `first`
    an open label gets its likeliest candidate's node, and keeps its candidates.
    """
    matches = [_match(label, tree, wordnet, given or {}) for label in labels]
    if first:
        matches = [Match(m.label, _first(m), m.how, m.candidates) for m in matches]
    return matches


def _first(match: Match) -> int | None:
    return match.candidates[0].node if match.node is None and match.candidates else match.node


def _match(label: str, tree: NamedTree, wordnet: WordNet | None, given: Mapping[str, int]) -> Match:
    if label in given:
        return Match(label, given[label], "given")
    if _WNID.fullmatch(label):
        if nodes := tree.find(label):
            return Match(label, nodes[0], "wnid")
        return Match(label, None, "open", _nearest(label, tree, wordnet))
    words = tree.find(label)
    if wordnet is None:
        return Match(label, words[0], "name") if len(words) == 1 else _open(label, words)
    senses = wordnet.visual(wordnet.senses(label))
    found = [Candidate(nodes[0], sense) for sense in senses if (nodes := tree.find(sense))]
    known = {candidate.node for candidate in found}
    found += [Candidate(node, None) for node in words if node not in known]  # the tree calls it so, WordNet does not
    if len(found) == 1 and found[0].sense == (senses[0] if senses else None):
        return Match(label, found[0].node, "name")
    above = [candidate for sense in senses for candidate in _nearest(sense, tree, wordnet)]
    unseen = [c for c in above if c.sense is not None and not tree.find(c.sense)]
    return Match(label, None, "open", tuple(dict.fromkeys([*found, *unseen])))


def _open(label: str, nodes: Sequence[int]) -> Match:
    return Match(label, None, "open", tuple(Candidate(node, None) for node in nodes))


def _nearest(wnid: str, tree: NamedTree, wordnet: WordNet | None) -> tuple[Candidate, ...]:
    """The node that a synset is a kind of by the fewest steps, if it is a kind of any."""
    if wordnet is None or wnid not in wordnet:
        return ()
    above = (nodes[0] for ancestor in wordnet.ancestors(wnid) if (nodes := tree.find(ancestor)))
    return tuple(Candidate(node, wnid) for node in list(above)[:1])


def question(match: Match, tree: NamedTree, wordnet: WordNet | None) -> list[str]:
    """An open label as lines for a person to choose one of, as `read_given` reads them, all but the first remarks."""
    lines = []
    for number, candidate in enumerate(match.candidates):
        name = tree.tree.names[candidate.node]
        why = tree.describe(candidate.node)
        if candidate.sense is not None and wordnet is not None:
            why = f"{', '.join(wordnet.words[candidate.sense][:4])}: {wordnet.glosses[candidate.sense]}"
            if candidate.sense != name:
                why = f"{tree.words[candidate.node]}, which is above {why}"
        lines.append(f"{'#' if number else ''}{match.label} = {name}    # {shorten(why, _REMARK, placeholder=' ...')}")
    return lines or [f"#{match.label} =     # nothing in the tree is called so"]


def read_given(path: str | Path, labels: Sequence[str], tree: NamedTree) -> dict[str, int]:
    """What a person has settled: a `.map` of as many lines as there are labels, or lines of `label = node`.

    Labels are compared as words are: case, blanks and underscores make no difference. Raises MetadataError with the
    line that is neither, names no label, or a node that the tree lacks.
    """
    lines = read_lines(path, MetadataError, "a map")
    filled = [line for line in lines if line.strip()]
    if filled and all(line.strip().isdigit() for line in filled):
        nodes = read_map(path, len(tree))
        if len(nodes) != len(labels):
            raise MetadataError(f"{path}: expected a node for each of {len(labels)} labels, found {len(nodes)}")
        return dict(zip(labels, nodes, strict=True))
    meant = {squeeze(label): label for label in labels}
    given: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _SETTLED.fullmatch(line.strip())
        if not match:
            raise MetadataError(f"{path}:{number}: expected LABEL = WNID or the number of a node, found {shown(line)}")
        label = meant.get(squeeze(match["label"]))
        if label is None:
            raise MetadataError(f"{path}:{number}: {shown(match['label'])} is not one of the labels")
        nodes = tree.find(match["node"])
        digits = match["node"].isascii() and match["node"].isdigit() and len(match["node"]) < 10
        if not nodes and digits and int(match["node"]) < len(tree):
            nodes = (int(match["node"]),)
        if not nodes:
            raise MetadataError(f"{path}:{number}: {tree.tree.source} has no node {plain(match['node'])}")
        if given.get(label, nodes[0]) != nodes[0]:
            raise MetadataError(f"{path}:{number}: {shown(label)} has another node on a line before")
        given[label] = nodes[0]
    return given
