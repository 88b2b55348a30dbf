"""Pictures with boxes and pictures with a label, on one tree."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from darknet_compat.datasets.base import Dataset, Labels, Sample
from darknet_compat.datasets.readers.digits import DigitPictures
from darknet_compat.definition.lower import lower
from darknet_compat.errors import DatasetError
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.wordtree import WordTree, from_parents, read_tree
from darknet_compat.training.batches.loader import Loader
from darknet_compat.training.joint import Mixed, OnTree, coverage


class Made(Dataset):
    """Pictures whose only object is of the class that their number gives, with a box or without."""

    def __init__(self, title: str, names: tuple[str, ...], count: int, drawn: bool) -> None:
        self.title, self.names, self.count, self.drawn = title, names, count, drawn

    def __len__(self) -> int:
        return self.count

    def sample(self, index: int) -> Sample:
        class_id = index % (len(self.names) or 3)
        labels = Labels.drawn([[0.5, 0.5, 0.4, 0.4]], [class_id]) if self.drawn else Labels.whole_picture(class_id)
        return Sample(f"{self.title} {index}", np.full((20, 30, 3), index % 200, np.uint8), labels)


#     animal     thing
#    /      \
#   cat     dog
#           /  \
#        collie beagle
NAMES = ("animal", "thing", "cat", "dog", "collie", "beagle")


@pytest.fixture
def tree() -> WordTree:
    return from_parents(NAMES, [-1, -1, 0, 0, 3, 3])


def boxed(tree: WordTree, count: int = 6) -> OnTree:
    return OnTree(Made("boxed", ("Katze", "Hund"), count, True), tree, [2, 3])


def labelled(tree: WordTree, count: int = 6) -> OnTree:
    return OnTree(Made("labelled", ("collie", "cat"), count, False), tree)


def test_classes_become_nodes(tree: WordTree) -> None:
    assert [sample.labels.classes.tolist() for sample in boxed(tree)[:2]] == [[2], [3]]
    assert [sample.labels.classes.tolist() for sample in labelled(tree)[:2]] == [[4], [2]]
    assert boxed(tree).names == labelled(tree).names == NAMES
    without = OnTree(Made("boxed", ("Katze", "Hund"), 2, True), tree, [-1, 3])
    assert [sample.labels.classes.tolist() for sample in without] == [[], [3]]


@pytest.mark.parametrize(
    ("names", "nodes", "message"),
    [
        (("cat", "unicorn"), None, "x: no nodes of <tree> are called unicorn; give a map"),
        ((), None, "x: no nodes of <tree> are called classes without names; give a map"),
        (("a", "b"), [1], "x: 2 classes, but the map onto the tree has 1 line"),
        (("a", "b"), [1, 6], "x: the map names node 6, but <tree> has nodes 0 to 5"),
    ],
)
def test_classes_that_come_to_no_node(
    tree: WordTree, names: tuple[str, ...], nodes: list[int] | None, message: str
) -> None:
    with pytest.raises(DatasetError, match=f"^{message}$"):
        OnTree(Made("x", names, 3, True), tree, nodes)


def test_a_class_beyond_the_map(tree: WordTree) -> None:
    with pytest.raises(DatasetError, match="x: x 2 has class 2, but the map has 2 lines"):
        list(OnTree(Made("x", (), 3, True), tree, [1, 2]))


@pytest.mark.parametrize(
    ("boxes", "images", "ratio", "expected"),
    [
        (10, 100, None, (25, 100)),  # boxed ones come two and a half times
        (10, 40, None, (10, 40)),
        (10, 5, None, (10, 5)),  # 4:1 at most, not at least
        (10, 5, 4.0, (10, 40)),
        (10, 100, 1.0, (100, 100)),
        (3, 10, 3.0, (4, 10)),
    ],
)
def test_the_mixture(tree: WordTree, boxes: int, images: int, ratio: float | None, expected: tuple[int, int]) -> None:
    mixed = Mixed(boxed(tree, boxes), labelled(tree, images), ratio)
    ids = [sample.id for sample in mixed]
    assert (sum(name.startswith("boxed") for name in ids), len(ids)) == (expected[0], sum(expected))
    assert len(set(ids)) == boxes + images
    assert len(mixed) == sum(expected)


def test_mixtures_that_are_none(tree: WordTree) -> None:
    with pytest.raises(DatasetError, match="not the same classes; carry both onto one tree"):
        Mixed(Made("x", ("a",), 3, True), labelled(tree))
    with pytest.raises(DatasetError, match="labelled: no pictures to train on"):
        Mixed(boxed(tree), labelled(tree, 0))
    with pytest.raises(DatasetError, match="expected a ratio above 0 of labelled to boxed pictures, found 0"):
        Mixed(boxed(tree), labelled(tree), 0)


def test_one_stream(tree: WordTree) -> None:
    cfg = (
        "[net]\nwidth=32\nheight=32\nchannels=3\nbatch=50\n[convolutional]\nfilters=11\nstride=32\n[region]\nclasses=6"
    )
    spec = lower(parse_cfg(cfg, "x.cfg"))
    mixed = Mixed(boxed(tree, 10), labelled(tree, 1000))
    batches = list(itertools.islice(Loader(mixed, spec, seed=1, workers=0), 20))
    truth = torch.cat([batch.truth.classes[:, 0] for batch in batches])
    whole = torch.cat([(batch.truth.boxes[:, 0] == 0).all(-1) for batch in batches])
    assert 0.75 < whole.float().mean() < 0.85
    assert set(truth[whole].tolist()) == {2, 4} and set(truth[~whole].tolist()) == {2, 3}


def test_what_nodes_are_learned_from(tree: WordTree) -> None:
    found = coverage(tree, [boxed(tree, 6), labelled(tree, 5)])
    assert found.boxes.tolist() == [0, 0, 3, 3, 0, 0]
    assert found.images.tolist() == [0, 0, 2, 0, 3, 0]
    assert found.below.tolist() == [11, 0, 0, 3, 0, 0]
    assert found.counts == {"boxes": 2, "only images": 1, "only descendants": 1, "nothing": 2}
    assert str(found) == (
        "6 nodes: 2 with boxes, 1 with images only, 1 with neither but above such nodes, 2 with nothing"
    )


def test_of_composed_data_the_first_pictures_tell() -> None:
    tree = read_tree(cfg_dir() / "data" / "digits.tree")
    pictures = OnTree(DigitPictures(count=100_000, digits=[3, 8]), tree)
    asked: list[tuple[int, int]] = []
    found = coverage(tree, [pictures], progress=lambda done, total: asked.append((done, total)))
    assert asked[-1] == (200, 200)
    assert found.images.sum() == 200
    assert found.counts == {"boxes": 0, "only images": 2, "only descendants": 4, "nothing": 9}
