"""Where the parts of what a user names lie, and one line for what names nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from darknet_compat.catalogue.locate import is_name, locate
from darknet_compat.errors import CatalogError
from darknet_compat.formats.packaged import cfg_dir


def test_weights_that_are_named_come_first(tmp_path: Path) -> None:
    cfg = tmp_path / "small.cfg"
    cfg.touch()
    cfg.with_suffix(".weights").touch()
    assert locate(cfg, tmp_path / "others.weights").weights == tmp_path / "others.weights"
    assert locate(cfg).weights == cfg.with_suffix(".weights")


def test_a_catalogue_name_brings_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path))
    found = locate("yolov2-voc", download=False)
    assert (found.cfg.name, found.weights, found.names) == ("yolov2-voc.cfg", None, cfg_dir() / "data" / "voc.names")
    assert locate("yolov2-voc", "mine.weights").weights == Path("mine.weights")
    assert locate("yolo-fastest-1.1", download=False).cfg == cfg_dir() / "yolo-fastest-1.1.cfg"  # .1 is no suffix


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("no/such.cfg", "no/such.cfg: expected a .cfg, an .onnx, an .engine or a name of the catalogue, found no such"),
        ("cfg/yolov2.cfg.bak/yolov2.cfg", "found no such file; `yolov2` alone is in the catalogue"),
        (".", "found a folder"),
        ("", "found a folder"),
        ("yolo2", "no model is called 'yolo2'; did you mean yolov2?"),
        ("a\0b", "no model is called"),
        ("x" * 5000, "no model is called"),
        ("x" * 5000 + ".cfg", "found no such file"),
        ("no/permission/either.cfg", "found no such file"),
    ],
)
def test_what_is_no_model(model: str, message: str) -> None:
    with pytest.raises(CatalogError, match=re.escape(message)):
        locate(model)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0)
    with pytest.raises(CatalogError, match="found no such file"):
        locate(folder / "yolo.cfg")


def test_what_can_only_be_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_name("yolov2-voc") and is_name("YOLO-Fastest-1.1") and is_name("yolo2")
    assert not is_name("no/such.cfg") and not is_name("such.cfg") and not is_name(tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("yolov2-voc").touch()
    assert not is_name("yolov2-voc")
