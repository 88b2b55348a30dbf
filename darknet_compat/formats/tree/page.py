"""A WordTree as a picture: a page that a person can fold and search, or an SVG of all of it.

Both stand alone: one file, nothing fetched, any number of nodes.
"""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path

import numpy as np

from darknet_compat.errors import TreeError
from darknet_compat.formats.arrays import Ints
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.tree.named import NamedTree

_PAGE = Path(__file__).with_name("page.html")
_COLUMN, _HEIGHT = 130, 4000  # of the SVG, in its units: a level's width, and the most that all leaves together have


def render(tree: NamedTree, path: str | Path, title: str = "WordTree") -> None:
    """Write the picture of a tree, a page for `.html` and a drawing for `.svg`.

    Raises TreeError for another ending, and where the file cannot be written.
    """
    painters = {".html": html_page, ".htm": html_page, ".svg": svg_picture}
    painter = painters.get(Path(path).suffix.lower())
    if painter is None:
        raise TreeError(f"{path}: expected a file that ends in .html or .svg")
    with atomic_write(path, TreeError) as file:
        file.write(painter(tree, title).encode("utf-8"))


def html_page(tree: NamedTree, title: str = "WordTree") -> str:
    """A page with the tree as an outline to fold, a search, and the whole of it as a picture to walk through."""
    data = {"parents": tree.tree.parents.tolist(), "words": tree.words, "labels": tree.tree.names}
    parts = {
        "%TITLE%": escape(title),
        # A "<" in a word would end the script or begin a comment in it.
        "%TREE%": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    }
    return re.sub("|".join(parts), lambda mark: parts[mark[0]], _PAGE.read_text("utf-8"))


def svg_picture(tree: NamedTree, title: str = "WordTree") -> str:
    """All nodes as blocks, a column a level, as high as they have leaves; small ones are there to be zoomed into."""
    leaves = tree.leaves_below
    total = int(leaves[tree.tree.parents < 0].sum())
    row = min(12.0, _HEIGHT / total)
    first = _first_leaves(tree)
    width, height = _COLUMN * (int(tree.tree.depths.max()) + 1), row * total
    hues = 360 * (first + leaves / 2) / total
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" font-family="sans-serif">',
        f"<title>{_text(title)}</title>",
        "<style>rect{stroke:#fff;stroke-width:.2}text{dominant-baseline:central;fill:#1c2024}</style>",
    ]
    for node, (word, name) in enumerate(zip(tree.words, tree.tree.names, strict=True)):
        x, y, tall = _COLUMN * int(tree.tree.depths[node]), row * int(first[node]), row * int(leaves[node])
        size = min(0.8 * tall, 1.6 * _COLUMN / max(len(word), 4))  # a letter is about 0.6 of it wide
        color = f"hsl({hues[node]:.0f},45%,80%)"
        lines.append(
            f"<g><title>{_text(word)} {_text(name)}</title>"
            f'<rect x="{x}" y="{y:.2f}" width="{_COLUMN}" height="{tall:.2f}" fill="{color}"/>'
            f'<text x="{x + 2}" y="{y + tall / 2:.2f}" font-size="{size:.2f}">{_text(word)}</text></g>'
        )
    return "\n".join([*lines, "</svg>\n"])


def _first_leaves(tree: NamedTree) -> Ints:
    """The number of leaves before each node's own, reading down the picture, [nodes]."""
    sizes, offsets = tree.tree.group_sizes, tree.tree.group_offsets
    first = np.zeros(len(tree), np.int64)
    for offset, size in zip(offsets.tolist(), sizes.tolist(), strict=True):
        group = slice(offset, offset + size)
        parent = int(tree.tree.parents[offset])
        below = tree.leaves_below[group].cumsum()
        first[group] = (first[parent] if parent >= 0 else 0) + below - tree.leaves_below[group]
    return first


def _text(text: str) -> str:
    """Text inside an element: what XML forbids even escaped (control characters, halves of characters) becomes ?."""
    return escape(re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text))
