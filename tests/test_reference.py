"""The reference pages: what is made from the code is what it makes, and the fields they name are those there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
import typer.main

from darknet_compat.cli.main import application
from darknet_compat.definition.dialects import ROWS
from darknet_compat.formats.exported.artefact import PREFIX
from darknet_compat.vision.image import decode
from tests.cli.support import BARE_CLASSIFIER, CLASSIFIER, REPOSITORY, in_process, write_toy
from tools.write_reference import PAGES

REFERENCE = REPOSITORY / "docs" / "reference"


@pytest.mark.parametrize("page", PAGES)
def test_made_pages_are_what_the_code_makes(page: str) -> None:
    assert (REFERENCE / page).read_text("utf-8") == PAGES[page](), "run: python tools/write_reference.py"


def every_command(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for below, other in command.commands.items():
        yield from every_command(other, f"{name} {below}".strip())


@pytest.mark.parametrize(("name", "command"), list(every_command(typer.main.get_command(application()))))
def test_the_page_has_the_options_that_typer_takes(name: str, command: Any) -> None:
    text = (REFERENCE / "commands.md").read_text("utf-8")
    section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    cells = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `--")]
    listed = {" / ".join(word for word in cell.split() if word.startswith("--")) for cell in cells}
    taken = {" / ".join(one.opts[-1:] + one.secondary_opts) for one in command.params if hasattr(one, "is_flag")}
    assert listed == taken - {"--help", "-h"}


def test_defaults_of_one_and_none_are_not_taken_for_flags() -> None:
    text = (REFERENCE / "commands.md").read_text("utf-8")
    assert "| `--every N` | Of a video: look at every N-th frame only. From 1 on. | `1` |" in text
    assert re.search(r"^\| `--\S+ [^`]*` \|.*\| `0` \|$", text, re.M)


def test_every_row_of_dialects_is_there() -> None:
    text = (REFERENCE / "dialects.md").read_text("utf-8")
    assert [row for row in ROWS if f"| `{row}` |" not in text] == []


# ------------------------------------------------------------------------------------------ fields of documents
DIGITS = REPOSITORY / "docs" / "images" / "detect.png"
KINDS: dict[str, tuple[type, ...]] = {
    "text": (str, type(None)),
    "integer": (int, list, type(None)),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict, type(None)),
}


def fields_of(page: str, heading: str = "") -> dict[str, tuple[str, str]]:
    """Field → its type and what is said of it, in the table under a heading."""
    text = (REFERENCE / page).read_text("utf-8")
    if heading:
        text = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): (row[1], row[-1]) for row in rows}


def hold(fields: dict[str, tuple[str, str]], document: Any) -> None:
    """Every field that is there is named, of the type that is said, and every field that always is there, is."""
    inside = {name.rpartition(".")[0] for name in fields}
    seen: dict[str, list[Any]] = {}

    def walk(value: dict[str, Any], place: str) -> None:
        for key, one in value.items():
            name = f"{place}.{key}".lstrip(".")
            seen.setdefault(name, []).append(one)
            if isinstance(one, dict) and name in inside:
                walk(one, name)
            if isinstance(one, list) and f"{name}[]" in inside:
                for entry in one:
                    walk(entry, f"{name}[]")

    walk(document, "")
    assert set(seen) <= set(fields)
    assert {name for name, (_, said) in fields.items() if "*only*" not in said} - {
        name for name in fields if "path[]" in name
    } <= set(seen)
    for name, values in seen.items():
        assert all(isinstance(value, KINDS[fields[name][0]]) for value in values), name


@pytest.mark.parametrize("model", ["yolov2-digits", "yolo9000-digits"])
def test_fields_of_detect_and_info(model: str, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    done = in_process("detect", model, DIGITS, tmp_path / "broken.png", "--json")
    document = json.loads(done.out)
    good, bad = document["images"]
    assert set(bad) == {"file", "error"}
    assert ("path" in good["detections"][0]) == (model == "yolo9000-digits")
    hold(fields_of("json.md", "detect"), document)
    hold(fields_of("json.md", "info"), json.loads(in_process("info", model, "--json").out))


@pytest.mark.parametrize("text", [CLASSIFIER, BARE_CLASSIFIER], ids=["softmax", "bare"])
def test_fields_of_classify(text: str, tmp_path: Path) -> None:
    toy = write_toy(tmp_path, "toy", text, [0, 1, 2])
    hold(fields_of("json.md", "classify"), json.loads(in_process("classify", toy.cfg, DIGITS, "--json").out))


def test_fields_of_evaluate(tmp_path: Path) -> None:
    copy(DIGITS, tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("3 0.5 0.5 0.1 0.2\n")
    (tmp_path / "list.txt").write_text(f"{tmp_path / 'a.png'}\n")
    done = in_process("evaluate", "yolov2-digits", tmp_path / "list.txt", "--json", "--out", tmp_path / "out")
    document = json.loads(done.out)
    hold(fields_of("json.md", "evaluate"), document)
    written = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert document.keys() - written.keys() == {"files"}


def test_fields_of_frames(tmp_path: Path) -> None:
    pytest.importorskip("av")
    from darknet_compat.vision.videofile import VideoWriter

    video, lines = tmp_path / "v.mp4", tmp_path / "v.jsonl"
    with VideoWriter(video, 10.0) as writer:
        for _ in range(2):
            writer.write(decode(DIGITS), None)
    in_process("detect", "yolov2-digits", video, "--out", lines, "--count-line", "0.5,0,0.5,1")
    fields = fields_of("json.md", "Videos")
    below = {
        name.removeprefix("images[]."): row
        for name, row in fields_of("json.md", "detect").items()
        if name.startswith("images[].detections[].")
    }
    found = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [one["frame"] for one in found] == [0, 1]
    for one in found:
        hold(fields | below, one)


def test_columns_of_parquet() -> None:
    pytest.importorskip("pyarrow")
    from darknet_compat.cluster.parquet_rows import SCHEMA

    fields = fields_of("json.md", "Parquet")
    assert list(fields) == SCHEMA.names
    assert all(str(SCHEMA.field(name).type).startswith(kind) for name, (kind, _) in fields.items())


@pytest.mark.parametrize("model", ["yolov2-digits", "yolo9000-digits"])
def test_metadata_of_a_real_file(model: str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "model.onnx"
    assert in_process("export", model, "--out", path).code == 0
    own = {one.key: one.value for one in onnx.load(path).metadata_props if one.key.startswith(PREFIX)}
    assert set(fields_of("metadata.md")) == {key.removeprefix(PREFIX) for key in own}
    assert json.loads(own[f"{PREFIX}name"]) == model
    for value in own.values():
        json.loads(value)
