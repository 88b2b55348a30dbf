"""docs/develop/add-a-layout.md, done: its reader, and a row of the table, are all that a layout needs."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from darknet_compat.datasets import open as door
from darknet_compat.datasets.check import check_dataset
from darknet_compat.datasets.writers.layouts import write_dataset
from darknet_compat.errors import DatasetError
from tests.datasets.shapes import NAMES, PARTS, put, put_pictures
from tests.datasets.test_layouts import held_against_the_truth

PAGE = Path(__file__).resolve().parents[2] / "docs/develop/add-a-layout.md"


@pytest.fixture
def reader() -> ModuleType:
    """The page's own code as a module."""
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert code is not None
    module = ModuleType("tabs")
    exec(re.sub(r"^   ", "", code[1], flags=re.MULTILINE), module.__dict__)
    return module


def test_the_steps_of_the_page(reader: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = PARTS["train"]
    put_pictures(tmp_path / "set", part)
    rows = [f"{stem}.png\t{NAMES[box[0]]}\t" + "\t".join(map(str, box[1:])) for stem in part for box in part[stem]]
    source = put(tmp_path / "set/boxes.tabs", "\n".join(rows))
    row = door.Layout("a file of tabs", 0, reader.claims, reader.open_layout)
    monkeypatch.setitem(door.LAYOUTS, "tabs", row)
    assert door.recognise(source) == ("tabs", "a .tabs file")
    dataset = door.open_dataset(source)
    held_against_the_truth(dataset, "train")
    assert check_dataset(dataset, decode_pictures=True).findings == {}
    with pytest.raises(DatasetError, match="disc is not one of the classes"):
        list(door.open_dataset(source, names=["square"]))
    held_against_the_truth(door.open_dataset(write_dataset(tmp_path / "out", "coco", {"train": dataset})), "train")
