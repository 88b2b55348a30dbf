from __future__ import annotations

import os
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.file import cut_weights, read_header, read_weights, write_weights
from darknet_compat.errors import WeightsError
from tests.formats.making import DETECTOR, NEEDED, NEW, OLD, bytes_for, file_with, refused, spec_of
from tests.formats.users import unprivileged

# -------------------------------------------------------------------------------------------- strict length

TWO_HEADS = """
[conv]\nfilters=4
[conv]\nfilters=18
[yolo]\nclasses=4\nmask=0,1\nnum=5
[route]\nlayers=0
[conv]\nfilters=27
[yolo]\nclasses=4\nmask=2,3,4\nnum=5
"""
CLASSIFIER = "[conv]\nfilters=4\n[conv]\nfilters=10\n[avg]\n[softmax]\n"


def mismatch(body: str, data: bytes, tmp_path: Path, cutoff: int | None = None) -> str:
    """The refusal of a file, without the file's own path."""
    path = file_with(tmp_path / "m.weights", data)
    message = refused(lambda: read_weights(path, spec_of(body), cutoff))
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1091, "it ends in layer 2 [conv] (weights); a truncated or damaged download"),
        (700, "it ends in layer 2 [conv] (weights); another network's weights, or a truncated download"),
        (401, "it ends in layer 2 [conv] (biases); a truncated or damaged download"),
        (372, "it ends in layer 2 [conv] (biases); it holds exactly the layers up to 0: a cut file, ask for cutoff 1"),
        (36, "it ends in layer 0 [conv] (scales); another network's weights, or a truncated download"),
        (20, "it ends in layer 0 [conv] (biases); it holds a header and nothing else"),
        (
            1088,
            "it ends in layer 2 [conv] (weights); its length fits a header of 16 bytes, but version 0.2 has 20;"
            " seen_bytes=4 reads it so",
        ),
        (
            1096,
            "4 bytes are left after the last layer with weights; another network's weights; longer=True passes over"
            " them, as Darknet does without a word",
        ),
        (1104, "12 bytes are left after the last layer with weights; another network's weights"),
        (1105, "13 bytes are left after the last layer with weights; another network's weights, or a damaged file"),
    ],
)
def test_lengths(size: int, expected: str, tmp_path: Path) -> None:
    data = bytes_for(spec_of(DETECTOR))
    assert len(data) == NEEDED
    assert mismatch(DETECTOR, (data + bytes(99))[:size], tmp_path) == (
        f"has {size} bytes, but m.cfg needs {NEEDED}: {expected}"
    )


def test_the_other_width_of_the_header(tmp_path: Path) -> None:
    spec = spec_of(DETECTOR)
    body = bytes_for(spec)[20:]
    assert mismatch(DETECTOR, struct.pack("<iiii", 0, 2, 0, 1) + body, tmp_path).endswith(
        "its length fits a header of 16 bytes, but version 0.2 has 20; seen_bytes=4 reads it so"
    )
    assert mismatch(DETECTOR, struct.pack("<iiiQ", 0, 1, 0, 1) + body, tmp_path).endswith(
        "its length fits a header of 20 bytes, but version 0.1 has 16; seen_bytes=8 reads it so"
    )


@pytest.mark.parametrize(
    ("body", "other", "expected"),
    [
        (DETECTOR, DETECTOR.replace("classes=4", "classes=1").replace("=36", "=24"), "1 class instead of 4"),
        (DETECTOR, DETECTOR.replace("classes=4", "classes=80").replace("=36", "=340"), "80 classes instead of 4"),
        (TWO_HEADS, TWO_HEADS.replace("classes=4", "classes=1").replace("=18", "=12").replace("=27", "=18"),
         "1 class instead of 4"),
        (CLASSIFIER, CLASSIFIER.replace("=10", "=1000"), "1000 filters instead of 10 in layer 1 [conv]"),
        (CLASSIFIER.replace("=10", "=10\nbatch_normalize=1"), CLASSIFIER.replace("=10", "=7\nbatch_normalize=1"),
         "7 filters instead of 10 in layer 1 [conv]"),
        ("[conn]\noutput=10\n", "[conn]\noutput=7\n", "7 outputs instead of 10 in layer 0 [conn]"),
    ],
)  # fmt: skip
def test_another_number_of_classes(body: str, other: str, expected: str, tmp_path: Path) -> None:
    message = mismatch(body, bytes_for(spec_of(other)), tmp_path)
    assert message.endswith(f"; it fits this network with {expected}")


def test_another_networks_weights(tmp_path: Path) -> None:
    message = mismatch(DETECTOR, bytes_for(spec_of("[conv]\nfilters=64\n[conv]\nfilters=32\n")), tmp_path)
    assert message == (
        "has 9108 bytes, but m.cfg needs 1092: 8016 bytes are left after the last layer with weights; "
        "another network's weights"
    )


@pytest.mark.parametrize("surplus", [1, 4, 4000])
def test_a_longer_file_on_request(surplus: int, tmp_path: Path) -> None:
    """Its first floats, as Darknet takes them; one that is too short is refused all the same."""
    spec = spec_of(DETECTOR)
    data = bytes_for(spec)
    path = file_with(tmp_path / "m.weights", data + bytes([7]) * surplus)
    plain = read_weights(file_with(tmp_path / "plain.weights", data), spec).arrays
    for cutoff in (None, 1):
        for (slot, array), (_, expected) in zip(
            read_weights(path, spec, cutoff, longer=True).arrays, plain, strict=cutoff is None
        ):
            assert np.array_equal(array, expected), slot
    cut_weights(path, spec, tmp_path / "cut.weights", len(spec.layers), longer=True)
    assert (tmp_path / "cut.weights").read_bytes()[20:] == data[20:]
    path.write_bytes(data[:-1])
    with pytest.raises(WeightsError, match="truncated or damaged"):
        read_weights(path, spec, longer=True)


def test_a_cutoff_takes_a_cut_file_or_a_whole_one(tmp_path: Path) -> None:
    spec = spec_of(DETECTOR)
    data = bytes_for(spec)
    path = file_with(tmp_path / "m.weights", data[:372])
    assert [slot.layer for slot, _ in read_weights(path, spec, cutoff=1).arrays] == [0] * 5
    assert [slot.layer for slot, _ in read_weights(path, spec, cutoff=2).arrays] == [0] * 5
    assert mismatch(DETECTOR, data[:500], tmp_path, cutoff=2) == (
        "has 500 bytes, but the first 2 layers of m.cfg need 372: 128 bytes are left after the last layer with "
        "weights; another network's weights"
    )
    assert "but the first layer of m.cfg needs 372: " in mismatch(DETECTOR, data[:500], tmp_path, cutoff=1)
    file_with(path, data)
    whole = read_weights(path, spec).arrays
    for (slot, array), (_, expected) in zip(read_weights(path, spec, cutoff=1).arrays, whole[:5], strict=True):
        assert np.array_equal(array, expected), slot
    for cutoff in (0, -1, 5):
        assert refused(lambda cutoff=cutoff: read_weights(path, spec, cutoff)) == (
            f"m.cfg: expected 1 to 4 layers to keep, found {cutoff}"
        )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "expected a header of 16 or 20 bytes, found an empty file"),
        (b"\0\0\0\0", "expected a header of 16 or 20 bytes, found a file of 4"),
        (bytes.fromhex("00000000 02000000 00000000 00000000"), "expected a header of 20 bytes, found a file of 16"),
        (b"<!DOCTYPE html>\n<html>" + bytes(9), "a web page, not .weights; it begins with '<!DOCTYPE html>\\n<html>"),
        (b"\xef\xbb\xbf\n <html>" + b" " * 99, "a web page, not .weights; it begins with '<html>"),
        (b"404: Not Found", "text, not .weights; it begins with '404: Not Found'; download it again"),
        (b'{"message": "Not Found"}\n', "text, not .weights; it begins with '{\"message\": \"Not Found\"}'"),
        (b"[net]\nwidth=4\n[conv]\n", "a .cfg, not .weights; are the two swapped?"),
        (b"# mine\n\n[net]\nwidth=4\n[conv]\n", "a .cfg, not .weights; are the two swapped?"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 248007048\n",
         "a git-lfs pointer, not the .weights it stands for; fetch it with git lfs pull"),
    ],
)  # fmt: skip
def test_what_is_no_weights_file(data: bytes, expected: str, tmp_path: Path) -> None:
    path = file_with(tmp_path / "m.weights", data)
    spec = spec_of(DETECTOR)
    assert refused(lambda: read_weights(path, spec)).startswith(f"{path}: {expected}")
    assert refused(lambda: read_header(path)).startswith(f"{path}: {expected}")


@pytest.mark.parametrize(
    ("start", "version"),
    [
        (b"PK\x03\x04" + bytes(range(9)), "67324752.50462976"),
        (b"\x89HDF\r\n\x1a\n", "1178880137.169478669"),
        (struct.pack("<iii", -1, 2, 0), "-1.2"),
    ],
)
def test_other_binary_files(start: bytes, version: str, tmp_path: Path) -> None:
    assert mismatch(DETECTOR, start + bytes(200), tmp_path).endswith(
        f"it is no .weights file at all, or its header would not be version {version}"
    )


def test_the_oldest_files_have_other_numbers_where_the_version_is_today(tmp_path: Path) -> None:
    spec = spec_of("[conn]\noutput=2\n", "inputs=3\n")
    start = struct.pack("<fffi", 0.001, 0.9, 0.0005, 640000)
    path = file_with(tmp_path / "m.weights", start + bytes_for(spec, OLD)[16:])
    weights = read_weights(path, spec)
    assert (weights.header.transposed, weights.header.seen) == (True, 640000)
    assert weights.arrays[1][1].tolist() == [[2, 4, 6], [3, 5, 7]]
    write_weights(tmp_path / "again.weights", weights.header, weights.arrays)
    assert (tmp_path / "again.weights").read_bytes() == path.read_bytes()
    assert mismatch("[conn]\noutput=2\n", start + bytes(12), tmp_path).endswith("or a truncated download")


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    spec = spec_of(DETECTOR)
    assert refused(lambda: read_weights(tmp_path, spec)) == f"{tmp_path}: expected a .weights file, found a folder"
    missing = tmp_path / "none.weights"
    assert refused(lambda: read_weights(missing, spec)) == (
        f"{missing}: cannot be read as .weights: No such file or directory"
    )
    assert refused(lambda: read_weights("m\0.weights", spec)).endswith("cannot be read as .weights: embedded null byte")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert refused(lambda: read_weights(pipe, spec)) == f"{pipe}: expected a .weights file, found a device or pipe"
    assert "device or pipe" in refused(lambda: read_header("/dev/null"))


def test_no_permission(tmp_path: Path) -> None:
    path = file_with(tmp_path / "m.weights", bytes_for(spec_of(DETECTOR)))
    path.chmod(0)
    with unprivileged():
        assert refused(lambda: read_weights(path, spec_of(DETECTOR))) == (
            f"{path}: cannot be read as .weights: Permission denied"
        )


def resident() -> int:
    """This process's memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("right", [True, False])
def test_a_gigabyte_costs_neither_time_nor_memory(right: bool, tmp_path: Path) -> None:
    spec = spec_of("[conn]\noutput=25000\n", "inputs=10000\n")
    path = tmp_path / "m.weights"
    with path.open("wb") as file:
        file.write(NEW.to_bytes())
        file.truncate(20 + 4 * 25000 * 10001 - (0 if right else 4000))
    assert path.stat().st_size > 1_000_000_000
    before, start = resident(), time.process_time()
    tracemalloc.start()
    try:
        if right:
            assert read_weights(path, spec).arrays[1][1].shape == (25000, 10000)
        else:
            assert "it ends in layer 0 [conn] (weights)" in refused(lambda: read_weights(path, spec))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert time.process_time() - start < 0.5
    assert resident() - before < 20_000_000


def test_a_pair_that_does_not_belong_together(shared_data: Path) -> None:
    path = shared_data / "models" / "yolo-lite-mismatch" / "yolo-lite-mismatch.weights"
    cfg = path.with_suffix(".cfg")
    message = refused(lambda: read_weights(path, load_spec(cfg)))
    assert message == (
        f"{path}: has 2289284 bytes, but {cfg} needs 2296772: it ends in layer 14 [convolutional] (weights); "
        "another network's weights, or a truncated download"
    )
