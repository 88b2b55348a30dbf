"""What is said where a user is most likely to stumble, word for word where it matters."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from darknet_compat.catalogue.fetch.download import download
from darknet_compat.errors import DownloadError
from tests.cli.support import Command


def test_a_device_is_told_from_a_backend(dc: Command, picture: Path) -> None:
    for given, device in {"cuda": "cuda", "gpu:1": "cuda:1", "cpu": "cpu"}.items():
        done = dc("detect", "yolov2-digits", picture, "--backend", given)
        assert done.code == 2
        hint = f"{given} is a device: --backend torch --device {device}"
        assert hint in " ".join(done.err.replace("│", " ").split())


def test_a_size_between_cells_is_refused_of_a_cfg_as_of_its_file(dc: Command, picture: Path, tmp_path: Path) -> None:
    onnx = tmp_path / "model.onnx"
    assert dc("export", "yolov2-digits", "--out", onnx).code == 0
    for model, sides in (("yolov2-digits", "16 to 8192"), (onnx, "192 to 608")):
        done = dc("detect", model, picture, "--size", "200")
        assert done.code == 1
        assert done.err.strip().endswith(f": takes sides from {sides} in steps of 16, found 200 x 200")


def test_a_classifier_is_refused_before_its_weights_are_fetched(dc: Command, picture: Path) -> None:
    done = dc("detect", "darknet19", picture)
    assert (done.code, done.err) == (
        1,
        "darknet-compat: darknet19: this network does not detect; classify it with Classifier or `classify`\n",
    )


def test_who_is_off_line_does_not_wait_for_further_attempts(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"^m\.weights: no mirror gave it \(nowhere\.invalid: [^,]*\); if you have"):
        download(["https://nowhere.invalid/m.weights"], tmp_path / "m.weights")


def test_nothing_of_opencv_or_libpng_reaches_the_terminal(dc: Command, tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(b"".join(b"\0" + bytes(96) for _ in range(32)))
    header = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0))
    odd = header + chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile")) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    (tmp_path / "odd.png").write_bytes(odd)
    (tmp_path / "cut.png").write_bytes(odd[:-40])
    done = dc("detect", "yolov2-digits", tmp_path / "odd.png")
    assert (done.code, done.err) == (0, "") and "libpng" not in done.out
    done = dc("detect", "yolov2-digits", tmp_path / "cut.png")
    assert done.code == 1 and done.err.count("\n") == 1 and "PNG picture is damaged" in done.err


def test_the_tree_of_a_model_is_shown_and_searched_as_its_page_is(dc: Command) -> None:
    assert dc("tree", "show", "yolo9000").out == dc("tree", "show", "9k").out
    part = dc("tree", "show", "yolo9000", "norfolk")
    assert part.code == 0 and "Norfolk terrier  n02094114" in part.out
    many = dc("tree", "show", "yolo9000", "terr")
    assert many.code == 1 and "31 nodes have 'terr' in their names, choose by wnid: " in many.err
    assert "yolov2: this network has no tree" in dc("tree", "show", "yolov2").err
