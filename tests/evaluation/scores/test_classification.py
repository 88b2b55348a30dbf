"""A classifier's accuracy against the original's, and what a tree gets right at each level."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.evaluation.scores import classification
from darknet_compat.evaluation.scores.classification import RankedClasses
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.wordtree import from_parents
from darknet_compat.inference.batch import Failure
from darknet_compat.inference.classifier import Classifier
from darknet_compat.network.load import load_network
from darknet_compat.runtime.torch import TorchRuntime
from tests.parity.program import run_program

LABELS = cfg_dir() / "data" / "imagenet1k.labels"


@pytest.fixture
def tiny(shared_data: Path) -> Classifier:
    base = shared_data / "models/tiny-darknet/tiny"
    classifier = Classifier(f"{base}.cfg", f"{base}.weights")
    # The program is the CPU build, which divides by another deviation.
    classifier.runtime = TorchRuntime(load_network(f"{base}.cfg", f"{base}.weights", batchnorm="cpu"))
    return classifier


@pytest.mark.reference
@pytest.mark.parametrize(("view", "verb"), [("crop", "valid"), pytest.param("ten", "valid10", marks=pytest.mark.slow)])
def test_accuracy_is_the_originals(
    view: str, verb: str, tiny: Classifier, photos: list[Path], shared_data: Path, tmp_path: Path
) -> None:
    """Some pictures lie in a folder named after what is thought of first, some of what is thought of fourth, some of
    something else: every picture moves the running shares."""
    chosen = photos[:6]
    answers = list(classification.answers(tiny, chosen, view, batch=3))  # type: ignore[arg-type]
    labels = LABELS.read_text().split()
    truths, paths = [], []
    for number, (photo, answer) in enumerate(zip(chosen, answers, strict=True)):
        assert isinstance(answer, RankedClasses)
        truth = (int(answer.best[0]), int(answer.best[3]), 999 if 999 not in answer.best else 998)[number % 3]
        place = tmp_path / labels[truth] / photo.name
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(photo)
        truths.append(truth)
        paths.append(place)
    (tmp_path / "list.txt").write_text("".join(f"{path}\n" for path in paths))
    data = tmp_path / "x.data"
    data.write_text(f"classes=1000\ntop=5\nlabels={LABELS}\nvalid={tmp_path}/list.txt\n")
    base = shared_data / "models/tiny-darknet/tiny"
    printed = run_program("classifier", verb, data, f"{base}.cfg", f"{base}.weights").stdout
    theirs = re.findall(r"^\d+: top 1: (\S+), top 5: (\S+)", printed, re.MULTILINE)
    given = [answer for answer in answers if isinstance(answer, RankedClasses)]
    ours = [classification.score(given[:end], truths[:end]) for end in range(1, 7)]
    for one, (top1, top5) in zip(ours, theirs, strict=True):
        assert (one.top1, one.top5) == pytest.approx((float(top1), float(top5)), abs=1e-6)
    assert (ours[-1].top1, ours[-1].top5) == pytest.approx((1 / 3, 2 / 3))


def test_ten_parts() -> None:
    """Of a picture whose pixels say where they are: the originals offsets, edges repeated, and the mirror image."""
    picture = np.zeros((72, 72, 3), np.uint8)
    picture[..., 0] = np.arange(72)[:, None]
    picture[..., 1] = np.arange(72)
    parts = np.rint(255 * classification.views(picture, 40, 40, "ten")).astype(int)
    assert parts.shape == (10, 3, 40, 40)
    corners = [(part[0, 0, 0], part[1, 0, 0], part[0, -1, -1], part[1, -1, -1]) for part in parts]
    assert corners[:5] == [(0, 0, 7, 7), (0, 32, 7, 71), (0, 0, 39, 39), (32, 0, 71, 7), (32, 32, 71, 71)]
    assert corners[7] == (0, 71, 39, 32)


def test_the_middle_square() -> None:
    picture = np.zeros((10, 30, 3), np.uint8)
    picture[:, 10:20] = 255
    assert classification.views(picture, 5, 5, "crop").min() == 1


TREE = from_parents(["thing", "animal", "dog", "cat", "terrier", "collie"], [-1, 0, 1, 1, 2, 2])


def answer(best: int, deepest: int, stopped: int) -> RankedClasses:
    return RankedClasses(np.array([best, -1, -1, -1, -1]), deepest, stopped)


def test_levels_of_a_tree() -> None:
    """A terrier whose way down stops at dog is named right; a collie called cat is right down to animal."""
    given = [answer(4, 4, 2), answer(3, 3, 3), None]
    scores = classification.score(given, [4, 5, 4], TREE)
    assert (scores.top1, scores.named_right) == (1 / 3, 1 / 3)
    assert [(one.pictures, one.right, one.stopped) for one in scores.levels] == [
        (3, 2, 0),
        (3, 2, 0),
        (3, 1, 2),
        (3, 1, 0),
    ]


def test_an_unreadable_picture_is_wrong(tiny: Classifier, photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_text("no picture")
    found = list(classification.answers(tiny, [photos[0], tmp_path / "x.jpg", photos[1]], "letterbox", batch=2))
    assert [isinstance(one, Failure) for one in found] == [False, True, False]
    assert classification.score([], []).top1 is None
