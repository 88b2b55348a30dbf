"""Each layout of the labelling tools from end to end: trained on for two batches, evaluated, converted, evaluated again
with the same score; and data that there is nothing to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darknet_compat.datasets.open import open_dataset
from darknet_compat.datasets.writers.layouts import WRITERS, write_dataset
from darknet_compat.errors import DatasetError
from darknet_compat.evaluation.job import Scored, evaluate
from darknet_compat.inference.progress import Noted
from darknet_compat.training.job import Checked, train
from tests.datasets.layouts import MADE, made
from tests.datasets.shapes import NAMES, PARTS, coco_json, picture, put, put_pictures, yolo_lines

CFG = """[net]
batch=4
width=32
height=32
channels=3
learning_rate=0.01
max_batches=2
burn_in={burn_in}
[convolutional]
filters=8
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]
filters={filters}
size=1
activation=linear
[region]
anchors=1.7,1.7, 2.2,2.2
classes={classes}
num=2
softmax=1
coords=4
jitter=.1
object_scale=5
noobject_scale=1
class_scale=1
coord_scale=1
thresh=.6
"""

FORMS = tuple(WRITERS)


def cfg(folder: Path, classes: int = 2, burn_in: int = 0) -> Path:
    return put(folder / "net.cfg", CFG.format(classes=classes, filters=2 * (5 + classes), burn_in=burn_in))


def score(model: Path, weights: Path, data: Path, split: str | None) -> float:
    found = evaluate(model=str(model), weights=weights, data=str(data), split=split, metric="voc", thresh=0.0001)
    assert isinstance(found, Scored) and found.complete
    value = found.figures["mAP"]
    assert value is not None
    return value


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("kind", MADE)
def test_from_end_to_end(kind: str, tmp_path: Path) -> None:
    source = made(kind, tmp_path / "set")
    trained = train(model=str(cfg(tmp_path)), data=str(source), out=tmp_path / "run", workers=0)
    assert trained.batches == 2
    assert set((tmp_path / "run/net.names").read_text().split()) == set(NAMES)
    split = "valid" if len(MADE[kind].splits) == 3 else None
    before = score(trained.cfg, trained.weights, source, split)
    assert before > 0
    form = FORMS[list(MADE).index(kind) % len(FORMS)]
    path = write_dataset(tmp_path / "written", form, {"test": open_dataset(source, split=split)})
    assert score(trained.cfg, trained.weights, path, "test") == pytest.approx(before, abs=1e-9)


@pytest.mark.parametrize("form", WRITERS)
def test_the_score_stays_in_every_form(form: Any, tmp_path: Path) -> None:
    """With boxes that are not on whole pixels, difficult ones and crowds left to the forms that can mark them."""
    random = np.random.default_rng(5)
    put_pictures(tmp_path / "set", PARTS["train"])
    for stem in PARTS["train"]:
        x, y, w, h = random.uniform(0.3, 0.6, 4).tolist()
        put(tmp_path / f"set/{stem}.txt", f"0 {x!r} {y!r} {w / 2!r} {h / 2!r}\n1 {y!r} {x!r} {h / 3!r} {w / 3!r}\n")
    put(tmp_path / "set/classes.txt", "\n".join(NAMES))
    trained = train(model=str(cfg(tmp_path)), data=str(tmp_path / "set"), out=tmp_path / "run", workers=0)
    before = score(trained.cfg, trained.weights, tmp_path / "set", None)
    path = write_dataset(tmp_path / "written", form, {"train": open_dataset(tmp_path / "set")})
    assert score(trained.cfg, trained.weights, path, "train") == pytest.approx(before, abs=1e-9)


# -------------------------------------------------------------------------------------- nothing to learn


def told(**options: Any) -> tuple[list[str], list[object]]:
    """What training said, and its other events."""
    events: list[object] = []
    train(**options, workers=0, progress=events.append)
    return [event.text for event in events if isinstance(event, Noted)], events


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("labels", ["", None])
def test_a_detector_wants_a_box(labels: str | None, check: bool, tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path / f"set/{number}.png", picture("train_0"))
        if labels is not None:
            put(tmp_path / f"set/{number}.txt", labels)
    put(tmp_path / "set/list.txt", "0.png\n1.png\n2.png\n")
    with pytest.raises(DatasetError, match="not one box to learn it from is in 3 pictures, no label"):
        train(model=str(cfg(tmp_path)), data=str(tmp_path / "set/list.txt"), out=tmp_path / "run", check=check)
    assert not (tmp_path / "run/net_final.weights").exists()


def test_a_detector_does_not_learn_from_folders_of_classes(tmp_path: Path) -> None:
    for name in ("cat/a.png", "dog/b.png"):
        put(tmp_path / "set" / name, picture("train_0"))
    with pytest.raises(DatasetError, match=r"not one box .* is in 2 pictures, 2 labels of whole pictures"):
        train(model=str(cfg(tmp_path)), data=str(tmp_path / "set"), out=tmp_path / "run")


def test_more_labels_that_lie_outside_than_can_be_used(tmp_path: Path) -> None:
    """Corners in pixels where fractions are expected: some of them cut at the border would be left to learn from."""
    for stem, boxes in PARTS["train"].items():
        put(tmp_path / f"set/{stem}.png", picture(stem))
        put(tmp_path / f"set/{stem}.txt", "".join(" ".join(map(str, box)) + "\n" for box in boxes))
    options: dict[str, Any] = {"model": str(cfg(tmp_path)), "data": str(tmp_path / "set"), "workers": 0}
    with pytest.raises(DatasetError, match=r"7 labels lie outside .* more than the 2 that do not; --no-check trains"):
        train(**options, out=tmp_path / "run")
    assert train(**options, out=tmp_path / "run", check=False).batches == 2


def numbered(folder: Path, names: int, highest: int) -> str:
    put(folder / "a.png", picture("train_0"))
    put(folder / "a.txt", f"{highest} .5 .5 .2 .2\n")
    put(folder / "list.txt", "a.png\n")
    put(folder / "x.names", "".join(f"n{number}\n" for number in range(names)))
    put(folder / "x.data", "train=list.txt\nnames=x.names\n" if names else "train=list.txt\n")
    return str(folder / "x.data")


@pytest.mark.parametrize(
    ("names", "highest", "message"),
    [
        (5, 1, "5 classes are named, the cfg has 2, and labels go up to class 1"),
        (0, 2, "its labels go up to class 2, the cfg has 2 classes"),
        (3, 2, None),  # the cfg's heads are made anew
        (2, 0, None),  # as many as the cfg has, one of which never occurs
        (0, 1, None),
    ],
)
def test_classes_that_fit_neither_cfg_nor_data(names: int, highest: int, message: str | None, tmp_path: Path) -> None:
    options = {"model": str(cfg(tmp_path)), "data": numbered(tmp_path / "set", names, highest), "workers": 0}
    if message is None:
        assert train(**options, out=tmp_path / "run").batches == 2
        return
    with pytest.raises(DatasetError, match=message):
        train(**options, out=tmp_path / "run")


def test_a_category_that_annotates_nothing_is_no_class(tmp_path: Path) -> None:
    part = PARTS["train"]
    put_pictures(tmp_path / "set", part)
    categories = [{"id": n, "name": name} for n, name in enumerate((*NAMES, "unused"), start=1)]
    put(tmp_path / "set/x.json", coco_json(part, categories=categories))
    notes, _ = told(model=str(cfg(tmp_path)), data=str(tmp_path / "set"), out=tmp_path / "run")
    assert (tmp_path / "run/net.names").read_text().split() == list(NAMES)
    assert "nothing is annotated as 'unused', which the cfg has no class for: left out" in notes


def test_a_burn_in_longer_than_the_run_is_said(tmp_path: Path) -> None:
    put(tmp_path / "set/a.png", picture("train_0"))
    put(tmp_path / "set/a.txt", yolo_lines(PARTS["train"]["train_0"]))
    notes, events = told(model=str(cfg(tmp_path, burn_in=1000)), data=str(tmp_path / "set"), out=tmp_path / "run")
    assert [note for note in notes if note.startswith("burn_in=1000 is longer than the whole run of 2 batches")]
    assert any(isinstance(event, Checked) for event in events)
