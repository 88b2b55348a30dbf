"""`--mixed`: which convolutions stay in float32, by hand and in networks where one is made to suffer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from darknet_compat.errors import ExportError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.onnx.options import OnnxOptions
from darknet_compat.export.quantize.mixed import ENOUGH, WORTH, IntegerChoice, compared, leave
from darknet_compat.export.quantize.quantize import quantize_onnx
from darknet_compat.formats.exported.artefact import Artefact, float32_layers
from darknet_compat.runtime.exported import read_artefact
from darknet_compat.runtime.onnxruntime import OnnxRuntime
from darknet_compat.runtime.openvino import OpenVinoRuntime
from tests.export.quantize.test_fused import LAYERS
from tests.export.support import pictures, small

IMAGES = [pictures(3, 32, 32, 4)]


def added(noise: Mapping[str, float]) -> Callable[[frozenset[str]], float]:
    """Decibels where each convolution brings so much noise, as a part of the power, and they add up."""
    return lambda chosen: float(-10 * np.log10(1e-9 + sum(noise[name] for name in chosen)))


# ------------------------------------------------------------------------------------------------------ the choice


def test_what_costs_most_for_its_time_is_left_first() -> None:
    noise = {"a": 0.01, "b": 0.01, "c": 0.0001}
    found = leave("abc", {"a": 60.0, "b": 10.0, "c": 30.0}, added(noise))
    # b brings 3 dB for 10 %; a then 20 dB for 60 %, after which there is enough.
    assert found.integers == {"c"} and found.before == pytest.approx(17, abs=0.1) and found.after > 39


def test_nothing_is_left_where_there_is_enough() -> None:
    calls: list[frozenset[str]] = []

    def measured(chosen: frozenset[str]) -> float:
        calls.append(chosen)
        return ENOUGH

    assert leave("ab", {"a": 50, "b": 50}, measured) == IntegerChoice(frozenset("ab"), ENOUGH, ENOUGH)
    assert len(calls) == 1


def test_what_brings_less_than_its_time_stays_in_integers() -> None:
    noise = {"a": 0.02, "b": 0.02}  # 3 dB, for half of the time
    assert leave("ab", {"a": 3 / WORTH + 1, "b": 3 / WORTH + 1}, added(noise)).integers == {"a", "b"}


def test_what_turns_out_to_gain_nothing_is_taken_back() -> None:
    """Either of two alone seems to gain; with one of them gone, the other does not."""
    found = {"ab": 10.0, "b": 14.0, "a": 13.0, "": 14.0}
    left = leave("ab", {"a": 1, "b": 1}, lambda chosen: found["".join(sorted(chosen))])
    assert left == IntegerChoice(frozenset("b"), 10.0, 14.0)


@given(st.lists(st.tuples(st.floats(1e-6, 1.0), st.floats(0.1, 50)), min_size=1, max_size=12), st.integers(0, 99))
def test_there_is_never_more_noise_and_the_measuring_ends(parts: list[tuple[float, float]], seed: int) -> None:
    """However the noise of several adds up: here each set's is drawn."""
    names = [str(number) for number in range(len(parts))]
    shares, calls = {name: part[1] for name, part in zip(names, parts, strict=True)}, []

    def measured(chosen: frozenset[str]) -> float:
        calls.append(chosen)
        drawn = np.random.default_rng([seed, *map(int, sorted(chosen))]).uniform(0.5, 2)
        return float(-10 * np.log10(1e-6 + drawn * sum(parts[int(name)][0] for name in chosen)))

    found = leave(names, shares, measured)
    assert found.after >= found.before and len(calls) <= 1 + 2 * len(names)
    assert found.after == measured(found.integers) and found.before == measured(frozenset(names))
    gained, paid = found.after - found.before, sum(shares[name] for name in set(names) - found.integers)
    assert gained >= WORTH * paid - 1e-9
    assert leave(names, shares, measured) == found


def test_noise_is_of_scores_and_of_where_boxes_lie() -> None:
    exact = {
        "boxes": np.array([[[0.5, 0.5, 0.3, 0.4], [0.2, 0.2, 0.1, 0.1]]], np.float32),
        "objectness": np.array([[0.5, 0.1]], np.float32),
        "classes": np.array([[[1.0, 0.5], [0.0, 1.0]]], np.float32),
    }
    assert compared(exact, exact) == (0, pytest.approx(0.25 + 0.0625 + 0.01))
    moved = exact | {"boxes": exact["boxes"] + np.array([[[0.05, 0, 0, 0], [0.1, 0, 0, 0]]], np.float32)}
    assert compared(exact, moved)[0] == pytest.approx(0.25 * 0.01 + 0.01 * 0.5)
    other = exact | {"objectness": np.array([[0.4, 0.1]], np.float32)}
    assert compared(exact, other)[0] == pytest.approx(0.01 + 0.0025)
    assert compared({"x": np.ones(3, np.float32)}, {"x": np.zeros(3, np.float32)}) == (3, 3)


# -------------------------------------------------------------------------------------------------------- networks


@pytest.fixture(scope="module")
def suffering(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network in which one filter's values are a thousand times those of the others, and are read a thousandth of
    that: the same answers, but one scale for a tensor leaves nothing of the other filters."""
    path = tmp_path_factory.mktemp("mixed") / "m.onnx"
    export_onnx(small(LAYERS, (3, 32, 32)), path, sizes="fixed")
    model = onnx.load(path)
    convolutions = {node.name: node for node in model.graph.node if node.op_type == "Conv"}
    values = {tensor.name: tensor for tensor in model.graph.initializer}

    def multiply(name: str, which: tuple[slice | int, ...], by: float) -> None:
        array = numpy_helper.to_array(values[name]).copy()
        array[which] *= by
        values[name].CopyFrom(numpy_helper.from_array(array, name))

    made, reads = convolutions["2_convolutional/Conv"], convolutions["4_convolutional/Conv"]
    for name in made.input[1:]:
        multiply(name, (0,), 1000)
    multiply(reads.input[1], (slice(None), 0), 0.001)
    onnx.save(model, path)
    return path


def test_the_convolution_that_suffers_stays_in_float32(suffering: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    made = quantize_onnx(
        suffering, tmp_path / "q.onnx", IMAGES, None, mixed=True, progress=lambda *done: told.append(done)
    )
    said = made.quantization or {}
    written = read_artefact(tmp_path / "q.onnx").quantization or {}
    assert all(written[name] == said[name] for name in ("float32", "mixed"))
    assert "4_convolutional/Conv" in said["float32"]["file"]
    assert "4_convolutional/Conv" in said["float32"]["onnxruntime"]
    assert "0_convolutional/Conv" in said["float32"]["onnxruntime"]  # it is quicker so
    for before, after in said["mixed"]["decibels"].values():
        assert before < 15 and after > before + 3
    assert [done for done, _ in told] == list(range(1, said["mixed"]["passes"] + 1))
    assert said["mixed"]["passes"] <= told[0][1] == 4 * (1 + 2 * (1 + 2 * 6)) and said["mixed"]["pictures"] == 4
    graph = onnx.load(tmp_path / "q.onnx").graph
    rounded = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    left = [node.name for node in graph.node if node.op_type == "Conv" and node.input[1] not in rounded]
    assert left == said["float32"]["file"]
    exact = OnnxRuntime(suffering).infer(IMAGES[0])
    quantize_onnx(suffering, tmp_path / "all.onnx", IMAGES, None)
    for kind in (OnnxRuntime, OpenVinoRuntime):
        mixed, whole = (kind(tmp_path / f"{name}.onnx").infer(IMAGES[0]) for name in ("q", "all"))
        noise = [np.square(found["objectness"] - exact["objectness"]).mean() for found in (mixed, whole)]
        assert 0 < noise[0] < noise[1] / 2, kind


def test_it_is_the_same_each_time(suffering: Path, tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        quantize_onnx(suffering, tmp_path / name, IMAGES, None, mixed=True)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        {"outputs": "detections"},
        {"outputs": "heads"},
        {"layout": "yolov8"},
        {"layout": "nms"},
        {"input": "uint8"},
        {"batch": 2},
    ],
)
def test_every_form_of_answers_can_be_measured(options: dict[str, object], tmp_path: Path) -> None:
    network = small(LAYERS, (3, 32, 32))
    export_onnx(network, tmp_path / "m.onnx", options=OnnxOptions(sizes="fixed", **options))  # type: ignore[arg-type]
    made = quantize_onnx(tmp_path / "m.onnx", tmp_path / "q.onnx", IMAGES, None, mixed=True)
    decibels = (made.quantization or {})["mixed"]["decibels"]
    assert all(0 < before <= after < 60 for before, after in decibels.values())
    OnnxRuntime(tmp_path / "q.onnx").infer(IMAGES[0])


def test_a_classifier_too(tmp_path: Path) -> None:
    layers = LAYERS[: LAYERS.index("[convolutional]\nfilters=21")]
    layers += "[convolutional]\nfilters=5\nsize=1\nactivation=linear\n[avgpool]\n[softmax]\ngroups=1\n"
    export_onnx(small(layers, (3, 32, 32)), tmp_path / "m.onnx", sizes="fixed")
    made = quantize_onnx(tmp_path / "m.onnx", tmp_path / "q.onnx", IMAGES, None, mixed=True)
    # Its answers are the means of the last convolution's results.
    assert all(0 < before < 60 for before, _ in (made.quantization or {})["mixed"]["decibels"].values())
    exact, found = (OnnxRuntime(tmp_path / name).infer(IMAGES[0])["classes"] for name in ("m.onnx", "q.onnx"))
    assert 0 < np.abs(exact - found).max() < 0.05


def test_without_pictures_there_is_nothing_to_measure(suffering: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no calibration pictures"):
        quantize_onnx(suffering, tmp_path / "q.onnx", [], None, mixed=True)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------------- what is said


@pytest.mark.parametrize(
    ("said", "layers"),
    [
        ({"float32": {"onnxruntime": ["0_convolutional/Conv", "11_convolutional/Conv"], "file": []}}, "0, 11"),
        ({"float32": {"onnxruntime": [f"{n}_convolutional/Conv" for n in (7, 3, 4, 5, 9, 10)]}}, "3-5, 7, 9, 10"),
        ({"float32": {"file": ["2_convolutional/Conv"]}}, "2"),
        ({"float32": {"onnxruntime": [1, None, "x", "9" * 40 + "_a/Conv"]}}, ""),
        ({"float32": {"onnxruntime": 3}}, None),
        ({"float32": []}, None),
        ({}, None),
        (None, None),
    ],
)
def test_layers_in_float32_are_told_by_their_numbers(
    said: dict[str, object] | None, layers: str | None, suffering: Path
) -> None:
    from dataclasses import replace

    artefact: Artefact = replace(read_artefact(suffering), quantization=said)
    assert float32_layers(artefact, "onnxruntime") == layers
