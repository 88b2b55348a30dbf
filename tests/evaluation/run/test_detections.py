"""Evaluations that are interrupted, repeated, or run over damaged data."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darknet_compat.datasets.base import Dataset, Labels, Sample
from darknet_compat.errors import DatasetError
from darknet_compat.evaluation.material.entries import read_entries
from darknet_compat.evaluation.run import detections as run
from darknet_compat.evaluation.run import journal
from darknet_compat.evaluation.scores.metrics import METRICS, usual_metric
from darknet_compat.formats.wordtree import from_parents
from darknet_compat.inference.batch import Failure
from darknet_compat.inference.detector import Detector
from darknet_compat.inference.identity import model_key
from darknet_compat.inference.results import Detections
from tests.cli.support import DETECTOR, paint, write_toy

NAMES = ("cat", "dog")


@pytest.fixture
def detector(tmp_path: Path) -> Detector:
    """Finds one cat that fills the network's input, in whatever picture, and two dogs that hardly count."""
    toy = write_toy(tmp_path, "toy", DETECTOR, [0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, -2, 0, 8])
    return Detector(toy.cfg, toy.weights, names=NAMES, thresh=run.THRESH)


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Seven pictures of differing sizes, each with a cat that fills most of it."""
    folder = tmp_path / "pictures"
    for number in range(7):
        paint(folder / f"p{number}.png", 40 + 8 * number, 48)
        (folder / f"p{number}.txt").write_text("0 0.5 0.5 0.9 0.9\n")
    (tmp_path / "list.txt").write_text("".join(f"{folder}/p{number}.png\n" for number in range(7)))
    return tmp_path / "list.txt"


class Stopping:
    """A detector that Ctrl-C reaches after some pictures."""

    def __init__(self, detector: Detector, after: int) -> None:
        self.detector, self.after = detector, after
        self.names = detector.names

    def stream(self, sources: Any, batch: int = 1) -> Iterator[Any]:
        yield from itertools.islice(self.detector.stream(sources, batch), self.after)
        raise KeyboardInterrupt


@pytest.mark.parametrize("after", [0, 1, 2, 5])
@pytest.mark.parametrize("batch", [1, 3])
def test_resumed_equals_uninterrupted(after: int, batch: int, detector: Detector, listed: Path, tmp_path: Path) -> None:
    entries = read_entries(run.open_for(listed, NAMES))
    whole = run.detect_all(detector, entries, {}, batch=batch, folder=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run.detect_all(Stopping(detector, after), entries, {}, batch=batch, folder=tmp_path / "parts")  # type: ignore[arg-type]
    steps: list[int] = []
    again = run.detect_all(
        detector, entries, {}, batch=batch, folder=tmp_path / "parts", progress=lambda done, _: steps.append(done)
    )
    assert steps[0] == after // batch * batch
    (first,), (second,) = ([*(tmp_path / name).iterdir()] for name in ("whole", "parts"))
    assert first.read_bytes() == second.read_bytes()
    for column in ("images", "classes", "boxes", "scores"):
        assert np.array_equal(getattr(whole.found, column), getattr(again.found, column))


def test_a_second_look_runs_no_network(detector: Detector, listed: Path, tmp_path: Path) -> None:
    entries = read_entries(run.open_for(listed, NAMES))
    first = run.detect_all(detector, entries, {}, folder=tmp_path / "cache")
    second = run.detect_all(Stopping(detector, 0), entries, {}, folder=tmp_path / "cache")  # type: ignore[arg-type]
    assert np.array_equal(first.found.boxes, second.found.boxes) and len(second.found) == 21
    with pytest.raises(KeyboardInterrupt):  # other settings are another evaluation
        run.detect_all(Stopping(detector, 0), entries, {"nms": 0.5}, folder=tmp_path / "cache")  # type: ignore[arg-type]
    paint(tmp_path / "pictures" / "p3.png", 50, 50)
    with pytest.raises(KeyboardInterrupt):  # and so is another picture
        run.detect_all(Stopping(detector, 0), entries, {}, folder=tmp_path / "cache")  # type: ignore[arg-type]


def test_all_that_decides_is_in_the_key(detector: Detector, tmp_path: Path) -> None:
    toy = tmp_path / "toy.cfg"
    keys = {json.dumps(model_key(toy, toy.with_suffix(".weights"), detector, 1), default=str)}
    detector.nms = 0.5
    keys.add(json.dumps(model_key(toy, toy.with_suffix(".weights"), detector, 1), default=str))
    write_toy(tmp_path, "toy", DETECTOR, [1.0] * 14)
    keys.add(json.dumps(model_key(toy, toy.with_suffix(".weights"), detector, 1), default=str))
    assert len(keys) == 3


def random_answers(count: int) -> list[journal.Detected]:
    rng = np.random.default_rng(0)
    answers: list[journal.Detected] = []
    for number in range(count):
        if number % 4 == 2:
            answers.append(Failure(None, journal.ImageError(f"picture {number} \udcff: damaged")))
            continue
        found = number % 3
        ids = rng.integers(0, 2, found)
        boxes, scores = rng.random((found, 4), np.float32), rng.random(found, np.float32)
        names = tuple(NAMES[i] for i in ids)
        answers.append(Detections(boxes, scores, ids, names, 5 + number, 6, dropped=number))
    return answers


def same(a: journal.Detected, b: journal.Detected) -> bool:
    if isinstance(a, Failure) or isinstance(b, Failure):
        return isinstance(a, Failure) and isinstance(b, Failure) and str(a.error) == str(b.error)
    arrays = all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("boxes", "scores", "class_ids"))
    return arrays and (a.names, a.width, a.height, a.dropped) == (b.names, b.width, b.height, b.dropped)


def test_whatever_is_cut_off_or_changed_is_not_read(tmp_path: Path) -> None:
    answers = random_answers(6)
    path = tmp_path / "a.found"
    with journal.Journal(path, NAMES, 6) as file:
        for answer in answers:
            file.append(answer)
    data = path.read_bytes()
    for length in range(0, len(data), 3):
        path.write_bytes(data[:length])
        with journal.Journal(path, NAMES, 6) as file:
            kept = len(file.answers)
            assert all(map(same, file.answers, answers))
            for answer in answers[kept:]:
                file.append(answer)
        assert path.read_bytes() == data
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x41]) + data[place + 1 :])
        with journal.Journal(path, NAMES, 6) as file:
            assert all(map(same, file.answers, answers)) and len(file.answers) < 6


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with (
        journal.Journal(tmp_path / "a", NAMES, 1),
        pytest.raises(DatasetError, match="another evaluation"),
        journal.Journal(tmp_path / "a", NAMES, 1),
    ):
        pass


def test_damaged_data_is_reported_and_scored_by_the_rules(detector: Detector, listed: Path, tmp_path: Path) -> None:
    """Of seven pictures one is gone, one is no picture, one is called otherwise, one has malformed labels, one is
    listed twice: four are found, and the objects of two are missed."""
    folder = tmp_path / "pictures"
    (folder / "p1.png").unlink()
    (folder / "p2.png").write_text("no picture")
    shutil.move(folder / "p3.png", folder / "P3.PNG")
    (folder / "p4.txt").write_text("0 .5 .5 .1\n")
    listed.write_text(listed.read_text() + f"{folder}/../pictures/p0.png\n")
    entries = read_entries(run.open_for(listed, NAMES))
    results = run.detect_all(detector, entries, {}, batch=2, folder=tmp_path / "cache")
    assert [(one.entry, one.kind) for one in results.problems] == [
        (2, "missing"),
        (3, "unreadable"),
        (4, "case"),
        (5, "labels"),
        (8, "duplicate"),
    ]
    lines = [str(one) for one in results.problems]
    assert "entry 4: there is no" in lines[2] and "but 'P3.PNG'; read under that name" in lines[2]
    assert lines[4].endswith("is entry 1, too; counted once")
    metric = METRICS["voc"]
    score = metric.score(metric.as_scored(results.found, results.sizes), results.truths, NAMES)
    assert score.rows[0][1:] == (pytest.approx(4 / 6), 6, 4)


def test_nothing_left_to_score(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{tmp_path}/none.jpg\n")
    with pytest.raises(DatasetError, match="no picture is left to be scored; the first: entry 1"):
        read_entries(run.open_for(tmp_path / "list.txt", NAMES))


def test_classes_in_another_order_are_found_by_name(listed: Path, tmp_path: Path) -> None:
    """As in what is written of VOC's annotations, whose order is the alphabet's. Nothing is said of the same order."""
    (tmp_path / "x.names").write_text("dog\ncat\n")
    (tmp_path / "x.data").write_text(f"classes=2\nvalid={listed}\nnames={tmp_path}/x.names\n")
    entries = read_entries(run.open_for(tmp_path / "x.data", NAMES))
    matched = run.matched_classes(entries, NAMES)
    assert matched.names == NAMES and entries.names == NAMES[::-1]
    before, after = ([row.labels.classes.tolist() for row in one.rows] for one in (entries, matched))
    assert after == [[1 - number for number in row] for row in before] != before
    assert matched.notes == (
        "x (valid): has the model's classes in another order (class 0 is 'dog' here, 'cat' there): they are matched by"
        " their names",
    )
    same = read_entries(run.open_for(tmp_path / "x.data", ("dog", "cat")))
    assert run.matched_classes(same, ("dog", "cat")).notes == ()
    assert same.names == ("dog", "cat")


def test_names_that_repeat_match_nothing(listed: Path, tmp_path: Path) -> None:
    (tmp_path / "x.names").write_text("dog\ncat\ndog\n")
    (tmp_path / "x.data").write_text(f"classes=3\nvalid={listed}\nnames={tmp_path}/x.names\n")
    with pytest.raises(DatasetError, match=r"another order .class 0 is 'dog' here, 'cat' there.*names that repeat"):
        run.open_for(tmp_path / "x.data", ("cat", "dog", "dog"))


def test_fewer_classes_are_found_by_name(listed: Path, tmp_path: Path) -> None:
    (tmp_path / "x.names").write_text("cat\n")
    (tmp_path / "x.data").write_text(f"classes=1\nvalid={listed}\nnames={tmp_path}/x.names\n")
    entries = read_entries(run.open_for(tmp_path / "x.data", ("dog", "cat")))
    assert run.matched_classes(entries, ("dog", "cat")).rows[0].labels.classes.tolist() == [1]
    with pytest.raises(DatasetError, match="its class 'cat' is not one of the model's 2"):
        run.matched_classes(entries, ("dog", "cow"))


def test_labels_are_lifted_to_a_level(listed: Path) -> None:
    tree = from_parents(["animal", "dog", "terrier"], [-1, 0, 1])
    listed.parent.joinpath("pictures/p0.txt").write_text("2 0.5 0.5 0.9 0.9\n1 0.5 0.5 0.9 0.9\n0 0.5 0.5 0.9 0.9\n")
    entries = read_entries(run.open_for(listed, tree.names))
    assert run.at_level(entries, tree, 1).rows[0].labels.classes.tolist() == [1, 1, 0]
    assert run.at_level(entries, tree, 0).rows[0].labels.classes.tolist() == [0, 0, 0]


def test_cocos_annotations_keep_their_areas_ids_and_boxes(tmp_path: Path) -> None:
    """In the order of the ids, as pycocotools goes through them, boxes the same numbers as in the file."""
    paint(tmp_path / "a.png", 70, 80)
    paint(tmp_path / "b.png", 50, 60)
    boxes = [[1.37, 2.01, 33.33, 4.9], [0.1, 0.2, 0.3, 0.7], [10, 20, 5, 6]]
    document = {
        "images": [
            {"id": 9, "file_name": "b.png", "width": 50, "height": 60},
            {"id": 2, "file_name": "a.png", "width": 70, "height": 80},
        ],
        "categories": [{"id": 90, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 90, "bbox": boxes[0], "area": 5, "iscrowd": 1},
            {"id": 2, "image_id": 9, "category_id": 3, "bbox": boxes[1]},
            {"id": 3, "image_id": 2, "category_id": 3, "bbox": boxes[2], "area": 7.5},
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(document))
    entries = read_entries(run.open_for(tmp_path / "a.json", NAMES))
    assert [row.image_id for row in entries.rows] == [2, 9] and entries.category_ids == (3, 90)
    sizes, problems = run.stated_sizes(entries)
    truths = entries.truths(sizes)
    assert not problems and sizes.tolist() == [[70, 80], [50, 60]]
    assert truths.boxes.tolist() == [boxes[2], boxes[0], boxes[1]]
    assert truths.areas.tolist() == pytest.approx([7.5, 5, 0.21]) and truths.crowd.tolist() == [False, True, False]
    assert truths.classes.tolist() == [0, 1, 0] and usual_metric("a.json", entries) == "coco"


def test_composed_pictures_are_made_when_they_are_looked_at(detector: Detector, tmp_path: Path) -> None:
    class Squares(Dataset):
        title, names = "squares", NAMES
        made = 0

        def __len__(self) -> int:
            return 3

        def sample(self, index: int) -> Sample:
            self.made += 1
            labels = Labels.drawn([[0.5, 0.5, 1, 1]], [0])
            return Sample(f"s{index}", np.full((40, 50 + index, 3), 9, np.uint8), labels)

    squares = Squares()
    entries = read_entries(squares)
    assert not any(isinstance(row.source, np.ndarray) for row in entries.rows) and squares.made == 3
    first = run.detect_all(detector, entries, {}, folder=tmp_path / "cache")
    assert squares.made == 6 and first.sizes.tolist() == [[50, 40], [51, 40], [52, 40]]
    run.detect_all(Stopping(detector, 0), entries, {}, folder=tmp_path / "cache")  # type: ignore[arg-type]
    assert squares.made == 6
