"""The commands of the README and of the guide, run as they stand there, and examples of what they print."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

import pytest

from darknet_compat.catalogue.catalog import MODELS
from darknet_compat.cli.main import verbs
from darknet_compat.formats.packaged import cfg_dir
from tests.cli.support import CLASSIFIER, DETECTOR, REPOSITORY, Command, paint, write_toy

PAGES = ("inspect", "detect", "weights", "anchors", "train", "parity", "export", "tensorrt", "evaluate", "benchmark")
"""Those of the guide whose commands name the files that are made here."""
FILES = [REPOSITORY / "README.md", *(REPOSITORY / "docs" / "guide" / f"{page}.md" for page in PAGES)]
TEXT = "\n".join(file.read_text("utf-8") for file in FILES)
COMMANDS = list(dict.fromkeys(re.findall(r"^\$ darknet-compat (.*)$", TEXT, re.M)))
VERBS = ("info", "detect", "classify", "partial", "fetch", "export", "anchors")


def stand_ins(folder: Path) -> None:
    """The files that the README's commands name: small networks under large ones' names, and grey pictures."""
    for name in ("yolov2-voc", "yolov4-tiny"):
        write_toy(folder, name, DETECTOR, [0, 0, 0, 0, 4, 3, 0] * 2)
    long = CLASSIFIER.replace("[avgpool]", "[dropout]\n" * 24 + "[avgpool]")
    write_toy(folder, "darknet19_448", long, [0, 1, 2])
    for name in ("dog.jpg", "photos/a.jpg", "archive/2026/b.png"):
        paint(folder / name)
    boxes = [(1, 1, 5 + 2 * number, 9 + 3 * number % 20) for number in range(9)]
    labelled_picture(folder / "VOCdevkit" / "VOC2007", boxes)
    rows = "".join(f"a,{','.join(map(str, box))},dog\n" for box in boxes)
    (folder / "boxes.csv").write_text(f"image,xmin,ymin,xmax,ymax,class\n{rows}")


def labelled_picture(folder: Path, boxes: Iterable[tuple[int, int, int, int]]) -> None:
    """A VOC folder of one picture with dogs in these pixels, counted from 1."""
    keys = ("xmin", "ymin", "xmax", "ymax")
    corners = ["".join(f"<{key}>{side}</{key}>" for key, side in zip(keys, box, strict=True)) for box in boxes]
    objects = "".join(f"<object><name>dog</name><bndbox>{box}</bndbox></object>" for box in corners)
    (folder / "Annotations").mkdir(parents=True)
    (folder / "Annotations" / "a.xml").write_text(f"<annotation>{objects}</annotation>")
    paint(folder / "JPEGImages" / "a.png")


def weights_of_zeros(cache: Path, name: str) -> None:
    """A file of the length that the catalogue expects; a sparse one, which takes no room."""
    cache.mkdir(exist_ok=True)
    with (cache / MODELS[name].weights.file).open("wb") as file:
        file.truncate(16 + 4 * MODELS[name].weights.floats)


ELSEWHERE = re.compile(r"tensorrt|\.engine|int8")
"""Of these `tests/runtime/tensorrt/test_engines.py` has the like, on a simulated GPU, and
`tests/cli/commands/test_export.py`, with a network that has layers enough for int8."""


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.split()[0] in VERBS and not ELSEWHERE.search(line)])
def test_commands_run(dc: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.chdir(tmp_path)
    stand_ins(tmp_path)
    command, _, redirected = line.partition(" > ")
    arguments = shlex.split(command, comments=True)
    if arguments[1:2] and arguments[1] in MODELS and arguments[0] != "info":
        weights_of_zeros(tmp_path / "cache", arguments[1])
    if "yolov2-voc.onnx" in arguments and arguments[0] != "export":
        assert dc("export", "yolov2-voc.cfg").code == 0
    done = dc(*arguments)
    assert (done.code, "Traceback" in done.err) == (0, False), done.err
    if redirected:
        assert {Path(entry["file"]).suffix for entry in json.loads(done.out)["images"]} <= {".jpg", ".png"}
    if arguments[0] in ("export", "anchors") and "--out" in arguments:
        assert Path(arguments[-1]).is_file()
    elif "--out" in arguments:
        assert (tmp_path / "found" / "dog.jpg").is_file()
    if arguments[0] == "partial":
        assert (tmp_path / "darknet19_448.conv.23").is_file()


def test_the_readme_is_short() -> None:
    """One screen and a half."""
    readme = FILES[0].read_text("utf-8")
    assert len(readme.splitlines()) <= 180 and len(readme.split()) <= 1600
    assert max(map(len, readme.splitlines())) <= 120


def test_every_verb_of_ours_is_there() -> None:
    assert {line.split()[0] for line in COMMANDS} <= set(verbs())
    assert set(VERBS) <= {line.split()[0] for line in COMMANDS}


def examples() -> list[str]:
    """The blocks that show what a command prints."""
    return [block for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.M | re.S) if not language]


def test_the_example_of_info_is_what_info_prints(dc: Command) -> None:
    (example,) = [block for block in examples() if "layer  " in block and "params" in block]
    printed = dc("info", cfg_dir() / "darknet19.cfg", "--size", "224").out.splitlines()
    for line in example.splitlines():
        assert line == " …" or line in printed


def test_the_example_of_a_data_set_is_what_info_prints(dc: Command, shared_data: Path) -> None:
    (example,) = [block for block in examples() if "objects          pictures" in block]
    assert dc("info", shared_data / "bccd" / "BCCD").out == example


@pytest.mark.reference
def test_the_example_of_detect_is_what_detect_prints(
    dc: Command, shared_data: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (example,) = [block for block in examples() if block.startswith("dog.jpg")]
    model = shared_data / "models" / "yolo-lite-coco" / "yolo-lite-coco.cfg"
    monkeypatch.chdir(photos[0].parent)
    done = dc("detect", model, "dog.jpg", "--thresh", "0.35", "--out", tmp_path)

    def comparable(text: str) -> str:
        return re.sub(r"\d+\.\d+ s", "TIME", text.replace(f"{tmp_path}/", "found/"))

    assert comparable(done.out) == comparable(example)
