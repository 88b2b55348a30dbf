"""Batches: the same ones whoever makes them, whatever happens to pictures and workers."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from darknet_compat.datasets.base import Dataset, Labels, Sample
from darknet_compat.definition.lower import lower
from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.errors import DatasetError, TrainingError
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.training.batches.batch import Batch
from darknet_compat.training.batches.loader import Loader
from darknet_compat.training.batches.multi_scale import training_sizes
from darknet_compat.training.batches.order import picked
from tests.conftest import REPOSITORY


class Pictures(Dataset):
    """JPEGs in a folder, each with as many boxes as its number; or with one label of the whole picture."""

    title = "pictures"
    names = ("a", "b", "c")

    def __init__(self, folder: Path, count: int, drawn: bool = True) -> None:
        self.folder, self.count, self.drawn = folder, count, drawn
        folder.mkdir()
        for n in range(count):
            pixels = np.random.default_rng(n).integers(0, 256, (40 + n, 50, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / f"{n}.jpg"), pixels)

    def __len__(self) -> int:
        return self.count

    def sample(self, index: int) -> Sample:
        if self.drawn:
            rng = np.random.default_rng(index)
            labels = Labels.drawn(rng.uniform(0.2, 0.7, (index, 4)), rng.integers(0, 3, index))
        else:
            labels = Labels.whole_picture(index % 3)
        return Sample(str(index), self.folder / f"{index}.jpg", labels)


class Deadly(Pictures):
    """Kills the process that asks for picture 3, as often as there are marks in a folder."""

    def sample(self, index: int) -> Sample:
        marks = sorted(self.folder.glob("*.mark"))
        if index == 3 and marks:
            marks[0].unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().sample(index)


REGION = "[convolutional]\nfilters=40\nstride=32\n[region]\nclasses=3\nnum=5"
SOFTMAX = "[convolutional]\nfilters=3\n[avgpool]\n[softmax]"


def network(head: str = REGION, **options: Any) -> NetworkSpec:
    given = {"width": 96, "height": 64, "channels": 3, "batch": 4, "hue": 0.1, "saturation": 1.5} | options
    lines = "\n".join(f"{key}={value}" for key, value in given.items())
    return lower(parse_cfg(f"[net]\n{lines}\n{head}\n", "x.cfg"))


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    return Pictures(tmp_path / "pictures", 9)


def first(loader: Loader, count: int) -> list[Batch]:
    return list(itertools.islice(loader, count))


def assert_same(ours: list[Batch], theirs: list[Batch]) -> None:
    assert [batch.number for batch in ours] == [batch.number for batch in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.truth.boxes, other.truth.boxes) and torch.equal(one.truth.classes, other.truth.classes)
        assert [failure.source for failure in one.skipped] == [failure.source for failure in other.skipped]


# ------------------------------------------------------------------------------------------ what a batch is


def test_a_batch_has_the_shapes_and_ranges_that_it_says(pictures: Pictures) -> None:
    (batch,) = first(Loader(pictures, network(), workers=0), 1)
    assert (batch.images.shape, batch.images.dtype, batch.number, batch.skipped) == (
        (4, 3, 64, 96),
        torch.float32,
        0,
        (),
    )
    assert 0 <= batch.images.min() < batch.images.max() <= 1
    boxes, classes, _ = batch.truth
    assert (boxes.dtype, classes.dtype, boxes.shape) == (torch.float32, torch.int64, (*classes.shape, 4))
    there = classes >= 0
    assert (boxes[there] > 0).all() and (boxes[~there] == 0).all() and (classes[~there] == -1).all()
    assert (there[:, :-1] | ~there[:, 1:]).all()  # padding at the end
    assert there.sum(dim=1).max() == there.shape[1]


def test_classifiers_get_labels_of_whole_pictures(tmp_path: Path) -> None:
    pictures = Pictures(tmp_path / "pictures", 9, drawn=False)
    (batch,) = first(Loader(pictures, network(SOFTMAX, width=64, angle=7, aspect=0.75), workers=0), 1)
    assert batch.images.shape == (4, 3, 64, 64)
    assert batch.truth.boxes.tolist() == [[[0, 0, 0, 0]]] * 4
    assert set(batch.truth.classes.ravel().tolist()) <= {0, 1, 2}


def test_networks_of_one_channel_get_brightness(pictures: Pictures) -> None:
    (colours,) = first(Loader(pictures, network(), workers=0), 1)
    (grey,) = first(Loader(pictures, network(channels=1), workers=0), 1)
    weights = torch.tensor([0.299, 0.587, 0.114])
    assert torch.allclose(grey.images[:, 0], torch.einsum("c,nchw->nhw", weights, colours.images), atol=1e-6)


def test_difficult_objects_and_crowds_are_left_out(tmp_path: Path) -> None:
    class Marked(Pictures):
        def sample(self, index: int) -> Sample:
            rows = [[0.5, 0.5, 0.4, 0.4]] * 3
            labels = Labels.drawn(rows, [0, 1, 2], difficult=[True, False, False], crowd=[False, False, True])
            return super().sample(index)._replace(labels=labels)

    (batch,) = first(Loader(Marked(tmp_path / "pictures", 2), network(), workers=0), 1)
    assert batch.truth.classes.tolist() == [[1]] * 4


# ----------------------------------------------------------------------------------------- the same batches


def test_any_number_of_workers_makes_the_same_batches(pictures: Pictures) -> None:
    expected = first(Loader(pictures, network(), seed=7, workers=0), 6)
    for workers in (1, 3):
        assert_same(first(Loader(pictures, network(), seed=7, workers=workers), 6), expected)
    assert not torch.equal(first(Loader(pictures, network(), seed=8, workers=0), 1)[0].images, expected[0].images)
    assert not torch.equal(expected[0].images, expected[1].images)


@pytest.mark.parametrize("order", ["darknet", "epochs"])
def test_going_on_from_a_number_gives_what_would_have_come(pictures: Pictures, order: Any) -> None:
    spec = network(REGION + "\nrandom=1")
    expected = first(Loader(pictures, spec, seed=1, workers=0, order=order, sizes=[32, 64, 96]), 23)
    assert_same(
        first(Loader(pictures, spec, seed=1, workers=2, order=order, sizes=[32, 64, 96], start=17), 6), expected[17:]
    )
    far = Loader(pictures, spec, seed=1, workers=0, order=order, start=10**9)
    assert first(far, 1)[0].number == 10**9


def test_parts_make_up_the_whole(pictures: Pictures) -> None:
    (whole,) = first(Loader(pictures, network(), batch=5, seed=2, workers=0), 1)
    parts = [first(Loader(pictures, network(), batch=5, seed=2, workers=0, part=(n, 2)), 1)[0] for n in (0, 1)]
    assert [len(part.images) for part in parts] == [2, 3]
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)


def test_epochs_show_every_picture_once() -> None:
    seen = np.concatenate([picked("epochs", 10, 4, 3, number) for number in range(15)])
    epochs = seen.reshape(6, 10)
    assert (np.sort(epochs, axis=1) == np.arange(10)).all()
    assert len({tuple(epoch) for epoch in epochs}) == 6
    assert len(picked("epochs", 3, 10, 0, 0)) == 10  # a batch longer than an epoch


def test_darknet_draws_from_all_each_time() -> None:
    seen = np.concatenate([picked("darknet", 1000, 10, 3, number) for number in range(100)])
    assert 1 - len(set(seen)) / 1000 == pytest.approx(np.exp(-1), abs=0.04)


# -------------------------------------------------------------------------------------------------- sizes


def test_sizes_change_every_ten_batches_and_end_with_the_largest() -> None:
    sizes = training_sizes(network(REGION + "\nrandom=1", max_batches=2000), seed=5)
    sides = [sizes.at(number)[0] for number in range(2000)]
    assert {width == height for width, height in map(sizes.at, range(2000))} == {True}
    assert all(len(set(sides[start : start + 10])) == 1 for start in range(0, 2000, 10))
    assert set(sides[:1800]) == set(range(320, 609, 32))
    assert set(sides[1810:]) == {608}
    other = training_sizes(network(REGION + "\nrandom=1", max_batches=2000), seed=6)
    assert sides[:1800] != [other.at(number)[0] for number in range(1800)]


@pytest.mark.parametrize("random", ["-1", "1e9", "0.01"])
def test_sizes_that_cannot_be(random: str) -> None:
    """In the fork's dialect, where `random` is a factor."""
    with pytest.raises(TrainingError, match=r"\[region\] random must be 0, or from 0.1 to 10, found"):
        training_sizes(network(REGION + f"\nrandom={random}", max_batches=2000, mosaic=1), seed=5)


def test_sizes_that_a_layer_cannot_take() -> None:
    placed = "[connected]\noutput=30\n[detection]\nside=1\nnum=2\ncoords=4\nclasses=20\nrandom=1"
    with pytest.raises(
        TrainingError,
        match=r"layer 1 \[detection\] random=1: layer 0 \[connected\] needs 96 x 64 x 3, which 320",
    ):
        training_sizes(network(placed), 0)
    with pytest.raises(TrainingError, match=r"x.cfg: \[net\] random=1: layer 0 \[connected\] needs 96 x 64 x 3"):
        training_sizes(network("[connected]\noutput=30\n[softmax]", random=1), 0)
    halved = "[convolutional]\nfilters=15\n[maxpool]\nsize=2\nstride=2\n[upsample]\n[route]\nlayers=-1,0\n" + REGION
    assert training_sizes(network(halved), 0, [32, 64]).choices == ((32, 32), (64, 64))
    with pytest.raises(TrainingError, match=r"sizes to train at: .* reads layers with sides of .* at 33 pixels"):
        training_sizes(network(halved), 0, [32, 33])


def test_classifiers_change_every_forty_batches() -> None:
    sizes = training_sizes(network(SOFTMAX, random=1, max_batches=4000), seed=5)
    sides = [sizes.at(number)[0] for number in range(4000)]
    assert set(sides) == set(range(128, 449, 32))
    assert all(len(set(sides[start : start + 40])) == 1 for start in range(0, 4000, 40))
    assert len(set(sides[3800:])) > 1


def test_sizes_are_the_cfgs_unless_asked() -> None:
    assert {training_sizes(network(), 0).at(number) for number in range(50)} == {(96, 64)}
    chosen = training_sizes(network(), 0, range(64, 129, 32))
    assert {chosen.at(number) for number in range(200)} == {(64, 64), (96, 96), (128, 128)}
    with pytest.raises(TrainingError, match=r"expected whole numbers above 0, found \[\]"):
        training_sizes(network(), 0, [])


# -------------------------------------------------------------------------------------------------- mishaps


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_picture_is_named_and_replaced(pictures: Pictures, workers: int) -> None:
    whole = first(Loader(pictures, network(), seed=4, workers=0), 5)
    path = pictures.folder / "5.jpg"
    path.write_bytes(path.read_bytes()[:200])
    batches = first(Loader(pictures, network(), seed=4, workers=workers), 5)
    skipped = [failure for batch in batches for failure in batch.skipped]
    assert len(skipped) >= 1 and {failure.source for failure in skipped} == {"5"}
    assert all(str(failure.error).startswith(f"{path}: this JPEG picture is damaged") for failure in skipped)
    chosen = [picked("darknet", 9, 4, 4, number) for number in range(5)]
    for before, after, indices in zip(whole, batches, chosen, strict=True):
        assert len(after.images) == 4
        for one, other, index in zip(before.images, after.images, indices, strict=True):
            assert torch.equal(one, other) == (index != 5)


def test_one_damaged_picture_after_another(pictures: Pictures) -> None:
    for n in range(4):
        (pictures.folder / f"{n}.jpg").write_bytes(b"")
    batches = first(Loader(pictures, network(), seed=4, workers=0), 20)
    assert {failure.source for batch in batches for failure in batch.skipped} == {"0", "1", "2", "3"}
    assert max(len(batch.skipped) for batch in batches) > 4  # more than pictures: some stand-ins were damaged as well


def test_nothing_but_damaged_pictures_is_an_error(pictures: Pictures) -> None:
    for path in pictures.folder.iterdir():
        path.write_bytes(b"")
    with pytest.raises(DatasetError, match=r"pictures: 16 pictures in a row cannot be read, the last: .*jpg: empty"):
        first(Loader(pictures, network(), workers=0), 1)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_folder_that_vanishes_is_an_error_that_names_it(pictures: Pictures, workers: int) -> None:
    batches: Iterator[Batch] = iter(Loader(pictures, network(), workers=workers))
    next(batches)
    shutil.rmtree(pictures.folder)
    with pytest.raises(DatasetError, match=f"^{pictures.folder}: this folder of pictures is gone$"):
        list(batches)


def test_a_class_that_the_network_does_not_have(tmp_path: Path) -> None:
    spec = network("[convolutional]\nfilters=30\nstride=32\n[region]\nclasses=1\nnum=5")
    with pytest.raises(DatasetError, match=r"pictures: \d has class \d, but the network knows classes 0 to 0 only"):
        first(Loader(Pictures(tmp_path / "pictures", 9), spec, workers=0), 3)


def test_classifiers_do_not_learn_boxes(pictures: Pictures) -> None:
    with pytest.raises(DatasetError, match=r"pictures: \d has (boxes|no label), but the network is a classifier"):
        first(Loader(pictures, network(SOFTMAX), workers=0), 1)


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    pictures = Deadly(tmp_path / "pictures", 9)
    expected = first(Loader(pictures, network(), workers=0), 6)
    (pictures.folder / "1.mark").touch()
    assert_same(first(Loader(pictures, network(), workers=2), 6), expected)
    assert not list(pictures.folder.glob("*.mark"))


def test_workers_that_die_again_and_again_are_an_error(tmp_path: Path) -> None:
    pictures = Deadly(tmp_path / "pictures", 9)
    for n in range(40):
        (pictures.folder / f"{n:02d}.mark").touch()
    with pytest.raises(TrainingError, match="processes that load pictures die again and again, making batch"):
        first(Loader(pictures, network(), workers=2), 40)


def test_workers_end_with_the_iteration(pictures: Pictures) -> None:
    def children() -> set[str]:
        return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())

    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        pytest.skip("this system does not list a process's children")
    before = children()
    batches = iter(Loader(pictures, network(), workers=2))
    next(batches)
    assert len(children() - before) == 2
    batches.close()  # type: ignore[attr-defined]
    assert children() - before == set()


def test_workers_end_with_the_process_that_started_them(pictures: Pictures) -> None:
    program = f"""
import itertools, os
from multiprocessing import active_children
from tests.training.batches.test_loader import Loader, Pictures, network
pictures = Pictures.__new__(Pictures)
pictures.folder, pictures.count, pictures.drawn = __import__("pathlib").Path({str(pictures.folder)!r}), 9, True
batches = iter(Loader(pictures, network(), workers=2))
next(batches)
print(*(child.pid for child in active_children()), flush=True)
os.kill(os.getpid(), 9)
"""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    workers = killed.stdout.split()
    assert len(workers) == 2
    deadline = time.monotonic() + 30
    while any(is_running(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "alphabet"}, "order of pictures: expected darknet or epochs, found 'alphabet'"),
        ({"batch": 0}, "found batch 0, part 0 of 1, seed 0, start 0"),
        ({"part": (2, 2)}, "found batch 4, part 2 of 2, seed 0, start 0"),
        ({"batch": 1, "part": (0, 2)}, "found batch 1, part 0 of 2, seed 0, start 0"),
        ({"seed": -1}, "found batch 4, part 0 of 1, seed -1, start 0"),
    ],
)
def test_what_cannot_be_loaded(pictures: Pictures, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        Loader(pictures, network(), workers=0, **options)


def test_no_pictures_and_too_many_channels(tmp_path: Path, pictures: Pictures) -> None:
    with pytest.raises(DatasetError, match="pictures: no pictures to train on"):
        Loader(Pictures(tmp_path / "none", 0), network())
    with pytest.raises(TrainingError, match=r"x.cfg: pictures have 3 channels \(or 1\), the network reads 4"):
        Loader(pictures, network(channels=4))
