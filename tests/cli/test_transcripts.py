"""What pages show of a command is what it prints: a model that is trained again, or a changed message, shows here.

`…` stands for anything, times are not compared, and lines are joined, since pages break them where they like.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest

from darknet_compat.inference.detector import Detector
from tests.cli.support import REPOSITORY, in_process, paint
from tests.datasets.layouts import made
from tests.datasets.shapes import BLANK, put

GUIDE = REPOSITORY / "docs" / "guide"
HOME = "/home/me"
Request = pytest.FixtureRequest
TIME = r"\b\d+(?:\.\d+)?(?= s\b|/s| images/s)"


class Shown(NamedTuple):
    """A command line of a page and what stands under it."""

    line: str
    output: str


def shown_on(page: Path) -> list[Shown]:
    """Every command of darknet-compat that a page shows with what it prints."""
    found = []
    text = page.read_text("utf-8").replace("\\\n", " ")
    for indent, line, below in re.findall(r"^( *)\$ darknet-compat (.*)\n((?:(?! *\$ |```).*\n)*)", text, re.M):
        output = re.split(r"^(?=\S)" if indent else r"^(?=```)", below, maxsplit=1, flags=re.M)[0]
        if output.strip():
            found.append(Shown(" ".join(line.split()), output))
    return found


def pattern_of(output: str) -> re.Pattern[str]:
    """What matches the same with other times, and with anything in the place of `…`."""
    words = re.escape(" ".join(re.sub(TIME, "TIME", output).split())).replace(r"\ ", " ")
    return re.compile(words.replace("…", ".*?"), re.S)


# ------------------------------------------------------------------------------------------------ what they name


def grey(folder: Path, _: Request) -> None:
    paint(folder / "grey.png")


def shapes(folder: Path, _: Request) -> None:
    """A data set, one that may be two, and one with a fault of each kind."""
    made("ultralytics", folder / "shapes")
    put(folder / "two" / "data.yaml", "train: images\nnames: [square]\n")
    put(
        folder / "two" / "annotations" / "instances_default.json", '{"images": [], "annotations": [], "categories": []}'
    )
    for stem, labels in (("a", "0 .5 .5 1.000001 .2\n"), ("b", "0 .5 .5 .2 .2\n0 1.7 .5 .2 .2\n"), ("c", None)):
        put(folder / "odd" / f"{stem}.png", BLANK)
        if labels:
            put(folder / "odd" / f"{stem}.txt", labels)
    put(folder / "odd" / "list.txt", "a.png\nb.png\nc.png\n")
    put(folder / "odd" / "names", "square\ndisc\n")
    put(folder / "odd" / "odd.data", "classes=2\ntrain=list.txt\nnames=names\n")


def film(folder: Path, _: Request) -> None:
    """Four digits that pass one another, 80 frames."""
    for module in ("av", "sklearn", "trackers"):
        pytest.importorskip(module)
    from tests.sources import digits
    from tests.sources.making import write_clip

    moving = [(3, (20, 60), (2, 0)), (7, (250, 130), (-2, 0)), (5, (140, 10), (0, 2)), (2, (60, 190), (1, -1))]
    pictures, _boxes = digits.film([digits.Moving(*one) for one in moving], 80)
    write_clip(folder / "digits.mp4", pictures, rate=15, sound="aac")


def held_out(folder: Path, _: Request) -> None:
    """The first 200 of the held-out scenes, in a list."""
    pytest.importorskip("sklearn")
    from darknet_compat.datasets.readers.digits import DigitScenes

    (folder / "held").mkdir()
    scenes = DigitScenes("test")
    paths = [f"held/{number:04}.png" for number in range(200)]
    for number, path in enumerate(paths):
        sample = scenes[number]
        cv2.imwrite(str(folder / path), np.asarray(sample.image))
        rows = zip(sample.labels.classes, sample.labels.boxes, strict=True)
        lines = [f"{label} {' '.join(f'{side:.6f}' for side in box)}\n" for label, box in rows]
        (folder / path).with_suffix(".txt").write_text("".join(lines))
    (folder / "held.txt").write_text("\n".join(paths) + "\n")


def fastest(folder: Path, request: Request) -> None:
    """A trained detector, and the original's photographs."""
    model = request.getfixturevalue("shared_data") / "models" / "yolo-fastest-1.1"
    photos = request.getfixturevalue("photos")
    for file in (*model.iterdir(), next(photo for photo in photos if photo.name == "dog.jpg")):
        shutil.copy(file, folder)
    (folder / "data").mkdir()
    for file in (*photos, model / "coco.names"):
        shutil.copy(file, folder / "data")


CASES: list[tuple[str, Callable[[Path, Request], None] | None, tuple[str, ...]]] = [
    ("guide/targets.md", None, ("export yolov2-digits",)),
    ("security.md", grey, ("detect",)),
    ("guide/tree.md", None, ("tree show", "tree stats", "tree render")),
    ("guide/datasets.md", shapes, ("info",)),
    ("guide/video.md", film, ("detect yolov2-digits digits.mp4", "detect yolov2-digits gone.mp4")),
    ("guide/evaluate.md", held_out, ("evaluate yolov2-digits held.txt --out",)),
    ("guide/runtimes.md", fastest, ("detect", "cache")),
    ("guide/fork.md", fastest, ("info yolo-fastest-1.1.cfg", "detect yolo-fastest-1.1.cfg")),
    ("guide/python.md", fastest, ("detect",)),
]
"""Page, what makes its files, and how the commands begin that are run."""


@pytest.mark.parametrize(("name", "make", "begin"), CASES, ids=[case[0] for case in CASES])
def test_what_a_page_shows_is_what_is_printed(
    name: str,
    make: Callable[[Path, Request], None] | None,
    begin: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: Request,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path / ".cache" / "darknet-compat"))
    if make:
        make(tmp_path, request)
    commands = [one for one in shown_on(REPOSITORY / "docs" / name) if one.line.startswith(begin)]
    assert {start for start in begin for one in commands if one.line.startswith(start)} == set(begin)
    for one in commands:
        done = in_process(*shlex.split(one.line))
        words = [
            " ".join(re.sub(TIME, "TIME", text.replace(str(tmp_path), HOME)).split()) for text in (done.out, done.err)
        ]
        orders = [" ".join(filter(None, order)) for order in (words, words[::-1])]
        wanted = pattern_of(one.output)
        assert any(map(wanted.fullmatch, orders)), f"{name}: {one.line}\n{orders[1]}\nfor\n{wanted.pattern}"


def test_the_servers_answer_is_the_detectors(tmp_path: Path) -> None:
    """`serving` holds the server's answers against the Detector's."""
    pytest.importorskip("sklearn")
    from darknet_compat.datasets.readers.digits import DigitScenes

    (shown,) = re.findall(r'^\{.*"detections":\[(\{.*?\}), …', (GUIDE / "serve.md").read_text("utf-8"), re.M)
    scene: Any = np.asarray(DigitScenes("test")[0].image).repeat(3, 0).repeat(3, 1)
    assert Detector("yolov2-digits", thresh=0.3)(scene).to_dict()["detections"][0] == json.loads(shown)
