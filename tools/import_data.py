"""Write cfg/data/ from the original's data folder: names, labels, maps and the WordTree of 9418 nodes.

    python tools/import_data.py [/usr/share/darknet/data]   # writes cfg/data/* and its README.md's table
    python tools/import_data.py --check                     # writes nothing; exit code 1 and the files that differ

The lines are taken as they are, one a class, after checking that they are what they should be: as many as the networks
have classes, no blanks at the ends of a line, no Windows line ends, no empty lines, labels unique, every number of a
map a node of the tree, the tree's nodes and their labels in the same order.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from darknet_compat.formats.metadata import read_map  # noqa: E402
from darknet_compat.formats.wordtree import read_tree  # noqa: E402

ORIGINAL = Path("/usr/share/darknet/data")
TARGET = REPOSITORY / "cfg" / "data"
BEGIN, END = "<!-- the table is written by tools/import_data.py -->\n", "<!-- end of the table -->\n"


@dataclass(frozen=True)
class List:
    """A file to write: the first `count` lines of the original's `source`, and whether no line stands twice."""

    source: str
    count: int
    whole: bool
    unique: bool
    meaning: str


LISTS = {
    "9k.labels": List("9k.labels", 9418, True, True, "WordNet ids of the WordTree's nodes, class by class"),
    "9k.names": List("9k.names", 9418, True, False, "their English names, some of which several nodes share"),
    "9k.tree": List(
        "9k.tree", 9418, True, True, "the WordTree: a node's WordNet id and its parent's line, -1 for a root"
    ),
    "coco.names": List("coco.names", 80, True, True, "the classes of COCO"),
    "coco9k.map": List("coco9k.map", 80, True, False, "the WordTree's node for each class of COCO"),
    "imagenet1k.labels": List(
        "imagenet.labels.list", 1000, False, True, "WordNet ids of ILSVRC's 1000 classes, in the original's order"
    ),
    "imagenet1k.names": List(
        "imagenet.shortnames.list",
        1000,
        False,
        False,
        "their English names; `crane` and `maillot` stand twice",
    ),
    "imagenet22k.labels": List(
        "imagenet.labels.list", 21842, True, True, "WordNet ids of all of ImageNet, ILSVRC's first, then its leaves"
    ),
    "inet9k.map": List("inet9k.map", 200, True, True, "the WordTree's node for each of ImageNet DET's 200 classes"),
    "openimages.names": List("openimages.names", 601, True, True, "the classes of Open Images"),
    "voc.names": List("voc.names", 20, True, True, "the classes of PASCAL VOC"),
}


def lines_of(path: Path, wanted: List) -> list[str]:
    """The lines to write, checked. Raises ValueError that says which line is not what it should be."""
    text = path.read_bytes().decode("ascii")
    if "\r" in text or "\t" in text:
        raise ValueError(f"{path}: Windows line ends or tabs")
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < wanted.count or (wanted.whole and len(lines) != wanted.count):
        raise ValueError(f"{path}: {len(lines)} lines, expected {wanted.count}")
    lines = lines[: wanted.count]
    for number, line in enumerate(lines, start=1):
        if not line or line != line.strip():
            raise ValueError(f"{path}:{number}: empty, or blanks at an end: {line!r}")
    if wanted.unique and len(set(lines)) != len(lines):
        raise ValueError(f"{path}: a line stands twice")
    return lines


def check_together(folder: Path) -> None:
    """Check what the files say of each other. Raises ValueError, or the readers' own errors."""
    tree = read_tree(folder / "9k.tree")
    labels = (folder / "9k.labels").read_text("ascii").split("\n")[:-1]
    if list(tree.names) != labels:
        raise ValueError("9k.tree and 9k.labels name different nodes")
    names = (folder / "9k.names").read_text("ascii").split("\n")[:-1]
    coco = (folder / "coco.names").read_text("ascii").split("\n")[:-1]
    mapped = read_map(folder / "coco9k.map", len(tree))
    if (names[mapped[0]], coco[0], names[mapped[16]], coco[16]) != ("person", "person", "dog", "dog"):
        raise ValueError("coco9k.map does not lead from COCO's classes to the tree's")
    read_map(folder / "inet9k.map", len(tree))


def table() -> str:
    """The README's table, a row a file."""
    rows = ["| file | lines | what a line is | in the original |", "|---|---|---|---|"]
    for name, wanted in LISTS.items():
        part = f"`{wanted.source}`" + ("" if wanted.whole else f", the first {wanted.count}")
        rows.append(f"| `{name}` | {wanted.count} | {wanted.meaning} | {part} |")
    return "\n".join(rows) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check all files."""
    parser = argparse.ArgumentParser(description="Write cfg/data/ from the original's data folder.")
    parser.add_argument("original", nargs="?", type=Path, default=ORIGINAL)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    options = parser.parse_args(arguments)
    texts = {name: "\n".join(lines_of(options.original / want.source, want)) + "\n" for name, want in LISTS.items()}
    readme = (TARGET / "README.md").read_text("utf-8")
    before, _, rest = readme.partition(BEGIN)
    texts["README.md"] = before + BEGIN + table() + END + rest.partition(END)[2]
    stale = []
    for name, text in texts.items():
        path = TARGET / name
        if not path.is_file() or path.read_bytes() != text.encode():
            stale.append(name)
            if not options.check:
                path.write_bytes(text.encode())
    check_together(TARGET)
    print(f"{len(texts)} files, {len(stale)} {'stale' if options.check else 'written'}: {' '.join(stale) or 'none'}")
    return int(options.check and bool(stale))


if __name__ == "__main__":
    raise SystemExit(main())
