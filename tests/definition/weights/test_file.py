from __future__ import annotations

import math
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.file import Header, read_header, read_weights, slots, write_weights
from tests.conftest import Original
from tests.formats import library
from tests.formats.making import (
    NEW,
    OLD,
    TRANSPOSED,
    bytes_for,
    file_with,
    refused,
    spec_of,
)

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
    spec = spec_of(f"[{kind}]\noutput=3\n", "inputs=2\n")
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
    assert "4 bytes are left" in refused(lambda: read_weights(file_with(path, NEW.to_bytes() + bytes(4)), spec))


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
