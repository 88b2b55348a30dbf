from __future__ import annotations

import math
import os
import resource
import struct
import subprocess
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darknet_compat.errors import WeightsError
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.formats.lower import load_spec, lower
from darknet_compat.formats.spec import NetworkSpec
from darknet_compat.formats.weights import Header, Slot, cut_weights, read_header, read_weights, slots, write_weights
from tests.conftest import Original
from tests.formats import library
from tests.formats.users import unprivileged

IMAGE = "[net]\nwidth=4\nheight=5\nchannels=2\n"
NEW, OLD, TRANSPOSED = Header(0, 2, 0, 77), Header(0, 1, 0, 77), Header(0, 1001, 0, 77)


def spec_of(body: str, net: str = IMAGE) -> NetworkSpec:
    return lower(parse_cfg(net + body, "m.cfg"))


def bytes_for(spec: NetworkSpec, header: Header = NEW, start: int = 0) -> bytes:
    """A file that fits: a header, and 0, 1, 2, …"""
    count = sum(slot.size for slot in slots(spec))
    return header.to_bytes() + np.arange(start, start + count, dtype="<f4").tobytes()


def file_with(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(WeightsError) as error:
        call()
    assert str(error.value).isprintable()
    return str(error.value)


# -------------------------------------------------------------------------------------------------- headers


@pytest.mark.parametrize(
    ("header", "data"),
    [
        (Header(0, 1, 0, 5), "00000000 01000000 00000000 05000000"),
        (Header(0, 1, 0, -1), "00000000 01000000 00000000 ffffffff"),
        (Header(0, 2, 0, 5), "00000000 02000000 00000000 05000000 00000000"),
        (Header(0, 2, 5, 2**40), "00000000 02000000 05000000 00000000 00010000"),
        (Header(1, 0, 0, 5), "01000000 00000000 00000000 05000000 00000000"),
        (Header(0, 1001, 0, 5), "00000000 e9030000 00000000 05000000"),
        (Header(1001, 0, 0, 5), "e9030000 00000000 00000000 05000000"),
        (Header(0, 1000, 0, 5), "00000000 e8030000 00000000 05000000"),
        (Header(0, 0, 0, 5), "00000000 00000000 00000000 05000000"),
    ],
)
def test_headers(header: Header, data: str, tmp_path: Path) -> None:
    raw = bytes.fromhex(data)
    assert header.to_bytes() == raw
    assert read_header(file_with(tmp_path / "m.weights", raw + b"\0\0\0\0")) == header
    assert header.transposed == (header.major > 1000 or header.minor > 1000)


def test_new_files_have_the_originals_header() -> None:
    assert Header().to_bytes() == bytes.fromhex("00000000 02000000 00000000 00000000 00000000")


# ----------------------------------------------------------------------------------------- the order of weights

CONV_BN = [("biases", (3,)), ("scales", (3,)), ("rolling_mean", (3,)), ("rolling_variance", (3,))]
ORDER: dict[str, list[tuple[str, tuple[int, ...]]]] = {
    "[conv]\nfilters=3\nsize=2": [("biases", (3,)), ("weights", (3, 2, 2, 2))],
    "[conv]\nfilters=3\nbatch_normalize=1": [*CONV_BN, ("weights", (3, 2, 1, 1))],
    "[conv]\nfilters=4\ngroups=2": [("biases", (4,)), ("weights", (4, 1, 1, 1))],
    "[conv]\nfilters=3\nnumload=2\nbatch_normalize=1": [
        ("biases", (2,)), ("scales", (2,)), ("rolling_mean", (2,)), ("rolling_variance", (2,)),
        ("weights", (2, 2, 1, 1)),
    ],
    "[conv]\nfilters=3\nbatch_normalize=1\ndontloadscales=1": [("biases", (3,)), ("weights", (3, 2, 1, 1))],
    "[conv]\nfilters=3\ndontload=1": [],
    "[deconv]\nfilters=3\nsize=2\nbatch_normalize=1": [*CONV_BN, ("weights", (2, 3, 2, 2))],
    "[conn]\noutput=3": [("biases", (3,)), ("weights", (3, 40))],
    "[conn]\noutput=3\nbatch_normalize=1\nnumload=1": [
        ("biases", (3,)), ("weights", (3, 40)), ("scales", (3,)), ("rolling_mean", (3,)), ("rolling_variance", (3,)),
    ],
    "[conn]\noutput=3\nbatch_normalize=1\ndontloadscales=1": [("biases", (3,)), ("weights", (3, 40))],
    "[local]\nfilters=3\nsize=2": [("biases", (36,)), ("weights", (12, 3, 8))],
    "[batchnorm]\ndontloadscales=1\nnumload=1": [("scales", (2,)), ("rolling_mean", (2,)), ("rolling_variance", (2,))],
    "[rnn]\noutput=3\nnumload=1\ndontloadscales=1": [
        ("input_layer.biases", (3,)), ("input_layer.weights", (3, 40)), ("self_layer.biases", (3,)),
        ("self_layer.weights", (3, 3)), ("output_layer.biases", (3,)), ("output_layer.weights", (3, 3)),
    ],
    "[gru]\noutput=3": [
        (f"{part}.{name}", (3,) if name == "biases" else (3, inputs))
        for part, inputs in (("wz", 3), ("wr", 3), ("wh", 3), ("uz", 40), ("ur", 40), ("uh", 40))
        for name in ("biases", "weights")
    ],
    "[lstm]\noutput=3\nbatch_normalize=1\ndontloadscales=1": [
        (f"{part}.{name}", (3, inputs) if name == "weights" else (3,))
        for part, inputs in (("wi", 3), ("wf", 3), ("wo", 3), ("wg", 3), ("ui", 40), ("uf", 40), ("uo", 40), ("ug", 40))
        for name in ("biases", "weights", "scales", "rolling_mean", "rolling_variance")
    ],
    "[crnn]\nhidden_filters=3\noutput_filters=4\nbatch_normalize=1": [
        (f"{part}.{name}", shape if name == "weights" else shape[:1])
        for part, shape in (
            ("input_layer", (3, 2, 3, 3)), ("self_layer", (3, 3, 3, 3)), ("output_layer", (4, 3, 3, 3)),
        )
        for name in ("biases", "scales", "rolling_mean", "rolling_variance", "weights")
    ],
    "[max]": [],
    "[softmax]": [],
}  # fmt: skip


@pytest.mark.parametrize("body", ORDER)
def test_order_and_shapes(body: str, tmp_path: Path) -> None:
    spec = spec_of(body)
    found = list(slots(spec))
    assert [(slot.name, slot.shape) for slot in found] == ORDER[body]
    weights = read_weights(file_with(tmp_path / "m.weights", bytes_for(spec)), spec)
    assert weights.header == NEW
    assert [slot for slot, _ in weights.arrays] == found
    at = 0
    for slot, array in weights.arrays:
        assert array.shape == slot.shape
        assert array.ravel().tolist() == list(range(at, at + slot.size))
        at += slot.size


def test_a_convolution_by_its_bytes(tmp_path: Path) -> None:
    data = bytes.fromhex(
        "00000000 02000000 00000000 0100000000000000"  # 0.2.0, one image seen
        "0000803f 00000040"  # biases 1, 2
        "00004040 00008040"  # scales 3, 4
        "0000a040 0000c040"  # rolling_mean 5, 6
        "0000e040 00000041"  # rolling_variance 7, 8
        "00001041 00002041 00003041 00004041"  # weights 9, 10 of the first filter, 11, 12 of the second
    )
    spec = spec_of("[conv]\nfilters=2\nbatch_normalize=1\n")
    weights = read_weights(file_with(tmp_path / "m.weights", data), spec)
    assert weights.header == Header(0, 2, 0, 1)
    assert {slot.name: array.tolist() for slot, array in weights.arrays} == {
        "biases": [1, 2],
        "scales": [3, 4],
        "rolling_mean": [5, 6],
        "rolling_variance": [7, 8],
        "weights": [[[[9]], [[10]]], [[[11]], [[12]]]],
    }
    write_weights(tmp_path / "again.weights", weights.header, weights.arrays)
    assert (tmp_path / "again.weights").read_bytes() == data


@pytest.mark.parametrize("kind", ["connected", "gru", "rnn"])
def test_transposed_files_hold_the_matrices_of_connected_layers_by_columns(kind: str, tmp_path: Path) -> None:
    spec = spec_of(f"[{kind}]\noutput=3\n", "[net]\ninputs=2\n")
    weights = read_weights(file_with(tmp_path / "m.weights", bytes_for(spec, TRANSPOSED)), spec)
    values = {slot.name: array.tolist() for slot, array in weights.arrays}
    if kind == "connected":
        assert values == {"biases": [0, 1, 2], "weights": [[3, 6], [4, 7], [5, 8]]}
    elif kind == "gru":
        assert values["wz.weights"] == [[3, 6, 9], [4, 7, 10], [5, 8, 11]]
        assert values["uh.weights"] == [[57, 60], [58, 61], [59, 62]]
    else:
        assert values["input_layer.weights"] == [[3, 6], [4, 7], [5, 8]]
    write_weights(tmp_path / "again.weights", weights.header, weights.arrays)
    assert (tmp_path / "again.weights").read_bytes() == bytes_for(spec, TRANSPOSED)


def test_transposed_files_hold_convolutions_as_ever(tmp_path: Path) -> None:
    spec = spec_of("[conv]\nfilters=2\n[crnn]\n")
    weights = read_weights(file_with(tmp_path / "m.weights", bytes_for(spec, TRANSPOSED)), spec)
    assert weights.arrays[1][1].ravel().tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize("numload", ["", "numload=2\n"])
def test_flipped_convolutions_are_stored_by_columns(numload: str, tmp_path: Path) -> None:
    spec = spec_of(f"[conv]\nfilters=3\nsize=2\nflipped=1\n{numload}")
    data = bytes_for(spec)
    weights = read_weights(file_with(tmp_path / "m.weights", data), spec)
    rows = 2 if numload else 3
    array = weights.arrays[1][1]
    assert array.shape == (rows, 2, 2, 2)
    assert array[:, 0, 0, 0].tolist() == list(range(rows, 2 * rows))
    assert array[0].ravel().tolist() == list(range(rows, 9 * rows, rows))
    write_weights(tmp_path / "again.weights", weights.header, weights.arrays)
    assert (tmp_path / "again.weights").read_bytes() == data


def test_saving_writes_everything_but_what_is_not_to_be_saved() -> None:
    spec = spec_of(
        "[conv]\nfilters=3\ndontload=1\n[conv]\nfilters=3\nnumload=1\nbatch_normalize=1\ndontloadscales=1\n"
        "[conv]\nfilters=5\ndontsave=1\n"
    )
    assert [(slot.layer, slot.name, slot.shape) for slot in slots(spec, saving=True)] == [
        (0, "biases", (3,)),
        (0, "weights", (3, 2, 1, 1)),
        *((1, name, (3,)) for name in ("biases", "scales", "rolling_mean", "rolling_variance")),
        (1, "weights", (3, 3, 1, 1)),
    ]
    assert [slot.layer for slot in slots(spec)] == [1, 1, 2, 2]
    assert [slot.layer for slot in slots(spec, cutoff=2)] == [1, 1]


def test_what_is_read_is_a_view_of_the_file(tmp_path: Path) -> None:
    spec = spec_of("[conv]\nfilters=3\n[conn]\noutput=2\n")
    for header in (NEW, OLD, TRANSPOSED):
        for slot, array in read_weights(file_with(tmp_path / "m.weights", bytes_for(spec, header)), spec).arrays:
            assert not array.flags.owndata and not array.flags.writeable, slot
            assert array.dtype == np.dtype("<f4")


def test_a_network_without_weights(tmp_path: Path) -> None:
    spec = spec_of("[softmax]")
    path = tmp_path / "m.weights"
    write_weights(path, NEW, [])
    assert path.read_bytes() == NEW.to_bytes()
    assert read_weights(path, spec).arrays == ()
    assert "4 bytes are left" in refusal(lambda: read_weights(file_with(path, NEW.to_bytes() + bytes(4)), spec))


# ----------------------------------------------------------------------------------------- against the original

EVERYTHING = """
[conv]\nfilters=3\nsize=2\nbatch_normalize=1
[conv]\nfilters=6\ngroups=3\nnumload=2
[conv]\nfilters=4\nflipped=1\nsize=2
[conv]\nfilters=4\nbatch_normalize=1\ndontloadscales=1
[batchnorm]\ndontloadscales=1
[conv]\nfilters=2\ndontload=1
[local]\nfilters=2\nsize=2
[crnn]\nhidden_filters=2\noutput_filters=3\nbatch_normalize=1
[conn]\noutput=5\nbatch_normalize=1\nnumload=1
[rnn]\noutput=4\nbatch_normalize=1\ndontloadscales=1
[gru]\noutput=3
[lstm]\noutput=2\nbatch_normalize=1
[conn]\noutput=3
"""


@pytest.mark.reference
@pytest.mark.parametrize("header", [NEW, OLD, TRANSPOSED], ids=["new", "old", "transposed"])
def test_the_original_loads_the_same_values(header: Header, original: Original, tmp_path: Path) -> None:
    cfg = file_with(tmp_path / "m.cfg", ("[net]\nwidth=9\nheight=7\nchannels=2\n" + EVERYTHING).encode())
    spec = load_spec(cfg)
    path = file_with(tmp_path / "m.weights", bytes_for(spec, header, start=1))
    theirs = library.values(original, cfg, path)
    ours = {(slot.layer, slot.name): array for slot, array in read_weights(path, spec).arrays}
    assert len(ours) == 105
    for (layer, name), array in ours.items():
        # With numload only the first rows are from the file.
        assert np.array_equal(theirs[layer, name][: array.size], array.ravel()), (layer, name)
    # What is missing in ours stands at the original's start.
    for (layer, name), array in theirs.items():
        if (layer, name) not in ours:
            assert layer == 5 or (layer == 3 and name in ("scales", "rolling_mean", "rolling_variance"))
            assert array.max() <= 1
        assert array.max() > 1 or (layer, name) not in ours


@pytest.mark.reference
def test_the_original_loads_what_we_write(original: Original, tmp_path: Path) -> None:
    body = EVERYTHING.replace("numload=", "#").replace("dontload", "#").replace("flipped=1\n", "")
    cfg = file_with(tmp_path / "m.cfg", ("[net]\nwidth=9\nheight=7\nchannels=2\n" + body).encode())
    spec = load_spec(cfg)
    random = np.random.default_rng(1)
    arrays = [(slot, random.normal(size=slot.shape).astype(np.float32)) for slot in slots(spec, saving=True)]
    for header in (Header(), OLD, TRANSPOSED):
        # A header above 1000 wants its matrices transposed.
        turned = [
            (slot, array) for slot, (_, array) in zip(slots(spec, transposed=header.transposed), arrays, strict=True)
        ]
        write_weights(tmp_path / "m.weights", header, turned)
        theirs = library.values(original, cfg, tmp_path / "m.weights")
        assert len(theirs) == len(arrays)
        for slot, array in arrays:
            assert np.array_equal(theirs[slot.layer, slot.name], array.ravel()), slot


def partial(original: Original, cfg: Path, weights: Path, out: Path, cutoff: int) -> bytes:
    """What `darknet partial` writes."""
    command = [original.program, "partial", cfg, weights, out, str(cutoff)]
    done = subprocess.run(command, capture_output=True, cwd=out.parent, timeout=120)
    assert done.returncode == 0, done.stderr[-500:]
    return out.read_bytes()


@pytest.mark.reference
@pytest.mark.parametrize("header", [NEW, OLD, TRANSPOSED], ids=["new", "old", "transposed"])
def test_cutting_is_darknet_partial(header: Header, original: Original, tmp_path: Path) -> None:
    body = EVERYTHING.replace("numload=", "#").replace("dontload", "#").replace("flipped=1\n", "")
    body = body.replace("[batchnorm]", "[batchnorm]\ndontsave=1")
    cfg = file_with(tmp_path / "m.cfg", ("[net]\nwidth=9\nheight=7\nchannels=2\n" + body).encode())
    spec = load_spec(cfg)
    path = file_with(tmp_path / "m.weights", bytes_for(spec, header))
    for cutoff in (1, 4, 6, 9, 13):
        cut_weights(path, spec, tmp_path / "ours", cutoff)
        assert (tmp_path / "ours").read_bytes() == partial(original, cfg, path, tmp_path / "theirs", cutoff), cutoff


@pytest.mark.reference
def test_cutting_a_real_file_is_darknet_partial(original: Original, shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "models" / "tiny-darknet"
    cfg, weights = folder / "tiny.cfg", folder / "tiny.weights"
    spec = load_spec(cfg)
    cut_weights(weights, spec, tmp_path / "ours", 10)
    assert (tmp_path / "ours").read_bytes() == partial(original, cfg, weights, tmp_path / "theirs", 10)
    cut = read_weights(tmp_path / "ours", spec, cutoff=10)
    whole = read_weights(weights, spec)
    assert cut.header == Header()
    for (slot, array), (_, expected) in zip(cut.arrays, whole.arrays[: len(cut.arrays)], strict=True):
        assert np.array_equal(array, expected), slot


# ----------------------------------------------------------------------------------------------- real files

MODELS = {
    "tiny-darknet/tiny": Header(0, 1, 0, 102400000),
    "yolo-fastest-1.1/yolo-fastest-1.1": None,
    "yolo-lite-coco/yolo-lite-coco": None,
    "yolo-lite-voc3/yolo-lite-voc3": None,
}


@pytest.mark.parametrize("name", MODELS)
def test_real_files_are_written_as_they_were_read(name: str, shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "models" / f"{name}.weights"
    weights = read_weights(path, load_spec(path.with_suffix(".cfg")))
    assert all(np.isfinite(array).all() for _, array in weights.arrays)
    write_weights(tmp_path / "again.weights", weights.header, weights.arrays)
    assert (tmp_path / "again.weights").read_bytes() == path.read_bytes()


def test_a_pair_that_does_not_belong_together(shared_data: Path) -> None:
    path = shared_data / "models" / "yolo-lite-mismatch" / "yolo-lite-mismatch.weights"
    cfg = path.with_suffix(".cfg")
    message = refusal(lambda: read_weights(path, load_spec(cfg)))
    assert message == (
        f"{path}: has 2289284 bytes, but {cfg} needs 2296772: it ends in layer 14 [convolutional] (weights); "
        "another network's weights, or a truncated download"
    )


# -------------------------------------------------------------------------------------------- strict length

DETECTOR = """
[conv]\nfilters=4\nsize=3\npad=1\nbatch_normalize=1
[max]\nstride=2
[conv]\nfilters=36\n
[region]\nnum=4\nclasses=4
"""
TWO_HEADS = """
[conv]\nfilters=4
[conv]\nfilters=18
[yolo]\nclasses=4\nmask=0,1\nnum=5
[route]\nlayers=0
[conv]\nfilters=27
[yolo]\nclasses=4\nmask=2,3,4\nnum=5
"""
CLASSIFIER = "[conv]\nfilters=4\n[conv]\nfilters=10\n[avg]\n[softmax]\n"
#: Bytes: header 20; layer 0: biases 16, statistics 48, weights 288 → 372; layer 2: biases 144, weights 576 → 1092
NEEDED = 1092


def mismatch(body: str, data: bytes, tmp_path: Path, cutoff: int | None = None) -> str:
    """The refusal of a file, without the file's own path."""
    path = file_with(tmp_path / "m.weights", data)
    message = refusal(lambda: read_weights(path, spec_of(body), cutoff))
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
        (1088, "it ends in layer 2 [conv] (weights); its length fits a header of 16 bytes, but version 0.2 has 20"),
        (1096, "4 bytes are left after the last layer with weights; another network's weights"),
        (1100, "8 bytes are left after the last layer with weights; another network's weights"),
        (1095, "3 bytes are left after the last layer with weights; another network's weights, or a damaged file"),
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
        "its length fits a header of 16 bytes, but version 0.2 has 20"
    )
    assert mismatch(DETECTOR, struct.pack("<iiiQ", 0, 1, 0, 1) + body, tmp_path).endswith(
        "its length fits a header of 20 bytes, but version 0.1 has 16"
    )


@pytest.mark.parametrize(
    ("body", "other", "expected"),
    [
        (DETECTOR, DETECTOR.replace("classes=4", "classes=1").replace("=36", "=24"), "1 classes instead of 4"),
        (DETECTOR, DETECTOR.replace("classes=4", "classes=80").replace("=36", "=340"), "80 classes instead of 4"),
        (TWO_HEADS, TWO_HEADS.replace("classes=4", "classes=1").replace("=18", "=12").replace("=27", "=18"),
         "1 classes instead of 4"),
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
    file_with(path, data)
    whole = read_weights(path, spec).arrays
    for (slot, array), (_, expected) in zip(read_weights(path, spec, cutoff=1).arrays, whole[:5], strict=True):
        assert np.array_equal(array, expected), slot
    for cutoff in (0, -1, 5):
        assert refusal(lambda cutoff=cutoff: read_weights(path, spec, cutoff)) == (
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
    assert refusal(lambda: read_weights(path, spec)).startswith(f"{path}: {expected}")
    assert refusal(lambda: read_header(path)).startswith(f"{path}: {expected}")


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
    spec = spec_of("[conn]\noutput=2\n", "[net]\ninputs=3\n")
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
    assert refusal(lambda: read_weights(tmp_path, spec)) == f"{tmp_path}: expected a .weights file, found a folder"
    missing = tmp_path / "none.weights"
    assert refusal(lambda: read_weights(missing, spec)) == (
        f"{missing}: cannot be read as .weights: No such file or directory"
    )
    assert refusal(lambda: read_weights("m\0.weights", spec)).endswith("cannot be read as .weights: embedded null byte")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert refusal(lambda: read_weights(pipe, spec)) == f"{pipe}: expected a .weights file, found a device or pipe"
    assert "device or pipe" in refusal(lambda: read_header("/dev/null"))


def test_no_permission(tmp_path: Path) -> None:
    path = file_with(tmp_path / "m.weights", bytes_for(spec_of(DETECTOR)))
    path.chmod(0)
    with unprivileged():
        assert refusal(lambda: read_weights(path, spec_of(DETECTOR))) == (
            f"{path}: cannot be read as .weights: Permission denied"
        )


def resident() -> int:
    """This process's memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("right", [True, False])
def test_a_gigabyte_costs_neither_time_nor_memory(right: bool, tmp_path: Path) -> None:
    spec = spec_of("[conn]\noutput=25000\n", "[net]\ninputs=10000\n")
    path = tmp_path / "m.weights"
    with path.open("wb") as file:
        file.write(NEW.to_bytes())
        file.truncate(20 + 4 * 25000 * 10001 - (0 if right else 4000))
    assert path.stat().st_size > 1_000_000_000
    before, start = resident(), time.perf_counter()
    tracemalloc.start()
    try:
        if right:
            assert read_weights(path, spec).arrays[1][1].shape == (25000, 10000)
        else:
            assert "it ends in layer 0 [conn] (weights)" in refusal(lambda: read_weights(path, spec))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - start < 0.5
    assert resident() - before < 20_000_000


# --------------------------------------------------------------------------------------------------- cutting


def test_cutting(tmp_path: Path) -> None:
    spec = spec_of(DETECTOR)
    data = bytes_for(spec, OLD)
    path = file_with(tmp_path / "m.weights", data)
    cut_weights(path, spec, tmp_path / "cut", 2)
    assert (tmp_path / "cut").read_bytes() == Header().to_bytes() + data[16:368]
    for cutoff in (0, -1, 5):
        assert refusal(lambda cutoff=cutoff: cut_weights(path, spec, tmp_path / "no", cutoff)) == (
            f"m.cfg: expected 1 to 4 layers to keep, found {cutoff}"
        )
    assert not (tmp_path / "no").exists()


def test_a_cut_flipped_layer_stays_flipped_as_its_cfg_says(tmp_path: Path) -> None:
    spec = spec_of("[conv]\nfilters=3\nflipped=1\n[conv]\n")
    path = file_with(tmp_path / "m.weights", bytes_for(spec))
    cut_weights(path, spec, tmp_path / "cut", 1)
    assert np.array_equal(read_weights(tmp_path / "cut", spec, 1).arrays[1][1], read_weights(path, spec).arrays[1][1])


@pytest.mark.parametrize("option", ["dontload=1", "numload=2", "batch_normalize=1\ndontloadscales=1"])
def test_what_is_not_loaded_cannot_be_cut(option: str, tmp_path: Path) -> None:
    spec = spec_of(f"[conv]\nfilters=3\n[conv]\nfilters=3\n{option}\n[conv]\n")
    path = file_with(tmp_path / "m.weights", bytes_for(spec))
    cut_weights(path, spec, tmp_path / "cut", 1)
    assert refusal(lambda: cut_weights(path, spec, tmp_path / "no", 2)) == (
        f"{path}: layer 1 [conv] is not loaded from it as a whole ({option.split(chr(10))[-1].partition('=')[0]}), "
        "so it cannot be kept; remove that option"
    )
    assert not (tmp_path / "no").exists()


# --------------------------------------------------------------------------------------- writing whole or not


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_written_files_have_ordinary_permissions(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_weights(tmp_path / "m.weights", NEW, [])
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(old)
    assert (tmp_path / "m.weights").stat().st_mode & 0o777 == 0o640
    assert entries(tmp_path) == ["m.weights"]


def test_a_failure_in_the_middle_keeps_the_old_file(tmp_path: Path) -> None:
    path = file_with(tmp_path / "m.weights", b"old")

    def arrays() -> Iterator[tuple[Slot, np.ndarray]]:
        yield Slot(0, "biases", (3,)), np.zeros(3, np.float32)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        write_weights(path, NEW, arrays())
    assert path.read_bytes() == b"old" and entries(tmp_path) == ["m.weights"]


def test_an_array_of_the_wrong_size_is_refused(tmp_path: Path) -> None:
    for count in (2, 4):
        assert (
            refusal(
                lambda count=count: write_weights(
                    tmp_path / "m.weights", NEW, [(Slot(7, "biases", (3,)), np.zeros(count, np.float32))]
                )
            )
            == f"{tmp_path}/m.weights: layer 7 (biases): expected an array of shape (3,), found ({count},)"
        )
    assert entries(tmp_path) == []


def test_a_header_that_has_no_room(tmp_path: Path) -> None:
    path = tmp_path / "m.weights"
    assert refusal(lambda: write_weights(path, Header(0, 1, 0, 2**31), [])) == (
        "a header of version 0.1 has no room for Header(major=0, minor=1, revision=0, seen=2147483648)"
    )
    assert entries(tmp_path) == []
    write_weights(path, Header(0, 2, 0, 2**31), [])


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk: beyond `size` bytes the system refuses to write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    path = file_with(tmp_path / "m.weights", b"old")
    array = np.zeros(100_000, np.float32)
    with files_of_at_most(65536):
        message = refusal(lambda: write_weights(path, NEW, [(Slot(0, "biases", array.shape), array)]))
    assert message == f"{path}: cannot be written: File too large"
    assert path.read_bytes() == b"old" and entries(tmp_path) == ["m.weights"]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    missing = tmp_path / "none" / "m.weights"
    assert (
        refusal(lambda: write_weights(missing, NEW, [])) == f"{missing}: cannot be written: No such file or directory"
    )
    assert refusal(lambda: write_weights(tmp_path, NEW, [])) == f"{tmp_path}: cannot be written: it is a folder"
    assert "cannot be written: " in refusal(lambda: write_weights("m\0.weights", NEW, []))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert refusal(lambda: write_weights(pipe, NEW, [])) == f"{pipe}: cannot be written: it is a device or pipe"
    assert pipe.is_fifo() and entries(tmp_path) == ["pipe"]


def test_no_permission_to_write(tmp_path: Path) -> None:
    with unprivileged():
        assert refusal(lambda: write_weights(tmp_path / "m.weights", NEW, [])).endswith("Permission denied")
    assert entries(tmp_path) == []


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    file_with(tmp_path / "real" / "m.weights", b"old")
    (tmp_path / "m.weights").symlink_to("real/m.weights")
    write_weights(tmp_path / "m.weights", NEW, [])
    assert (tmp_path / "m.weights").is_symlink()
    assert (tmp_path / "real" / "m.weights").read_bytes() == NEW.to_bytes()
    assert entries(tmp_path / "real") == ["m.weights"]


def test_a_file_can_be_written_over_itself(tmp_path: Path) -> None:
    spec = spec_of(DETECTOR)
    path = file_with(tmp_path / "m.weights", bytes_for(spec))
    weights = read_weights(path, spec)
    write_weights(path, weights.header, weights.arrays)
    assert path.read_bytes() == bytes_for(spec)
    assert weights.arrays[-1][1].ravel()[-1] == (NEEDED - 20) / 4 - 1


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "m.weights") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert entries(tmp_path) == []


# ----------------------------------------------------------------------------------------------- round trips

_LAYERS = st.lists(st.sampled_from([body for body in ORDER if "deconv" not in body and "crnn" not in body]), max_size=5)
_HEADERS = st.builds(
    Header,
    st.sampled_from([0, 0, 1, 1001]),
    st.sampled_from([0, 1, 2, 5, 1000, 1001]),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 2**31 - 1),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all of hypothesis's examples."""
    return tmp_path_factory.mktemp("written")


@given(layers=_LAYERS, header=_HEADERS, random=st.randoms(use_true_random=False))
def test_what_is_written_reads_back(layers: list[str], header: Header, random: Random, folder: Path) -> None:
    # A route to the input's copy keeps every layer's input an image.
    body = "[conv]\nfilters=2\n" + "".join(f"{layer}\n[route]\nlayers=0\n" for layer in layers)
    spec = spec_of(body)
    wanted = list(slots(spec, transposed=header.transposed))
    # Any bits: a float that is not a number keeps its own.
    arrays = [(slot, np.frombuffer(random.randbytes(4 * slot.size), "<f4").reshape(slot.shape)) for slot in wanted]
    path = folder / "m.weights"
    write_weights(path, header, arrays)
    data = path.read_bytes()
    assert len(data) == header.layout.size + 4 * sum(math.prod(slot.shape) for slot in wanted)
    weights = read_weights(path, spec)
    assert weights.header == header
    for (slot, array), (expected_slot, expected) in zip(weights.arrays, arrays, strict=True):
        assert slot == expected_slot
        assert array.tobytes() == expected.tobytes()
    write_weights(path, weights.header, weights.arrays)
    assert path.read_bytes() == data
