"""The chain original → torch → ONNX Runtime → OpenVINO, value by value and answer by answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.onnx.layer_outputs import expose_layers
from darknet_compat.network.load import load_network
from darknet_compat.parity import stages
from darknet_compat.parity.reference import Original
from darknet_compat.parity.report import write_report
from darknet_compat.parity.seeded import seed_weights
from darknet_compat.parity.stages import ENGINES, Chain, stage_parity

pytestmark = pytest.mark.reference

CFG = Path("/usr/share/darknet/cfg")
REAL = ("yolo-lite-voc3/yolo-lite-voc3", "tiny-darknet/tiny")
MORE_REAL = ("yolo-lite-coco/yolo-lite-coco", "yolo-fastest-1.1/yolo-fastest-1.1")
SEEDED = (
    "yolov2-voc", "yolov2-tiny-voc", "yolo9000", "darknet19", "darknet9000", "yolov3-tiny", "resnet50", "yolov1",
)  # fmt: skip

CONVOLUTION = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
SMALL = (
    "[net]\nwidth=96\nheight=64\nchannels=3\n"
    + CONVOLUTION.format(8)
    + "[dropout]\n"
    + CONVOLUTION.format(16)
    + "[route]\nlayers=-1\n"
    + CONVOLUTION.format(16)
    + "[convolutional]\nfilters=27\nsize=1\nactivation=linear\n"
    + "[region]\nnum=3\nclasses=4\nanchors=1,2, 3,2, 0.7,0.9\nsoftmax=1\n"
)


@pytest.fixture(scope="module")
def running() -> Iterator[Original]:
    with Original() as original:
        yield original


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "small.cfg").write_text(SMALL)
    return tmp_path / "small.cfg"


def hold(chain: Chain) -> None:
    """Every stage there is, and all of it passed."""
    assert [(one.reference, one.stage) for one in chain.stages] == [
        ("original", "torch"), ("torch", "onnxruntime"), ("torch", "openvino"),
    ]  # fmt: skip
    for one in chain.stages:
        layers = max(row.relative for row in one.rows)
        score, box = (max(getattr(answer, what) for answer in one.answers) for what in ("score", "box"))
        print(f"{one.reference} → {one.stage}: {layers:.2g} of the largest, score {score:.2g}, box {box:.2g} px")
        assert one.first is None, one.first
        assert all(answer.verdict != "differs" for answer in one.answers), one.answers
    assert chain.passed


@pytest.mark.parametrize("name", [*REAL, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE_REAL)])
def test_trained_models(name: str, shared_data: Path, photos: list[Path], running: Original) -> None:
    cfg = shared_data / "models" / f"{name}.cfg"
    chain = stage_parity(cfg, cfg.with_suffix(".weights"), photos, layers=True, original=running)
    hold(chain)
    assert sum(one.matched for one in chain.stages[0].answers) >= 30


@pytest.mark.parametrize(
    ("precision", "engines"), [("int8", ["onnxruntime", "openvino"]), ("bf16", ["openvino"])], ids=["int8", "bf16"]
)
@pytest.mark.parametrize(
    "name", [REAL[0], *(pytest.param(name, marks=pytest.mark.slow) for name in (REAL[1], *MORE_REAL))]
)
def test_trained_models_in_low_precision(
    name: str, precision: Any, engines: list[str], shared_data: Path, photos: list[Path], running: Original
) -> None:
    cfg = shared_data / "models" / f"{name}.cfg"
    chain = stage_parity(
        cfg, cfg.with_suffix(".weights"), photos, precision=precision, layers=name == REAL[0], original=running
    )
    assert [one.stage for one in chain.stages] == ["torch", *engines]
    for one in chain.stages[1:]:
        assert one.agreement is not None and one.agreement.objects > 5 and not one.answers
        assert max(row.relative for row in one.rows) > 1e-3, "computed in more bits than asked for"
    assert not [one.stage for one in chain.stages if not one.passed]
    assert chain.passed


def test_low_precision_that_agrees_too_little_fails(
    shared_data: Path, photos: list[Path], running: Original, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ranges from black pictures fit no others."""
    quantize = stages.quantize_onnx
    monkeypatch.setattr(
        stages, "quantize_onnx", lambda a, b, images, judge: quantize(a, b, [0 * one for one in images], judge)
    )
    cfg = shared_data / "models" / f"{REAL[0]}.cfg"
    chain = stage_parity(cfg, cfg.with_suffix(".weights"), photos[:2], precision="int8", original=running)
    assert not chain.passed and chain.stages[0].passed
    for one in chain.stages[1:]:
        assert one.agreement is not None and one.agreement.percent < 90
    write_report(chain, tmp_path / "page.html")
    assert "DIFFERS: " in (tmp_path / "page.html").read_text()


def test_seeded_weights_are_no_measure_of_low_precision(small: Path, photos: list[Path], running: Original) -> None:
    chain = stage_parity(small, None, photos[:1], precision="int8", original=running)
    whys = dict(chain.not_run)
    assert all("is judged by what trained weights find" in whys[engine] for engine in ("onnxruntime", "openvino"))
    assert not chain.passed


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDED)
def test_seeded_models(name: str, photos: list[Path], running: Original) -> None:
    hold(stage_parity(CFG / f"{name}.cfg", None, photos, original=running))


def test_a_small_network_at_another_size(small: Path, photos: list[Path], running: Original) -> None:
    chain = stage_parity(small, None, photos[:2], size=(128, 64), layers=True, original=running)
    hold(chain)
    assert chain.size == (128, 64)
    assert [row.name for row in chain.stages[0].rows] == [
        "0 convolutional", "1 dropout", "2 convolutional", "3 route", "4 convolutional", "5 convolutional", "6 region",
    ]  # fmt: skip
    # Layers that leave no node in the graph have no row.
    inside = ["0 convolutional", "2 convolutional", "4 convolutional", "5 convolutional"]
    assert [row.name for row in chain.stages[1].rows] == [*inside, "boxes", "objectness", "classes"]


def test_without_layers_only_what_the_heads_read_is_compared(
    small: Path, photos: list[Path], running: Original
) -> None:
    chain = stage_parity(small, None, photos[:1], original=running)
    hold(chain)
    assert [row.name for row in chain.stages[1].rows] == ["5 convolutional", "boxes", "objectness", "classes"]


def test_the_first_layer_that_departs_in_the_graph_is_named(
    small: Path, photos: list[Path], running: Original, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def damaged(network: Any, path: Path, **arguments: Any) -> Any:
        artefact = export_onnx(network, path, **arguments)
        model = onnx.load(path)
        (weights,) = [one for one in model.graph.initializer if one.name == "2_convolutional/weights"]
        weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * np.float32(1.001), weights.name))
        onnx.save(model, path)
        return artefact

    monkeypatch.setattr(stages, "export_onnx", damaged)
    chain = stage_parity(small, None, photos[:1], layers=True, original=running)
    assert not chain.passed
    assert chain.stages[0].passed
    for one in chain.stages[1:]:
        assert one.first is not None and one.first.name == "2 convolutional"
    write_report(chain, tmp_path / "page.html")
    assert "FAILED" in (tmp_path / "page.html").read_text()


def test_answers_that_are_missing_fail(
    small: Path, photos: list[Path], running: Original, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values may agree where the way from them to detections does not."""
    monkeypatch.setattr("darknet_compat.inference.detector.nms", lambda boxes, scores, limit, **_: scores)
    chain = stage_parity(small, None, photos[:2], original=running, thresh=0.1)
    assert chain.stages[0].first is None and not chain.passed
    assert any(one.extra for one in chain.stages[0].answers)


def test_matching_nothing_is_a_failure(small: Path, photos: list[Path], running: Original) -> None:
    chain = stage_parity(small, None, photos[:1], thresh=1.0, original=running)
    assert all(one.first is None for one in chain.stages) and not chain.passed


def test_a_precision_without_a_tolerance_is_not_run(small: Path, photos: list[Path], running: Original) -> None:
    chain = stage_parity(small, None, photos[:1], precision="fp16", original=running)
    assert {engine for engine, _ in chain.not_run} == set(ENGINES)
    assert all("does not compute in fp16" in why or "needs an NVIDIA GPU" in why for _, why in chain.not_run)
    assert not chain.passed


def test_a_tree_is_held_against_its_definition(tmp_path: Path, photos: list[Path], running: Original) -> None:
    """The CPU original reads it wrongly, so that its own detections would differ."""
    (tmp_path / "small.tree").write_text("thing -1\nplace -1\nanimal 0\ncar 0\ncat 2\ndog 2\nbird 2\n")
    text = SMALL.replace("filters=27", "filters=36").replace("classes=4", f"classes=7\ntree={tmp_path}/small.tree")
    (tmp_path / "tree.cfg").write_text(text.replace(f"{tmp_path}/", ""))
    hold(stage_parity(tmp_path / "tree.cfg", None, photos[:2], original=running))


def test_candidates_of_many_classes_are_looked_up(tmp_path: Path, photos: list[Path], running: Original) -> None:
    text = SMALL.replace("filters=27", "filters=915").replace("classes=4", "classes=300")
    (tmp_path / "many.cfg").write_text(text)
    chain = stage_parity(tmp_path / "many.cfg", None, photos[:1], original=running)
    assert all(one.first is None for one in chain.stages)
    assert [row.name for row in chain.stages[1].rows][-2:] == ["classes", "every_objectness"]


def test_a_probe_gives_the_same_answers_and_the_layers_beside_them(small: Path, tmp_path: Path) -> None:
    import onnxruntime as ort

    network = load_network(small)
    seed_weights(network)
    export_onnx(network, tmp_path / "m.onnx")
    names = expose_layers(tmp_path / "m.onnx", tmp_path / "layers.onnx")
    assert names == {number: f"layer {number}" for number in (0, 2, 4, 5)}
    onnx.checker.check_model(str(tmp_path / "layers.onnx"))
    images = np.random.default_rng(0).random((1, 3, 64, 96), np.float32)
    found = []
    for file in ("m", "layers"):
        session = ort.InferenceSession(str(tmp_path / f"{file}.onnx"))
        outputs = [output.name for output in session.get_outputs()]
        found.append(dict(zip(outputs, session.run(None, {"images": images}), strict=True)))
    plain, probed = found
    assert probed.keys() - plain.keys() == set(names.values())
    for name, value in plain.items():
        np.testing.assert_allclose(probed[name], value, rtol=1e-5, atol=1e-6)
    assert probed["layer 5"].shape == (1, 27, 8, 12)


@pytest.mark.reference
@pytest.mark.parametrize(
    "last", ["[connected]\noutput=3\nactivation=linear\n", "[avgpool]\n"], ids=["connected", "avgpool"]
)
def test_a_classifier_without_a_softmax(last: str, tmp_path: Path, photos: list[Path], running: Original) -> None:
    """Its last layer's values are ranked as they are, negative ones too, by the original and everywhere here."""
    cfg = tmp_path / "bare.cfg"
    cfg.write_text("[net]\nwidth=32\nheight=32\nchannels=3\n" + CONVOLUTION.format(8) + last)
    chain = stage_parity(cfg, None, photos[:2], original=running)
    hold(chain)
    assert all(one.matched for one in chain.stages[0].answers)
