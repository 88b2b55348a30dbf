"""What `train` learns from: one data set or, on a WordTree, two, with boxes and with labels of whole pictures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darknet_compat.cli.terminal import output as terminal

if TYPE_CHECKING:
    from darknet_compat.datasets.base import Dataset
    from darknet_compat.formats.wordtree import WordTree


class ObjectnessRule(str, Enum):
    """Which box a label of the whole picture is given to, and what becomes of it (`training.losses.region.Rule`)."""

    darknet = "darknet"
    paper = "paper"
    surest = "surest"


Joint = Annotated[
    str | None,
    typer.Option(
        "--joint",
        metavar="DATA",
        help="With a WordTree: learn from this as well, pictures with labels but no boxes; `digit-pictures`, say.",
    ),
]
Ratio = Annotated[
    float | None,
    typer.Option("--ratio", metavar="X", help="Pictures of --joint for each with boxes. Default: 4 at most."),
]
Map = Annotated[
    Path | None,
    typer.Option("--map", metavar="FILE", help="The tree's node for each class of DATA. Default: by their names."),
]
JointMap = Annotated[Path | None, typer.Option("--joint-map", metavar="FILE", help="The same for --joint's classes.")]
Objectness = Annotated[
    ObjectnessRule,
    typer.Option(
        "--objectness",
        help="Which box a whole picture's label goes to: as the original; as the paper, which pulls its objectness up"
        " to 0.3; or to the box that is surest to be an object, pulled up too, while the others stay.",
    ),
]


@dataclass(frozen=True)
class Material:
    """`dataset` is shown to the network; it consists of `parts`, which are carried onto `tree` if there is one."""

    dataset: Dataset
    parts: tuple[Dataset, ...]
    tree: WordTree | None = None


def material(
    cfg: Path,
    data: str,
    split: str | None,
    names: Path | None,
    map: Path | None,
    joint: str | None,
    joint_map: Path | None,
    ratio: float | None,
) -> Material:
    """Open the data. Raises DatasetError, also where something is asked for that only a WordTree makes sense of."""
    from darknet_compat.datasets.open import open_dataset
    from darknet_compat.definition.lower import load_spec
    from darknet_compat.errors import DatasetError
    from darknet_compat.formats.metadata import read_names
    from darknet_compat.training.joint import Mixed

    if joint is None and (ratio is not None or joint_map is not None):
        raise typer.BadParameter("goes with --joint", param_hint="--ratio" if joint_map is None else "--joint-map")
    dataset = open_dataset(data, names=None if names is None else read_names(names), split=split)
    tree = load_spec(cfg).tree
    if tree is None and (joint or map):
        raise DatasetError(f"{cfg}: has no WordTree (tree= in its head), which {'--joint' if joint else '--map'} needs")
    if tree is None or not (joint or map or (dataset.names and set(dataset.names) <= set(tree.names))):
        return Material(dataset, (dataset,))
    boxed = _carried(dataset, tree, map)
    if joint is None:
        return Material(boxed, (boxed,), tree)
    labelled = _carried(open_dataset(joint, task="classification"), tree, joint_map)
    return Material(Mixed(boxed, labelled, ratio), (boxed, labelled), tree)


def _carried(dataset: Dataset, tree: WordTree, map: Path | None) -> Dataset:
    """The data on the tree: by a map, by the classes' names, or where these have none as the numbers of nodes."""
    from darknet_compat.formats.metadata import read_map
    from darknet_compat.training.joint import OnTree

    if map is not None:
        return OnTree(dataset, tree, read_map(map))
    return OnTree(dataset, tree, None if dataset.names else range(len(tree)))


def show_coverage(material: Material, *, quiet: bool) -> dict[str, Any]:
    """Say what the tree's nodes are learnt from, and give it back for JSON; nothing where there is no tree."""
    from darknet_compat.training.joint import coverage

    if material.tree is None:
        return {}
    with terminal.Counter("what nodes are learnt from", quiet=quiet) as progress:
        found = coverage(material.tree, material.parts, progress=progress)
    if not quiet:
        terminal.print_line(f"{material.dataset.title}: {terminal.count(len(material.dataset), 'picture')}; {found}")
    return {"pictures": [len(part) for part in material.parts], "coverage": found.counts}
