"""A WordTree with its words: `.tree` and `.names` joined, nodes looked up as people call them, and written back.

tree = open_tree("9k")                          # the packaged YOLO9000 tree: 9k.tree and 9k.names
tree.node("Norfolk terrier")                    # 6968, as are "n02094114" and "6968"
tree.describe(6968)                             # "object > whole > living thing > ... > terrier > Norfolk terrier"
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.typing import NDArray

from darknet_compat.errors import MetadataError, TreeError
from darknet_compat.formats.arrays import Bools, Doubles, Int32s
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.jsonfile import parse_json
from darknet_compat.formats.metadata import read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.textfile import count, read_text, shown
from darknet_compat.formats.wordtree import WordTree, format_tree, read_tree


@dataclass(frozen=True, eq=False)
class NamedTree:
    """A tree and the word of each node, [nodes]; two nodes may share a word, as the fruit and the colour `orange`."""

    tree: WordTree
    words: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tree)

    def find(self, text: str) -> tuple[int, ...]:
        """The nodes called `text`, in the tree's order: the one of this wnid, else all that have this word.

        Upper or lower case and underscores for blanks make no difference in a word.
        """
        if text in self._by_name:
            return (self._by_name[text],)
        return self._by_word.get(_plain(text), ())

    def node(self, text: str) -> int:
        """The one node called `text`: its wnid, its word, or its number.

        Raises TreeError where there is none, with the closest words, or several, with their paths.
        """
        found = self.find(text)
        if len(found) == 1:
            return found[0]
        if found:
            which = "; ".join(f"{self.tree.names[node]} ({self.describe(node)})" for node in found[:4])
            which += "; ..." if found[4:] else ""
            raise TreeError(f"{self.tree.source}: {len(found)} nodes are called {shown(text)}, choose by wnid: {which}")
        if text.isascii() and text.isdigit() and int(text) < len(self):
            return int(text)
        close = difflib.get_close_matches(_plain(text), self._by_word, n=3)
        hint = f"; did you mean {' or '.join(shown(word) for word in close)}?" if close else ""
        raise TreeError(
            f"{self.tree.source}: no node is called {shown(text)}; expected a word, a wnid or a number"
            f" from 0 to {len(self) - 1}{hint}"
        )

    def search(self, text: str) -> tuple[int, ...]:
        """The nodes whose word or wnid has `text` in it, as the search of the tree's page finds them: those that are
        called so first, then those that begin so; in each the upper ones first."""
        wanted = _plain(text)
        keys = [(_plain(word), name.casefold()) for word, name in zip(self.words, self.tree.names, strict=True)]
        found = [node for node, both in enumerate(keys) if any(wanted in key for key in both)]

        def rank(node: int) -> tuple[int, int, int]:
            likeness = 0 if wanted in keys[node] else 1 if keys[node][0].startswith(wanted) else 2
            return likeness, int(self.tree.depths[node]), node

        return tuple(sorted(found, key=rank))

    def describe(self, node: int, probabilities: NDArray[np.floating] | None = None) -> str:
        """The path to `node` from its root, `object > whole > ... > terrier`.

        With every node's absolute probability, [nodes], each step shows its own: `object 0.98 > whole 0.97 > ...`.
        """
        if probabilities is None:
            return " > ".join(self.words[step] for step in self.tree.path(node))
        return " > ".join(f"{self.words[step]} {probabilities[step]:.2f}" for step in self.tree.path(node))

    def children(self, node: int | None) -> range:
        """The nodes right below `node`, nothing for a leaf; for None the roots."""
        group = 0 if node is None else int(self.tree.child_groups[node])
        if group < 0:
            return range(0)
        offset = int(self.tree.group_offsets[group])
        return range(offset, offset + int(self.tree.group_sizes[group]))

    @cached_property
    def leaves_below(self) -> Int32s:
        """How many leaves are at or below each node, [nodes]."""
        counts = self.tree.leaves.astype(np.int32)
        for node in range(len(self) - 1, -1, -1):  # children stand after their parent
            if (parent := self.tree.parents[node]) >= 0:
                counts[parent] += counts[node]
        return counts

    @cached_property
    def _by_name(self) -> Mapping[str, int]:
        return {name: node for node, name in enumerate(self.tree.names)}

    @cached_property
    def _by_word(self) -> Mapping[str, tuple[int, ...]]:
        nodes: defaultdict[str, list[int]] = defaultdict(list)
        for node, word in enumerate(self.words):
            nodes[_plain(word)].append(node)
        return {word: tuple(which) for word, which in nodes.items()}


def open_tree(source: str | Path = "9k", names: str | Path | None = None) -> NamedTree:
    """A `.tree` file, or the packaged one of that name, with its words.

    The words are those of `names`, or of `NAME-nodes.names` or else `NAME.names` beside `NAME.tree`, or for lack of
    both the nodes' own names. Raises TreeError or MetadataError for files that cannot be read, or of different lengths.
    """
    path = _packaged(source)
    tree = read_tree(path)
    beside = (path.with_name(f"{path.stem}-nodes.names"), path.with_suffix(".names"))
    words_file = Path(names) if names is not None else next((file for file in beside if file.is_file()), None)
    words = tree.names if words_file is None else read_names(words_file)
    if len(words) != len(tree):
        raise MetadataError(
            f"{words_file}: has {count(len(words), 'name')}, but {path} has {count(len(tree), 'node')};"
            " name the nodes' file with --names"
        )
    return NamedTree(tree, words)


def read_leaves(path: str | Path, tree: WordTree) -> Bools:
    """Whether each node is to count as a leaf: the nodes listed in a file, one a line, [nodes].

    This is what `leaves=` in a `.data` file means: of a tree's classes only these are answered, such as the 1000 of
    ILSVRC by a network that knows 9418 (original: `change_leaves`, which passes over lines it does not know). Raises
    MetadataError with the line that is no node of the tree.
    """
    nodes = {name: node for node, name in enumerate(tree.names)}
    leaves = np.zeros(len(tree), np.bool_)
    for number, name in enumerate(read_names(path), start=1):
        if name not in nodes:
            raise MetadataError(f"{path}:{number}: expected a node of {tree.source}, found {shown(name)}")
        leaves[nodes[name]] = True
    return leaves


def read_probabilities(path: str | Path, tree: WordTree) -> Doubles:
    """Every node's absolute probability, [nodes], from a `.npy` or a JSON list.

    Raises MetadataError for other files, and for anything but one number from 0 to 1 a node.
    """
    try:
        if Path(path).suffix.lower() == ".npy":
            values = np.load(path, mmap_mode="r", allow_pickle=False)  # no more memory than the file has
        else:
            values = np.array(parse_json(read_text(path, MetadataError, "a JSON list of probabilities")))
        probabilities: Doubles = values.astype(np.float64)
    except OSError as error:
        raise MetadataError(f"{path}: cannot be read as probabilities: {error.strerror or error}") from None
    except (ValueError, TypeError, EOFError, SyntaxError, TokenError):  # as numpy takes the header for Python
        raise MetadataError(f"{path}: expected probabilities, a .npy or a JSON list of numbers") from None
    if probabilities.shape != (len(tree),):
        shape = "x".join(map(str, probabilities.shape)) or "one number"
        raise MetadataError(f"{path}: expected {len(tree)} probabilities, one a node of {tree.source}, found {shape}")
    if not ((probabilities >= -1e-6) & (probabilities <= 1 + 1e-6)).all():
        raise MetadataError(f"{path}: expected probabilities from 0 to 1, found others")
    return probabilities


def write_tree(tree: WordTree, path: str | Path) -> None:
    """Write a `.tree` file. Raises TreeError where that is not possible; nothing half-written stays."""
    _write(format_tree(tree), path, TreeError)


def write_lines(lines: Sequence[object], path: str | Path) -> None:
    """Write `.names`, labels or a `.map`: one a line. Raises MetadataError where that is not possible."""
    _write("".join(f"{line}\n" for line in lines), path, MetadataError)


def _write(text: str, path: str | Path, error: type[TreeError] | type[MetadataError]) -> None:
    with atomic_write(path, error) as file:
        file.write(text.encode("utf-8", errors="surrogateescape"))


def _packaged(source: str | Path) -> Path:
    """The file `source`, or the packaged tree that it names."""
    path = Path(source)
    if not path.exists() and path.name == str(source):
        packaged = cfg_dir() / "data" / path.with_suffix(".tree").name
        if packaged.is_file():
            return packaged
    return path


def _plain(text: str) -> str:
    return " ".join(text.replace("_", " ").split()).casefold()
