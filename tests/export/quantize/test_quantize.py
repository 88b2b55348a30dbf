"""int8: the graph's form, the rounding by hand, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from darknet_compat.errors import BackendError, ExportError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.quantize.quantize import Accuracy, allowed, quantizable, quantize_onnx
from darknet_compat.export.quantize.ranges import LEAST_SCALE, LEVELS, Observed
from darknet_compat.export.quantize.weights import weight_scales
from darknet_compat.inference.backends import open_runtime
from darknet_compat.runtime.base import Use
from darknet_compat.runtime.exported import ExportedRuntime, read_artefact
from darknet_compat.runtime.onnxruntime import OnnxRuntime
from darknet_compat.runtime.openvino import OpenVinoRuntime
from tests.export.support import SHIPPED, assert_well_made, pictures, run_graph, small

CONV = "[convolutional]\nfilters={}\nsize={}\nstride=1\npad=1\nbatch_normalize=1\nactivation=leaky\n"
LAYERS = (
    CONV.format(8, 3)
    + "[maxpool]\nsize=2\nstride=2\n"
    + CONV.format(12, 3)
    + CONV.format(8, 1)
    + "[convolutional]\nfilters=8\nsize=3\ngroups=8\npad=1\nactivation=leaky\n"
    + CONV.format(12, 3)
    + "[route]\nlayers=-1,-4\n"
    + "[convolutional]\nfilters=21\nsize=1\nactivation=linear\n"
    + "[region]\nnum=3\nclasses=2\nanchors=1,2,3,4,.5,.7\nsoftmax=1\n"
)
INT8 = ["2_convolutional", "3_convolutional", "5_convolutional"]
KINDS = (OnnxRuntime, OpenVinoRuntime)


def judged(value: float) -> Callable[[Path], Accuracy]:
    def judge(path: Path) -> Accuracy:
        assert read_artefact(path).precision == "int8"
        return Accuracy("agreement", 100.0, value, 2, 9)

    return judge


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fp32") / "m.onnx"
    export_onnx(small(LAYERS, (3, 32, 48)), path, sizes=(16, 64), names=("left", "right"))
    return path


@pytest.fixture(scope="module")
def int8(exported: Path) -> Path:
    path = exported.with_name("int8.onnx")
    quantize_onnx(exported, path, [pictures(3, 48, 32, 4)], judged(99.5))
    return path


# ---------------------------------------------------------------------------------------------------- the graph


def test_which_convolutions_are_int8_and_how(exported: Path, int8: Path) -> None:
    """Not the first, the grouped one and the last; symmetric, weights by filter, one rounding a tensor."""
    graph = assert_well_made(int8, 9).graph
    made_by = {output: node for node in graph.node for output in node.output}
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    reads_int8 = []
    for node in (node for node in graph.node if node.op_type == "Conv"):
        before = made_by.get(node.input[0])
        if before is None or before.op_type != "DequantizeLinear":
            assert values[node.input[1]].dtype == np.float32
            continue
        reads_int8.append(node.name.split("/")[0])
        weights = made_by[node.input[1]]
        integers, scales, zeros = (values[name] for name in weights.input)
        assert integers.dtype == zeros.dtype == np.int8 and not zeros.any()
        assert scales.shape == (len(integers),) and np.abs(integers).max() == LEVELS
        rounding = made_by[before.input[0]]
        assert rounding.op_type == "QuantizeLinear" and list(rounding.input[1:]) == list(before.input[1:])
        assert values[rounding.input[1]].shape == () and values[rounding.input[2]] == np.int8(0)
    assert reads_int8 == INT8
    assert [node.name.split("/")[0] for node in quantizable(onnx.load(exported))] == INT8
    roundings = [node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert len(roundings) == len(set(roundings)) == 3


def test_the_file_says_what_it_is(exported: Path, int8: Path) -> None:
    before, after = read_artefact(exported), read_artefact(int8)
    assert (after.precision, after.names, after.sizes) == ("int8", ("left", "right"), (16, 64))
    assert after.weights_sha256 == before.weights_sha256
    assert after.tools.keys() == before.tools.keys() | {"onnxruntime"}
    assert before.quantization is None
    assert after.quantization is not None
    told = dict(after.quantization)
    # Behind the third layer comes a grouped convolution, whose input stays as it is, and so the third one's bias.
    read = {"1_maxpool/MaxPool", "2_convolutional/LeakyRelu", "4_convolutional/LeakyRelu"}
    joined = {"5_convolutional/LeakyRelu"}
    assert set(told.pop("roundings")) == read | joined | {"2_convolutional/Conv", "5_convolutional/Conv"}
    assert {name.split("/")[0] for name in told.pop("biases")} == {f"{n}_convolutional" for n in (2, 3, 5, 7)}
    left = [f"{number}_convolutional/Conv" for number in (0, 4, 7)]
    assert told == {
        "float32": {"onnxruntime": [left[0], "3_convolutional/Conv", *left[1:]], "file": left},
        "convolutions": 3,
        "calibration_pictures": 4,
        "measure": "agreement",
        "fp32": 100.0,
        "int8": 99.5,
        "drop": 0.5,
        "max_drop": 1.0,
        "pictures": 2,
        "objects": 9,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_answers_stay_near_in_both_runtimes(kind: type[ExportedRuntime], exported: Path, int8: Path) -> None:
    """Of probabilities: on the average 0.004 from float32; OpenVINO 5e-7 at most from what the file says, and ONNX
    Runtime, which rounds otherwise, 0.05 at most from float32."""
    images = pictures(3, 48, 32, 3)
    exact = OnnxRuntime(exported).infer(images)
    found, said = kind(int8).infer(images), run_graph("onnxruntime", int8, images)  # type: ignore[call-arg]
    for name in ("boxes", "objectness", "classes"):
        assert 0 < np.abs(found[name] - exact[name]).mean() < 0.005
        nearest = said if kind is OpenVinoRuntime else exact
        assert np.abs(found[name] - nearest[name]).max() < (1e-5 if kind is OpenVinoRuntime else 0.06)
    assert kind(int8).description.precision == "int8"  # type: ignore[call-arg]


def test_openvino_rounds_what_is_joined_as_the_file_says(tmp_path: Path) -> None:
    """A route of layers, one of a route, and one of a part of a layer, each read by a convolution in int8."""
    routes = "[route]\nlayers=-1,-2\n" + CONV.format(8, 1) + "[route]\nlayers=-1,-2\n" + CONV.format(12, 1)
    routes += "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" + CONV.format(6, 3) + "[route]\nlayers=-1,-4\n"
    layers = LAYERS.replace("[route]\nlayers=-1,-4\n", routes + CONV.format(6, 1) + CONV.format(12, 3))
    export_onnx(small(layers, (3, 32, 48)), tmp_path / "m.onnx", sizes="fixed")
    quantize_onnx(tmp_path / "m.onnx", tmp_path / "q.onnx", [pictures(3, 48, 32, 4)], judged(100))
    images = pictures(3, 48, 32, 3)
    found, said = (
        OpenVinoRuntime(tmp_path / "q.onnx").infer(images),
        run_graph("onnxruntime", tmp_path / "q.onnx", images),
    )
    for name in ("boxes", "objectness", "classes"):
        # 0.04 where it is left to itself; a value at the edge of two steps may fall to either side.
        assert np.abs(found[name] - said[name]).mean() < 1e-4


@pytest.mark.parametrize(("input", "batch"), [("uint8", None), ("float", 2)])
def test_other_inputs_are_calibrated_as_they_come(input: str, batch: int | None, tmp_path: Path, int8: Path) -> None:
    network = small(LAYERS, (3, 32, 48))
    export_onnx(network, tmp_path / "m.onnx", sizes=(16, 64), input=input, batch=batch)  # type: ignore[arg-type]
    quantize_onnx(tmp_path / "m.onnx", tmp_path / "q.onnx", [pictures(3, 48, 32, 4)], judged(100))
    found, expected = (OnnxRuntime(path).infer(pictures(3, 48, 32)) for path in (tmp_path / "q.onnx", int8))
    assert np.abs(found["objectness"] - expected["objectness"]).mean() < 0.005


def test_what_is_computed_for_candidates_alone_stays_in_float32(tmp_path: Path) -> None:
    """Of many classes the logits are those of a few candidates, by a convolution for each anchor."""
    layers = CONV.format(8, 3) * 2 + "[convolutional]\nfilters=410\nsize=1\nactivation=linear\n"
    layers += "[region]\nnum=2\nclasses=200\nanchors=1,2,3,4\nsoftmax=1\n"
    export_onnx(small(layers, (3, 32, 32)), tmp_path / "m.onnx", sizes="fixed")
    model = onnx.load(tmp_path / "m.onnx")
    kinds = [node.name.split("/")[0] for node in model.graph.node if node.op_type == "Conv"]
    assert kinds == ["0_convolutional", "1_convolutional", *["3_region"] * 3]
    assert [node.name.split("/")[0] for node in quantizable(model)] == ["1_convolutional"]
    assert [node.name for node in allowed(model)][2:] == ["3_region/Conv"]  # boxes and objectness
    for mixed in (False, True):
        made = quantize_onnx(tmp_path / "m.onnx", tmp_path / "q.onnx", [pictures(3, 32, 32, 4)], None, mixed=mixed)
        assert "3_region/Conv_2" in (made.quantization or {})["float32"]["file"]
        OnnxRuntime(tmp_path / "q.onnx").infer(pictures(3, 32, 32, 1))


# -------------------------------------------------------------------------------------------------- the rounding


def test_each_filter_has_its_own_scale() -> None:
    weights = np.array([[[[1.0]], [[-127.0]]], [[[0.5]], [[0.25]]], [[[0.0]], [[0.0]]]], np.float32)
    np.testing.assert_allclose(weight_scales(weights), [1.0, 0.5 / 127, 1.0])


def test_an_outlier_does_not_coarsen_the_rest() -> None:
    observed = Observed()
    values = np.random.default_rng(0).normal(0, 1, 100_000)
    observed.add(values)
    assert abs(observed.scale() * LEVELS / np.abs(values).max() - 1) < 0.3
    observed.add(np.array([12.0]))
    assert observed.scale() * LEVELS < 8


def test_scales_stay_numbers_in_half_precision_and_in_fp8() -> None:
    """TensorRT's parser refuses a scale of 0; a filter that batch normalization has switched off would get one."""
    values = np.array([[1e-9, -1e-8], [0.5, 1.0], [0.0, 0.0]], np.float32)
    scales = weight_scales(values)
    assert scales[0] == np.float32(LEAST_SCALE) and scales[1] == np.float32(1 / 127) and scales[2] == 1
    assert np.float16(scales[0]) > 0 and np.float16(scales[0] * np.float32(127 / 448)) >= np.float16(2.0**-20)
    seen = Observed()
    seen.add(values[0])
    assert seen.scale() == LEAST_SCALE


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=5), st.integers(0, 99))
def test_the_range_grows_with_what_comes(largest: list[float], seed: int) -> None:
    """However it comes, and all of it is counted: the histogram's scale is about what all values at once would give."""
    random = np.random.default_rng(seed)
    parts = [random.uniform(-top, top, 64) for top in largest]
    observed, whole = Observed(), Observed()
    for part in parts:
        observed.add(part)
    whole.add(np.concatenate(parts))
    assert observed.counts.sum() == whole.counts.sum() == 64 * len(parts)
    assert observed.largest == whole.largest and observed.top >= observed.largest
    assert 0.5 < observed.scale() / whole.scale() < 2


def test_a_tensor_of_zeros_has_a_scale() -> None:
    observed = Observed()
    observed.add(np.zeros(5))
    assert observed.scale() == 1.0


# ------------------------------------------------------------------------------------------------------ refusals


def refused(match: str, *arguments: object, **options: object) -> None:
    with pytest.raises((ExportError, BackendError), match=match) as caught:
        quantize_onnx(*arguments, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_what_loses_too_much_is_not_written(exported: Path, tmp_path: Path) -> None:
    images = [pictures(3, 48, 32, 1)]
    refused(
        "q.onnx: int8 loses 1.5 points of agreement on 2 pictures, more than --max-drop 1; nothing",
        *(exported, tmp_path / "q.onnx", images, judged(98.5)),
    )
    assert not list(tmp_path.iterdir())
    quantize_onnx(exported, tmp_path / "q.onnx", images, judged(98.5), max_drop=2)
    assert [path.name for path in tmp_path.iterdir()] == ["q.onnx"]


@pytest.mark.parametrize(
    ("found", "most", "told"),
    [
        (99.96, 0, "0.04 points of agreement on 2 pictures, more than --max-drop 0;"),
        (99.5, 0, "0.5 points of agreement on 2 pictures, more than --max-drop 0;"),
        (98.996, 1, "1.004 points of agreement on 2 pictures, more than --max-drop 1;"),
        (100 - 1e-9, 0, "0.000000001 points of agreement on 2 pictures, more than --max-drop 0;"),
    ],
)
def test_a_loss_is_told_apart_from_what_it_may_be(
    found: float, most: float, told: str, exported: Path, tmp_path: Path
) -> None:
    images = [pictures(3, 48, 32, 1)]
    refused(f"int8 loses {told}", exported, tmp_path / "q.onnx", images, judged(found), max_drop=most)


def test_what_cannot_be_int8(exported: Path, int8: Path, tmp_path: Path) -> None:
    out, images = tmp_path / "out" / "q.onnx", [pictures(3, 48, 32, 1)]
    out.parent.mkdir()
    refused("no calibration pictures", exported, out, [], judged(100))
    refused("not finite on calibration picture 1", exported, out, [images[0] * np.float32(np.nan)], judged(100))
    refused("expected a model in fp32 .* found int8", int8, out, images, judged(100))
    raw = tmp_path / "raw.onnx"
    export_onnx(small(CONV.format(4, 3) * 3, (3, 32, 48)), raw, outputs="heads")
    refused("found raw outputs", raw, out, images, judged(100))
    few = tmp_path / "few.onnx"
    export_onnx(
        small(
            CONV.format(4, 3) + LAYERS[LAYERS.index("[route]") :].partition("\n\n")[0].replace("-1,-4", "-1"),
            (3, 32, 48),
        ),
        few,
    )
    refused("no convolution between", few, out, images, judged(100))
    refused("cannot be written", exported, tmp_path / "none" / "q.onnx", images, judged(100))
    assert not list(out.parent.iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_precision_is_the_files(kind: type[ExportedRuntime], exported: Path, int8: Path) -> None:
    with pytest.raises(BackendError, match=r"holds fp32; `darknet-compat export --precision int8 --calibrate"):
        kind(exported, precision="int8")  # type: ignore[call-arg]
    with pytest.raises(BackendError, match=r"bf16"):
        kind(int8, precision="bf16")  # type: ignore[call-arg]
    assert kind(int8, precision="int8").description.precision == "int8"  # type: ignore[call-arg]


def test_a_cfg_is_not_int8_by_being_asked_to(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"export yolov2-tiny\.cfg --precision int8 --calibrate PICTURES`"):
        open_runtime(SHIPPED / "yolov2-tiny.cfg", tmp_path / "absent.weights", Use(precision="int8"))
