"""What training learns from: one data set or, on a WordTree, two, with boxes and with labels of whole pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from darknet_compat.datasets.base import Dataset
from darknet_compat.datasets.files import first_words
from darknet_compat.datasets.open import open_dataset
from darknet_compat.datasets.options import Reading
from darknet_compat.datasets.readers.coco import CocoInstances
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.errors import DatasetError
from darknet_compat.formats.metadata import read_map, read_names
from darknet_compat.formats.wordtree import WordTree
from darknet_compat.training.joint import Mixed, OnTree
from darknet_compat.training.options import TrainOptions
from darknet_compat.training.start import head_classes


@dataclass(frozen=True)
class Material:
    """`dataset` is shown to the network; it consists of `parts`, which are carried onto `tree` if there is one."""

    dataset: Dataset
    parts: tuple[Dataset, ...]
    tree: WordTree | None = None


def open_material(cfg: Path, options: TrainOptions) -> Material:
    """Open the data. Raises DatasetError, also where something is asked for that only a WordTree makes sense of."""
    joint, map = options.joint, options.map
    names = None if options.names is None else read_names(options.names)
    spec = load_spec(cfg, dialect=options.dialect, quiet=True)
    reading = Reading.of(options, spec.dialect.labels_beside)
    dataset = open_dataset(options.data, names=names, split=options.split, reading=reading)
    dataset = _of_use(spec, dataset, options, reading) if names is None else dataset
    tree = spec.tree
    if tree is None and (joint or map):
        raise DatasetError(f"{cfg}: has no WordTree (tree= in its head), which {'--joint' if joint else '--map'} needs")
    if tree is None or not (joint or map or (dataset.names and set(dataset.names) <= set(tree.names))):
        return Material(dataset, (dataset,))
    boxed = _carried(dataset, tree, map)
    if joint is None:
        return Material(boxed, (boxed,), tree)
    labelled = _carried(open_dataset(joint, task="classify"), tree, options.joint_map)
    return Material(Mixed(boxed, labelled, options.ratio), (boxed, labelled), tree)


def _of_use(spec: NetworkSpec, dataset: Dataset, options: TrainOptions, reading: Reading) -> Dataset:
    """COCO's data without the categories that annotate nothing, where without them they are as many as the cfg has."""
    if not isinstance(dataset, CocoInstances) or len(dataset.used_names) == len(dataset.names):
        return dataset
    if len(dataset.used_names) != head_classes(spec):
        return dataset
    unused = [name for name in dataset.names if name not in dataset.used_names]
    found = open_dataset(options.data, names=dataset.used_names, split=options.split, reading=reading)
    found.notes = (f"nothing is annotated as {first_words(unused)}, which the cfg has no class for: left out",)
    return found


def _carried(dataset: Dataset, tree: WordTree, map: Path | None) -> Dataset:
    """The data on the tree: by a map, by the classes' names, or where these have none as the numbers of nodes."""
    if map is not None:
        return OnTree(dataset, tree, read_map(map))
    return OnTree(dataset, tree, None if dataset.names else range(len(tree)))
